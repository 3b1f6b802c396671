"""`make demo`: the real node on a real recording over real topics, with a report and a picture.

It starts the lifecycle node as a process of its own, plays bags/demo to it at recording speed,
resets once in the middle through the service, and leaves report.json, similarity.png and node.log
in the output folder.
"""

import argparse
import json
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import rclpy
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from cls_vla_ros.console.arguments import add_params_file
from cls_vla_ros.console.share import share
from cls_vla_ros.demo.bag_player import BagPlayer
from cls_vla_ros.demo.report import UNTRAINED, Recorded, decision_of, draw, make_report
from cls_vla_ros.endurance.node_process import (
    ANSWER_TIMEOUT_S,
    CONFIGURE_TIMEOUT_S,
    end_of,
    own_domain,
    policy_node,
    use_domain,
)
from cls_vla_ros.endurance.policy_client import PolicyClient
from cls_vla_ros.msg import ActionChunk, SceneChange
from cls_vla_ros.recordings.episodes import labels_of
from cls_vla_ros.robot.stamps import to_ns


@dataclass
class Run:
    """What came back while the recording played."""

    scene_changes: list[SceneChange] = field(default_factory=list)
    chunks: list[ActionChunk] = field(default_factory=list)
    reset_ns: int = 0  # ROS time at which the reset was called
    device: str = ""  # where the policy ran, as the node says
    trained: bool = False  # its CLS head, as the node says
    task: str = ""  # the instruction that the node followed


def main() -> None:
    """Run the demo; exit 1 with the reason and the end of the node's log if it goes wrong."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__.split("\n")[0])
    parser.add_argument(
        "--out", type=Path, default=Path("demo_output"), help="output folder (default demo_output)"
    )
    parser.add_argument(
        "--bag", type=Path, default=share("bags", "demo"), help="recording (default: the demo's)"
    )
    parser.add_argument(
        "--task", help="the instruction (default: the recording's, else the params file's)"
    )
    add_params_file(parser)
    parser.add_argument(
        "--domain-id",
        type=int,
        default=own_domain(),
        help="ROS domain (default: one of 50 to 99, so that the demo meets no robot of yours)",
    )
    args = parser.parse_args()
    use_domain(args.domain_id)
    args.out.mkdir(parents=True, exist_ok=True)
    log = args.out / "node.log"
    console = Console()
    rclpy.init()
    try:
        labels = labels_of(args.bag) or {}
        # As bag_to_dataset, calibrate and evaluate: the recording's own, if its labels say it.
        task = args.task or labels.get("instruction")
        with policy_node(args.params_file, log, use_sim_time=True, task=task) as process:
            run, player = play(args.bag, process, console)
        if process.returncode != 0:
            raise RuntimeError(
                f"the node ended with exit code {process.returncode} after SIGINT; expected 0"
            )
        recorded = Recorded(
            run.scene_changes,
            run.chunks,
            run.reset_ns,
            player.start_ns,
            labels.get("events", []),
            run.trained,
        )
        report = make_report(recorded, args.bag, run.device) | {"task": run.task}
        (args.out / "report.json").write_text(json.dumps(report, indent=1) + "\n")
        draw(recorded, args.out / "similarity.png")
        if report["problems"]:
            raise RuntimeError("; ".join(report["problems"]))
    except (OSError, RuntimeError, ValueError, subprocess.TimeoutExpired) as error:
        sys.exit(f"{end_of(log)}\ndemo: {error} (the lines above are the end of {log})")
    finally:
        rclpy.try_shutdown()
    summary = report["summary"]
    console.print(
        f"{summary['inferences']} inferences, {summary['reused']} of them on a reused prefix; "
        f"{summary['scene_changes']} scene changes, 1 reset; median latency "
        f"{summary['latency_ms']['median']:.0f} ms on {report['device']}"
    )
    for change in summary["labelled_changes"]:
        after_s = change["seen_after_s"]
        said = "missed by the gate" if after_s is None else f"seen after {after_s:.2f} s"
        console.print(f"{change['kind'].replace('_', ' ')} at {change['time_s']:.2f} s: {said}")
    console.print(f"false alarms of the gate: {len(summary['false_alarms_s'])}")
    if not run.trained:
        console.print(f"[yellow]{UNTRAINED}[/yellow]")
    console.print(f"report and picture: {args.out / 'report.json'}, {args.out / 'similarity.png'}")


def play(bag: Path, process: subprocess.Popen, console: Console) -> tuple[Run, BagPlayer]:
    """Configure and activate the node, play the recording to it, reset in the middle."""
    run = Run()
    columns = (
        TextColumn("{task.completed:4.1f} s of {task.total:.1f} s"),
        BarColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console) as progress:
        bar = None
        start_ns = 0

        def on_scene_change(message: SceneChange) -> None:
            run.scene_changes.append(message)
            stamp_ns = to_ns(message.header.stamp)
            line = (
                f"{(stamp_ns - start_ns) / 1e9:5.2f} s   similarity {message.similarity:6.3f}   "
                f"{decision_of(message):13}   {message.total_ms:4.0f} ms"
            )
            progress.console.print(line, highlight=False)
            progress.update(bar, description=decision_of(message))

        with PolicyClient(
            on_scene_change,
            run.chunks.append,
            name="demo",
            is_alive=lambda: process.poll() is None,
        ) as client:
            console.print("starting the node and loading the policy ...")
            client.transition("configure", CONFIGURE_TIMEOUT_S)
            client.transition("activate", ANSWER_TIMEOUT_S)
            player = BagPlayer(client.node, bag)
            start_ns = player.start_ns
            bar = progress.add_task("", total=player.duration_s)
            if not player.wait_for_subscribers(ANSWER_TIMEOUT_S):
                raise RuntimeError(
                    "the node does not subscribe to the recording's topics: see its params file"
                )
            middle_ns = player.start_ns + int(player.duration_s / 2 * 1e9)
            middle = threading.Event()

            def on_time(stamp_ns: int) -> None:
                progress.update(bar, completed=(stamp_ns - start_ns) / 1e9)
                if stamp_ns >= middle_ns and not middle.is_set():
                    run.reset_ns = stamp_ns
                    middle.set()

            def reset_in_the_middle() -> None:
                if middle.wait(player.duration_s + ANSWER_TIMEOUT_S):
                    progress.console.print(
                        f"reset: {client.reset(ANSWER_TIMEOUT_S)}", highlight=False
                    )

            resetter = threading.Thread(target=reset_in_the_middle, daemon=True)
            resetter.start()
            player.play(on_time=on_time)
            progress.update(bar, completed=player.duration_s)
            resetter.join(ANSWER_TIMEOUT_S)
            run.device = client.diagnostics.get("device", "unknown")
            run.task = client.diagnostics.get("task", "")
            run.trained = client.diagnostics.get("CLS head") == "trained"
            client.transition("deactivate", ANSWER_TIMEOUT_S)
            player.close()
    return run, player
