"""The same messages over DDS into the real node, which must live on and infer all the while."""

import subprocess
import tempfile
import time
from pathlib import Path

import rclpy
from rich.console import Console
from rich.progress import track
from sensor_msgs.msg import CompressedImage, Image, JointState

from cls_vla_ros.benchmark.growth import ALLOWED_MB, resident_mb
from cls_vla_ros.endurance.active_node import active_node
from cls_vla_ros.endurance.fuzz.messages import JOINTS, Case, Fuzzer
from cls_vla_ros.endurance.node_process import (
    ANSWER_TIMEOUT_S,
    end_of,
    use_domain,
)
from cls_vla_ros.endurance.policy_client import PolicyClient
from cls_vla_ros.endurance.random_robot import RandomRobot
from cls_vla_ros.node.output.stamps import to_time

TOPICS = {
    Image: "camera0/image",
    CompressedImage: "camera1/image",
    JointState: "joint_states",
}
PERIOD_S = 0.004
GOOD_EVERY = 10  # messages: then one good one from each source
WARM_UP = 0.4  # of the messages
UNFORESEEN = ("Traceback", "a callback failed")  # in the node's log


def fuzz_over_dds(count: int, seed: int, domain_id: int, console: Console) -> list[str]:
    """Send messages to the node, good ones among them.

    Args:
        count: how many.
        seed: of the messages.
        domain_id: ROS domain.
        console: for the progress.

    Returns:
        What went wrong, in words; empty if nothing did.
    """
    use_domain(domain_id)
    robot = RandomRobot(("raw", "compressed"), (30, 40), JOINTS, num_steps=1)
    problems: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "node.log"
        rclpy.init()
        try:
            chunks: list = []
            with active_node(
                robot.write(Path(folder)), log, lambda _: None, chunks.append, name="fuzz"
            ) as (process, client):
                problems += _send(process, client, chunks, count, seed, console)
            if process.returncode != 0:
                problems.append(f"over DDS: the node ended with exit code {process.returncode}")
        except (RuntimeError, TimeoutError, subprocess.TimeoutExpired) as error:
            problems.append(f"over DDS: {error}")
        finally:
            rclpy.try_shutdown()
        said = log.read_text(errors="replace")
        problems += [f"over DDS: the node's log says {w!r}" for w in UNFORESEEN if w in said]
        if problems:
            console.print(end_of(log), markup=False, highlight=False)
    return problems


def _send(
    process: subprocess.Popen,
    client: PolicyClient,
    chunks: list,
    count: int,
    seed: int,
    console: Console,
) -> list[str]:
    fuzzer = Fuzzer(seed + 1)
    problems = []
    publishers = {
        kind: client.node.create_publisher(kind, topic, 10) for kind, topic in TOPICS.items()
    }

    def good() -> None:
        for kind in ("joints: valid", "compressed: valid", "image: valid"):
            publish(Case(kind, fuzzer.valid(kind)))

    def publish(case: Case, *, stamped_now: bool = True) -> None:
        if stamped_now:
            case.message.header.stamp = to_time(time.time_ns())
        publishers[type(case.message)].publish(case.message)
        time.sleep(PERIOD_S)

    if not _until_a_chunk(good, chunks):
        return ["over DDS: good messages made no chunk before the others came"]
    settled_mb = 0.0
    for number in track(range(count), description="over DDS", console=console):
        case = fuzzer.case()
        publish(case, stamped_now=case.message.header.stamp.sec == 1)
        if number % GOOD_EVERY == 0:
            good()
        if number == int(WARM_UP * count):
            settled_mb = resident_mb(process.pid)
        if process.poll() is not None:
            return [f"over DDS: the node died of message {number} ({case.kind})"]
    inferred = len(chunks)
    chunks.clear()
    if not _until_a_chunk(good, chunks):
        problems.append("over DDS: good messages make no chunk any more")
    growth_mb = resident_mb(process.pid) - settled_mb
    if growth_mb > ALLOWED_MB:
        problems.append(f"over DDS: the node's memory grew by {growth_mb:.1f} MB")
    time.sleep(1.1)  # until the next diagnostics
    refused = {k: v for k, v in client.diagnostics.items() if k.startswith("messages refused")}
    console.print(
        f"over DDS: {count} messages, {inferred} chunks, {refused}, "
        f"memory grew by {growth_mb:.1f} MB",
        highlight=False,
    )
    client.transition("deactivate", ANSWER_TIMEOUT_S)
    return problems


def _until_a_chunk(good, chunks: list) -> bool:
    deadline = time.monotonic() + ANSWER_TIMEOUT_S
    while not chunks and time.monotonic() < deadline:
        good()
        time.sleep(0.05)
    return bool(chunks)
