"""`make demo`: the real node on a real recording over real topics, with a report and a picture.

It starts the lifecycle node as a process of its own, plays bags/demo to it at recording speed,
resets once in the middle through the service, and leaves report.json, similarity.png, node.log and
an MCAP with all of it, `recording`, in the output folder.
"""

import argparse
from pathlib import Path

from rich.console import Console

from cls_vla_ros.console.arguments import add_params_file
from cls_vla_ros.console.share import share
from cls_vla_ros.demo.own_node import RECORDING, run_own_node
from cls_vla_ros.demo.report import UNTRAINED
from cls_vla_ros.endurance.node_process import own_domain


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
    parser.set_defaults(rate=1.0, policy=None)
    args = parser.parse_args()
    console = Console()
    report = run_own_node(args, "demo", console, resets=True, lockstep=False)
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
    if report["note"]:
        console.print(f"[yellow]{UNTRAINED}[/yellow]")
    console.print(f"report and picture: {args.out / 'report.json'}, {args.out / 'similarity.png'}")
    console.print(
        f"the recording with what the node said of it, for Foxglove: {args.out / RECORDING}"
    )
