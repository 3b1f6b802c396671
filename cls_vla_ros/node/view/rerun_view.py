"""`rerun_view`: what the policy sees and is about to do, in Rerun; live, or of a recording.

Live (`ros2 launch cls_vla_ros policy.launch.py view:=rerun` starts it): cameras with the places
that look changed to the glance or the frame guard, each chunk over what was measured, similarity,
glance, reasons, latency, and with a robot_description the arm and the way of its tool. Of a
recording that has scene_change and action_chunk too, as `demo` and `replay` leave one: the same.
It needs Rerun: pip install -r requirements/view.txt. It commands nothing.
"""

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

from rclpy.utilities import remove_ros_args

from cls_vla_ros.console.arguments import add_params_file

NEEDS_RERUN = (
    "rerun_view: Rerun is not installed in {python}: `pip install -r requirements/view.txt -c "
    "requirements/constraints.txt` in the package's folder (500 MB of disk), or view:=foxglove, "
    "plotjuggler or rqt"
)


def main() -> None:
    """Log until SIGINT or SIGTERM, or the recording's end; exit 1 with the reason if it cannot."""
    args = parse_args(sys.argv)
    if find_spec("rerun") is None:
        sys.exit(NEEDS_RERUN.format(python=sys.executable))
    # Here, because torch and Rerun take seconds.
    from cls_vla_ros.node.view.rerun_run import view

    try:
        view(args)
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: Rerun's, of its viewer
        sys.exit(f"rerun_view: {error}")


def parse_args(args: list[str]) -> argparse.Namespace:
    """Of the command line, ROS's own left out."""
    parser = argparse.ArgumentParser(
        prog="rerun_view",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "bag", type=Path, nargs="?", help="rosbag2 directory (default: what is published now)"
    )
    add_params_file(parser)
    parser.add_argument("--policy", help="the checkpoint (default: the params file's policy.path)")
    parser.add_argument(
        "--save", type=Path, metavar="FILE", help="write an .rrd in place of opening the viewer"
    )
    parser.add_argument("--connect", metavar="URL", help="of a viewer that runs, rerun+http://...")
    parser.add_argument("--urdf", type=Path, help="the robot (default: topic robot_description)")
    parser.add_argument("--tool", default="", help="link whose way is shown (default: the last)")
    parser.add_argument(
        "--seconds", type=float, help="of the recording, from its start; it opens at its end then"
    )
    parsed = parser.parse_args(remove_ros_args(args)[1:])
    if parsed.save and parsed.connect:
        parser.error("--save writes a file, --connect goes to a viewer: one of them")
    return parsed


if __name__ == "__main__":
    main()
