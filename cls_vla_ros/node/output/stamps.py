"""ROS's own times from nanoseconds and seconds."""

from builtin_interfaces.msg import Duration, Time

from cls_vla_ros.robot.stamps import NS


def to_time(ns: int) -> Time:
    """A stamp from nanoseconds since the epoch."""
    return Time(sec=ns // NS, nanosec=ns % NS)


def to_duration(seconds: float) -> Duration:
    """A duration from seconds >= 0."""
    ns = round(seconds * NS)
    return Duration(sec=ns // NS, nanosec=ns % NS)
