"""`replay BAG`: play a recording into a policy node, with /clock.

Into one that runs, with use_sim_time (`ros2 launch cls_vla_ros replay.launch.py` does both; with
--report it leaves what --out leaves. Where rosbag2 is installed, `ros2 bag play --clock 100 BAG`
plays as well.) Or, with --out, into
one that it starts by itself in a ROS domain of its own: the node infers on each set of pictures
before the next, and report.json, similarity.png, node.log and the bag `recording` with what it
said are left in that folder. --against compares the report with an earlier one, and exits 1 where
they differ by more than the tolerances: set policy.seed in the params file for that.
"""

import argparse
import sys
from pathlib import Path

from rclpy.utilities import remove_ros_args
from rich.console import Console

from cls_vla_ros.console.arguments import add_params_file
from cls_vla_ros.demo.against import Tolerance, differences, read_report
from cls_vla_ros.demo.running_node import WAIT_S, play_into_running
from cls_vla_ros.endurance.node_process import own_domain


def parse_args(args: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="replay", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bag", type=Path, help="rosbag2 directory (MCAP or SQLite)")
    parser.add_argument(
        "--rate", type=float, default=1.0, help="2 plays twice as fast (default 1)"
    )
    running = parser.add_argument_group("into a node that runs")
    running.add_argument(
        "--loop", action="store_true", help="begin again at the end; the node sees time jump back"
    )
    running.add_argument(
        "--lockstep",
        action="store_true",
        help="let the node infer on each set of pictures before the next: the same every time",
    )
    running.add_argument(
        "--when-active",
        action="store_true",
        help=f"begin once the node is active, however long that takes (default: {WAIT_S:g} s at "
        "most, until anybody subscribes)",
    )
    running.add_argument(
        "--report", type=Path, metavar="FOLDER", help="leave report, picture and bag there"
    )
    own = parser.add_argument_group("into a node that it starts")
    own.add_argument("--out", type=Path, help="folder for report, picture, bag and log")
    add_params_file(own)
    own.add_argument("--policy", help="the checkpoint (default: the params file's)")
    own.add_argument(
        "--task", help="the instruction (default: the recording's, else the params file's)"
    )
    own.add_argument("--against", type=Path, metavar="REPORT", help="an earlier report.json")
    for name, of in (("similarity", "the similarity"), ("action", "a chunk's first step")):
        own.add_argument(
            f"--{name}-tolerance",
            type=float,
            default=getattr(Tolerance, name),
            help=f"by how much {of} may differ (default {getattr(Tolerance, name):g})",
        )
    own.add_argument(
        "--decisions",
        type=float,
        default=Tolerance.decisions,
        help="share of the inferences whose decision may differ (default 0)",
    )
    own.add_argument(
        "--domain-id",
        type=int,
        default=own_domain(),
        help="ROS domain (default: one of 50 to 99, so that it meets no robot of yours)",
    )
    parsed = parser.parse_args(remove_ros_args(args)[1:])
    if not parsed.rate > 0:
        parser.error(f"--rate must be above 0, got {parsed.rate}")
    if parsed.against and not parsed.out:
        parser.error("--against needs --out: the report that is compared is left there")
    if parsed.out and (parsed.loop or parsed.lockstep or parsed.when_active or parsed.report):
        parser.error(
            "--loop, --lockstep, --when-active and --report are for a node that runs; with --out "
            "it is lockstep, and there is a report"
        )
    if parsed.loop and parsed.report:
        parser.error("--report is of one time through, and --loop has no end")
    return parsed


def main() -> None:
    """Play; exit 1 with the reason if that is not possible."""
    args = parse_args(sys.argv)
    if args.out:
        _by_itself(args)
    else:
        play_into_running(args)


def _by_itself(args: argparse.Namespace) -> None:
    # Here, because it brings torch, which takes seconds that playing into a running node need not.
    from cls_vla_ros.demo.own_node import run_own_node

    console = Console()
    try:
        before = read_report(args.against) if args.against else None
    except (OSError, ValueError) as error:
        sys.exit(f"replay: {error}")
    report = run_own_node(args, "replay", console, resets=False, lockstep=True)
    summary = report["summary"]
    console.print(
        f"{summary['inferences']} inferences, {summary['reused']} of them on a reused prefix; "
        f"{summary['scene_changes']} scene changes; report, picture and bag are in {args.out}"
    )
    if before is None:
        return
    tolerance = Tolerance(args.similarity_tolerance, args.action_tolerance, args.decisions)
    if found := differences(before, report, tolerance):
        sys.exit("replay: it is not as it was:\n" + "\n".join(f"- {text}" for text in found))
    console.print(f"[green]as {args.against} has it[/green]")


if __name__ == "__main__":
    main()
