"""The policy node as a process of its own."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from ament_index_python.packages import get_package_prefix

from cls_vla_ros.console.share import share

CONFIGURE_TIMEOUT_S = 120.0
ANSWER_TIMEOUT_S = 20.0
LOG_LINES_ON_FAILURE = 20


def use_domain(domain_id: int) -> None:
    """Let this process and those that it starts talk to each other, and to no robot.

    Args:
        domain_id: ROS domain.
    """
    os.environ["ROS_DOMAIN_ID"] = str(domain_id)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"


def use_large_shared_memory() -> None:
    """Let this process and those that it starts send pictures in one piece (config/fastdds.xml).

    A profile that the user has set stays.
    """
    profile = str(share("config", "fastdds.xml"))
    os.environ.setdefault("FASTRTPS_DEFAULT_PROFILES_FILE", profile)


def own_domain() -> int:
    """A ROS domain, of 50 to 99, that two runs on one machine hardly share."""
    return 50 + os.getpid() % 50


@contextmanager
def policy_node(
    params_file: Path,
    log: Path,
    *,
    use_sim_time: bool = False,
    task: str | None = None,
    policy: str | None = None,
):
    """The lifecycle node as a process, in a domain of its own and armed; SIGINT at the end.

    Args:
        params_file: its parameters.
        log: file for what it says.
        use_sim_time: whether its time is that of /clock.
        task: the instruction; None for the parameters'.
        policy: the checkpoint; likewise.
    """
    executable = Path(get_package_prefix("cls_vla_ros"), "lib", "cls_vla_ros", "policy_node")
    command = [sys.executable, str(executable), "--ros-args", "--params-file", str(params_file)]
    command += ["-p", f"use_sim_time:={str(use_sim_time).lower()}"]
    # What is recorded need not be the policy's own robot.
    command += ["-p", "execution.armed:=true", "-p", "execution.preflight:=false"]
    command += [] if task is None else ["-p", f"task:={json.dumps(task)}"]  # YAML, quoted
    command += [] if policy is None else ["-p", f"policy.path:={json.dumps(policy)}"]
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,  # Ctrl-C is ours: we end the node, and in order
            env={
                "OMP_NUM_THREADS": "1",
                **os.environ,
            },  # half a million weights are too few to share out
        )
        try:
            yield process
            process.send_signal(signal.SIGINT)
            process.wait(ANSWER_TIMEOUT_S)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def cpu_seconds(pid: int) -> float:
    """The processor time that a process has used."""
    # Behind the name, which may have spaces; utime and stime are the 14th and 15th of all.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def end_of(log: Path) -> str:
    """The last lines of a log; empty if there is none."""
    return "\n".join(log.read_text().splitlines()[-LOG_LINES_ON_FAILURE:]) if log.is_file() else ""
