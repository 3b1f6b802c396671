"""Whether there is a ROS 2 for what needs one."""

from importlib.util import find_spec


def check_ros() -> None:
    """Said when a room that needs ROS is imported; else Python says only which module it lacks.

    Raises:
        ImportError: there is no rclpy here, or the package's messages were not built.
    """
    if find_spec("rclpy") is None:
        raise ImportError(
            "this command needs ROS 2 Jazzy, and there is no rclpy here: source "
            "/opt/ros/jazzy/setup.bash and the workspace's install/setup.bash, or, without a ROS "
            "of your own, `. dev/env.sh` after `make setup` in the repository"
        )
    if find_spec("cls_vla_ros.msg") is None:
        raise ImportError(
            "this command needs the package's messages, which pip does not make: build it with "
            "colcon (or `make build`) and source install/setup.bash (or dev/env.sh)"
        )
