"""`soak`: does the node last?

The real node as a process with a tiny policy, cameras and joints in another, for as long as one
likes; a reset every 20 seconds, another task every minute. It leaves report.json, soak.png and
node.log, and exits 1 if the latency or the memory drifts or if anything was dropped. Ctrl-C ends
it early, with a report.
"""

import argparse
import datetime
import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from itertools import cycle
from pathlib import Path

import rclpy
from rclpy.signals import SignalHandlerOptions
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from std_msgs.msg import String

from cls_vla_ros.benchmark.growth import resident_mb
from cls_vla_ros.console.machine import describe_machine
from cls_vla_ros.endurance.active_node import active_node, wait_for_first
from cls_vla_ros.endurance.node_process import (
    ANSWER_TIMEOUT_S,
    cpu_seconds,
    end_of,
    own_domain,
    use_domain,
    use_large_shared_memory,
)
from cls_vla_ros.endurance.policy_client import PolicyClient
from cls_vla_ros.endurance.random_robot import RandomRobot
from cls_vla_ros.endurance.robot_sources import robot_sources
from cls_vla_ros.endurance.soak_report import Inferred, Sample, Soaked, draw, make_report
from cls_vla_ros.msg import ActionChunk, SceneChange
from cls_vla_ros.node.connections import OUTPUT_QOS

SAMPLE_S = 1.0
RESET_S, TASK_S = 20.0, 60.0
DIAGNOSTICS_S = 1.5  # they come once a second
TASKS = ("close the drawer", "open the drawer")
REFUSED = "messages refused on "


def main() -> None:
    """Soak, and exit 1 with the reasons if something is not as it should be."""
    parser = argparse.ArgumentParser(prog="soak", description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=30.0, help="of the cameras, in Hz")
    parser.add_argument("--cameras", type=int, default=3)
    parser.add_argument("--rate-hz", type=float, default=30.0, help="the node's rate_hz")
    parser.add_argument("--num-steps", type=int, default=1, help="denoising steps (default 1)")
    parser.add_argument("--domain-id", type=int, default=own_domain(), help="ROS domain")
    parser.add_argument("--out", type=Path, default=Path("soak_output"), help="output folder")
    args = parser.parse_args()
    use_domain(args.domain_id)
    use_large_shared_memory()
    args.out.mkdir(parents=True, exist_ok=True)
    console = Console()
    stop = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    soaked = Soaked()
    failure = ""
    try:
        soak(soaked, args, stop, console)
    except (OSError, RuntimeError, ValueError, subprocess.TimeoutExpired) as error:
        failure = str(error)
        console.print(end_of(args.out / "node.log"), markup=False, highlight=False)
    finally:
        rclpy.try_shutdown()
    report = make_report(soaked)
    report["problems"] += [failure] if failure else []
    report = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "cameras": f"{args.cameras} of 480 x 640 rgb8 at {args.rate:g} Hz",
        **report,
    }
    (args.out / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    draw(soaked, args.out / "soak.png")
    print_report(report, console)
    console.print(f"report and picture: {args.out / 'report.json'}, {args.out / 'soak.png'}")
    if report["problems"]:
        sys.exit("\n".join(["soak:", *report["problems"]]))


def soak(
    soaked: Soaked, args: argparse.Namespace, stop: threading.Event, console: Console
) -> None:
    """Run everything, and put into `soaked` what is heard.

    Raises:
        RuntimeError: the node ended, or failed at a transition.
        TimeoutError: it did not answer.
    """
    began = time.monotonic()

    def on_scene_change(message: SceneChange) -> None:
        soaked.inferences.append(
            Inferred(
                time.monotonic() - began,
                message.inference_id,
                message.episode,
                message.total_ms,
                message.observation_age_ms,
            )
        )

    def on_action_chunk(message: ActionChunk) -> None:
        soaked.chunks.append((message.inference_id, time.monotonic() - began))

    transports = ("raw",) * args.cameras
    robot = RandomRobot(transports, rate_hz=args.rate_hz, num_steps=args.num_steps)
    options = ["--cameras", args.cameras, "--rate", args.rate, "--size", *robot.size]
    options += ["--joints", *robot.joints]
    with tempfile.TemporaryDirectory() as folder:
        published = Path(folder) / "published.json"
        with active_node(
            robot.write(Path(folder)),
            args.out / "node.log",
            on_scene_change,
            on_action_chunk,
            name="soak",
        ) as (process, client):
            with robot_sources(published, *map(str, options)):
                wait_for_first(soaked.inferences, process)
                # From the first inference on: what came before is the start, not the soak.
                began = time.monotonic()
                soaked.chunks.clear()
                soaked.inferences.clear()
                watch(soaked, client, process, args.minutes * 60, stop, console)
                # Both lists end with the same inference.
                time.sleep(DIAGNOSTICS_S)
                client.transition("deactivate", ANSWER_TIMEOUT_S)
            soaked.refused = {
                name.removeprefix(REFUSED): int(value)
                for name, value in client.diagnostics.items()
                if name.startswith(REFUSED)
            }
        soaked.frames_published = sum(map(len, json.loads(published.read_text())["frames"]))
    if process.returncode != 0:
        raise RuntimeError(f"the node ended with exit code {process.returncode}; expected 0")


def watch(
    soaked: Soaked,
    client: PolicyClient,
    process: subprocess.Popen,
    seconds: float,
    stop: threading.Event,
    console: Console,
) -> None:
    """Sample the process, reset and change the task, until the time is over or `stop` is set."""
    tasks = client.node.create_publisher(String, "task", OUTPUT_QOS)
    columns = (BarColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    next_tasks = cycle(TASKS)
    began = sampled = time.monotonic()
    used = cpu_seconds(process.pid)
    next_reset, next_task = began + RESET_S, began + TASK_S - RESET_S / 2
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("", total=seconds)
        while time.monotonic() - began < seconds and not stop.wait(SAMPLE_S):
            if process.poll() is not None:
                raise RuntimeError(f"the node ended by itself, exit code {process.returncode}")
            now, used_now = time.monotonic(), cpu_seconds(process.pid)
            cpu = (used_now - used) / (now - sampled)
            soaked.samples.append(Sample(now - began, resident_mb(process.pid), cpu))
            sampled, used = now, used_now
            last = soaked.inferences[-1] if soaked.inferences else None
            says = f"{last.total_ms:.0f} ms, episode {last.episode}, " if last else ""
            says += f"{soaked.samples[-1].memory_mb:.0f} MB, CPU {cpu:.0%}"
            progress.update(bar, completed=now - began, description=says)
            if now - began > seconds - 2 * SAMPLE_S:
                continue  # an episode that begins now would have no inference
            if now >= next_reset:
                client.reset(ANSWER_TIMEOUT_S)
                soaked.resets += 1
                next_reset += RESET_S
            if now >= next_task:
                tasks.publish(String(data=next(next_tasks)))
                soaked.resets += 1
                next_task += TASK_S


def print_report(report: dict, console: Console) -> None:
    """The tenths and the sums."""
    console.print(
        f"{report['seconds']:.0f} s on {report['machine']}, {report['cameras']}: "
        f"{report['inferences']} inferences ({report['rate_hz']:.1f} Hz), "
        f"{report['action_chunks']} chunks, {report['episodes']} episodes",
        highlight=False,
    )
    names = ("end_s", "total_ms", "observation_age_ms", "rate_hz", "memory_mb", "cpu")
    table = Table(*names, title="medians of each tenth")
    for row in report["tenths"]:
        table.add_row(*(f"{row[name]:.2f}" for name in names))
    console.print(table)


if __name__ == "__main__":
    main()
