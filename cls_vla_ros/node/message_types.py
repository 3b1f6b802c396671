"""The message types by their names in the parameters, imported where a robot uses them.

geometry_msgs, nav_msgs and control_msgs need not be there for a robot that does without.
"""

from importlib import import_module

from cls_vla_ros.robot.settings import Settings

MODULES = {
    "joint_state": "sensor_msgs.msg.JointState",
    "joint_trajectory": "trajectory_msgs.msg.JointTrajectory",
    "float64_multi_array": "std_msgs.msg.Float64MultiArray",
    "odometry": "nav_msgs.msg.Odometry",
    "twist": "geometry_msgs.msg.Twist",
    "twist_stamped": "geometry_msgs.msg.TwistStamped",
    "pose_stamped": "geometry_msgs.msg.PoseStamped",
    "gripper_command": "control_msgs.action.GripperCommand",
    "parallel_gripper_command": "control_msgs.action.ParallelGripperCommand",
    "wrench": "geometry_msgs.msg.Wrench",
    "wrench_stamped": "geometry_msgs.msg.WrenchStamped",
}


def type_of(name: str) -> type:
    """A message's class.

    Args:
        name: one of MODULES.

    Raises:
        ValueError: its package is not installed.
    """
    module, _, kind = MODULES[name].rpartition(".")
    try:
        return getattr(import_module(module), kind)
    except (ImportError, AttributeError) as error:
        package = module.partition(".")[0]
        raise ValueError(
            f"the type {name!r} is {MODULES[name]}, which cannot be imported ({error}): install "
            f"ros-$ROS_DISTRO-{package.replace('_', '-')}"
        ) from None


def check_types(settings: Settings) -> None:
    """Import what the settings use, before weights are loaded.

    Raises:
        ValueError: see `type_of`.
    """
    sources, outputs = settings.state.sources, settings.action.outputs
    for group, members in (("source", sources), ("output", outputs)):
        for member in members:
            try:
                type_of(member.type)
            except ValueError as error:
                raise ValueError(f"{group}.{member.name}.type: {error}") from None


def class_of(name: str, parameter: str) -> type:
    """A message's class, of any package.

    Args:
        name: as sensor_msgs/msg/Joy.
        parameter: which says so.

    Raises:
        ValueError: it is not installed, or is no type of messages.
    """
    package, _, kind = name.partition("/msg/")
    try:
        return getattr(import_module(f"{package}.msg"), kind)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise ValueError(
            f"{parameter} is {name!r}: expected a type of messages that is installed, as "
            f"sensor_msgs/msg/Joy ({error})"
        ) from None
