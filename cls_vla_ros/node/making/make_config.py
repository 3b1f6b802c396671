"""`make_config --policy PATH [--robot so101]`: a params file for a checkpoint and a robot.

The policy's pictures, and the sizes and ranges of state and action, are read from the checkpoint
(no weights), the topics, joints and controllers asked of the robot, if one runs. What neither says
is marked with ?? in the file. With --robot, state, action and limits are those of config/robots.
"""

import argparse
import re
import sys
from pathlib import Path

import rclpy
from rclpy.utilities import remove_ros_args

from cls_vla_ros.node.making.look_around import look_around
from cls_vla_ros.robot.making.config_text import config_text, robots

MARKED = r"# \?\?"


def main() -> None:
    """Write it; exit 1 with the reason if that is not possible."""
    parser = argparse.ArgumentParser(
        prog="make_config",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--policy", required=True, help="a checkpoint's directory or hub id")
    parser.add_argument("--robot", choices=robots(), help="whose state, action and limits")
    parser.add_argument("--task", default="", help="the instruction")
    parser.add_argument(
        "--out", type=Path, default=Path("my_robot.yaml"), help="file (default my_robot.yaml)"
    )
    parser.add_argument("--force", action="store_true", help="write over a file that is there")
    args = parser.parse_args(remove_ros_args(sys.argv)[1:])
    rclpy.init(args=sys.argv)
    node = rclpy.create_node("make_config")
    try:
        if args.out.exists() and not args.force:
            raise ValueError(f"{args.out} is there already: another --out, or --force")
        around = look_around(node)
        text = config_text(args.policy, args.robot, args.task, around)
        args.out.write_text(text)
    except (OSError, ValueError) as error:
        sys.exit(f"make_config: {error}")
    except KeyboardInterrupt:
        sys.exit("make_config: stopped")
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    heard = len(around.pictures), len(around.joint_states), len(around.controllers)
    print("{} camera topics, {} of joints and {} controllers run here".format(*heard))
    marked = len(re.findall(MARKED, text))
    print(f"{args.out}: {marked} lines are marked with ??. Look at them, then run")
    print(f"  ros2 run cls_vla_ros check --params-file {args.out}")


if __name__ == "__main__":
    main()
