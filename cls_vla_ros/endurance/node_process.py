"""The policy node as a process of its own, and a robot of random weights for it to run."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from ament_index_python.packages import get_package_prefix

from cls_vla_ros.console.share import share
from cls_vla_ros.policy.checkpoint.random_checkpoint import make_random_checkpoint

CONFIGURE_TIMEOUT_S = 120.0
ANSWER_TIMEOUT_S = 20.0
LOG_LINES_ON_FAILURE = 20
ALWAYS_REUSE = {"max_age_s": 3600.0, "max_reuses": 1000, "guard_threshold": 100.0}


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
def policy_node(params_file: Path, log: Path, *, use_sim_time: bool = False):
    """The lifecycle node as a process; SIGINT at the end.

    Args:
        params_file: its parameters.
        log: file for what it says.
        use_sim_time: whether its time is that of /clock.
    """
    executable = Path(get_package_prefix("cls_vla_ros"), "lib", "cls_vla_ros", "policy_node")
    command = [sys.executable, str(executable), "--ros-args", "--params-file", str(params_file)]
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, "-p", f"use_sim_time:={str(use_sim_time).lower()}"],
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


def resident_mb(pid: int | str = "self") -> float:
    """What a process holds in memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def cpu_seconds(pid: int) -> float:
    """The processor time that a process has used."""
    # Behind the name, which may have spaces; utime and stime are the 14th and 15th of all.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def end_of(log: Path) -> str:
    """The last lines of a log; empty if there is none."""
    return "\n".join(log.read_text().splitlines()[-LOG_LINES_ON_FAILURE:]) if log.is_file() else ""


@dataclass(frozen=True)
class RandomRobot:
    """A robot for a tiny policy with random weights: its actions mean nothing.

    Attributes:
        transports: "raw" or "compressed" of each camera; they are camera0, camera1, ...
        size: height and width of the pictures.
        joints: names of the joints; there is one action value for each.
        rate_hz: at most this many inferences per second.
        num_steps: of the denoising.
        always_reuse: whether the prefix is reused whatever is seen: the quickest inference.
    """

    transports: tuple[str, ...] = ("raw",) * 3
    size: tuple[int, int] = (480, 640)
    joints: tuple[str, ...] = tuple(f"joint{n}" for n in range(6))
    rate_hz: float = 30.0
    num_steps: int = 10
    always_reuse: bool = False

    def write(self, folder: Path) -> Path:
        """Write the checkpoint and the parameters.

        Args:
            folder: where.

        Returns:
            The parameters' file.
        """
        cameras = {f"camera{n}": transport for n, transport in enumerate(self.transports)}
        each = {"mean": torch.zeros(len(self.joints)), "std": torch.ones(len(self.joints))}
        checkpoint = make_random_checkpoint(
            folder / "checkpoint",
            {f"observation.images.{name}": self.size for name in cameras},
            {"observation.state": each, "action": each},
            num_steps=self.num_steps,
        )
        names = list(self.joints)
        parameters = {
            "policy": {"path": str(checkpoint), "device": "auto", "seed": 0},
            "task": "open the drawer",
            "rate_hz": float(self.rate_hz),
            # Without it the gate of an untrained policy stays closed, and nothing is ever reused.
            "gate": {
                "allow_untrained": True,
                **({"threshold": -1.0} if self.always_reuse else {}),
            },
            "cache": ALWAYS_REUSE if self.always_reuse else {"max_reuses": 4},
            "cameras": list(cameras),
            "camera": {
                name: {"topic": f"{name}/image", "transport": transport}
                for name, transport in cameras.items()
            },
            "state": {"joints": names, "units": ["rad"] * len(names)},
            "action": {"kind": "joint_positions", "names": names, "units": ["rad"] * len(names)},
            "limits": {"first_step": 0.0},  # random actions are nowhere near the joints
        }
        file = folder / "robot.yaml"
        file.write_text(json.dumps({"/**": {"ros__parameters": parameters}}, indent=1))
        return file
