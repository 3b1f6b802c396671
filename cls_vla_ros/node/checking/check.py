"""`check --params-file my.yaml`: would it run? Asked of the robot, or of a recording, in seconds.

It reads the params file and the checkpoint's configuration as the node does, hears the topics for
a few seconds, asks the ROS graph who is at the other ends and the controllers which joints they
have, and compares what the joints say with the dataset's ranges. No weights are read, and nothing
is published. With --infer it makes one inference too, and shows what its chunk would command.
Exit code 1 if something would make the node hold, or hurt.
"""

import argparse
import sys
from pathlib import Path

import rclpy
from rclpy.exceptions import ParameterException
from rclpy.utilities import remove_ros_args
from rich.console import Console

from cls_vla_ros.console.arguments import add_params_file
from cls_vla_ros.node.checking.first_chunk import first_chunk
from cls_vla_ros.node.checking.pictures import draw_cameras
from cls_vla_ros.node.checking.recording import listen_to_bag
from cls_vla_ros.node.checking.robot import Ends, listen
from cls_vla_ros.node.checking.tables import (
    print_chunk,
    print_findings,
    print_outputs,
    print_sources,
    print_values,
)
from cls_vla_ros.node.message_types import check_types
from cls_vla_ros.robot.action.check_settings import check_settings
from cls_vla_ros.robot.checking.checkpoint import look_at_checkpoint
from cls_vla_ros.robot.checking.findings import Findings
from cls_vla_ros.robot.checking.heard import Heard
from cls_vla_ros.robot.checking.judging import judge_sources, judge_values
from cls_vla_ros.robot.parameters.params_file import parameters_of


def parse_args(args: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="check",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_params_file(parser)
    parser.add_argument("--policy", help="the checkpoint (default: the params file's)")
    parser.add_argument("--bag", type=Path, help="a recording, in place of the robot")
    parser.add_argument(
        "--seconds", type=float, default=3.0, help="how long to listen (default 3)"
    )
    parser.add_argument(
        "--infer", action="store_true", help="load the weights, and show the first chunk"
    )
    parser.add_argument(
        "--picture",
        type=Path,
        default=Path("check.png"),
        help="the cameras side by side (default check.png)",
    )
    parsed = parser.parse_args(remove_ros_args(args)[1:])
    if not parsed.seconds > 0:
        parser.error(f"--seconds must be above 0, got {parsed.seconds}")
    return parsed


def main() -> None:
    """Check; exit 1 if something would hold or hurt."""
    args = parse_args(sys.argv)
    # In a file, or in an issue, a table may be wide.
    console = Console(width=None if sys.stdout.isatty() else 120)
    findings = Findings()
    try:
        check(args, console, findings)
    except (OSError, ValueError, ParameterException) as error:
        findings.bad.append(str(error))
    except KeyboardInterrupt:
        sys.exit("check: stopped")
    print_findings(console, findings)
    if findings.bad:
        sys.exit(1)
    said = "nothing would hold it" + (", as far as anybody can tell" if findings.doubts else "")
    console.print(f"[green]{said}[/green]")


def check(args: argparse.Namespace, console: Console, findings: Findings) -> None:
    """Look at everything; what cannot be gone on from is raised.

    Args:
        args: of the command line.
        console: gets the tables.
        findings: get what is wrong.

    Raises:
        FileNotFoundError: there is no such params file or recording.
        ValueError: the parameters contradict themselves, or what is at the other ends.
    """
    overrides = {"policy.path": args.policy, "policy.server": ""} if args.policy else {}
    with parameters_of(args.params_file, overrides) as parameters:
        settings, limits = parameters.read(), parameters.observation_limits()
    check_types(settings)
    check_settings(settings)
    heard = Heard(settings, limits, parameters.get("task"))
    seen = look_at_checkpoint(settings, findings)
    if not parameters.get("task"):
        findings.doubts.append("task is empty: the policy was trained with an instruction")
    try:
        ends = _listen(args, settings, heard, findings)
    except ValueError as error:  # what came until then is worth seeing
        findings.bad.append(str(error))
        ends = Ends()
    judge_sources(settings, heard, findings)
    state, action = judge_values(settings, heard, seen, findings)
    print_sources(console, settings, heard, ends)
    print_values(console, "The state", state, measured=True)
    print_values(console, "The action", action, measured=False)
    if args.bag is None:
        print_outputs(console, settings, ends)
    if heard.snapshot is None:
        return
    draw_cameras(heard.snapshot.observation, settings, args.picture)
    console.print(f"the cameras, side by side: {args.picture}")
    if args.infer and not findings.bad:
        chunk = first_chunk(settings, heard, ends.robot_description, findings, console.print)
        print_chunk(console, settings, chunk)
    elif args.infer:
        findings.notes.append("no inference: first mend what is wrong below")


def _listen(args, settings, heard, findings) -> Ends:
    if args.bag is not None:
        return listen_to_bag(args.bag, settings, heard, findings, args.seconds)
    rclpy.init(args=sys.argv)
    node = rclpy.create_node("cls_vla_check")
    try:
        return listen(node, settings, heard, findings, args.seconds)
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
