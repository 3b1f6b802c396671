"""Nanoseconds, and the messages that hold them. No torch in here: the player starts quickly."""

from builtin_interfaces.msg import Duration, Time

NS = 10**9


def to_time(ns: int) -> Time:
    """A stamp from nanoseconds since the epoch."""
    return Time(sec=ns // NS, nanosec=ns % NS)


def to_ns(stamp: Time) -> int:
    """Nanoseconds since the epoch; 0 for a stamp that was never set."""
    return stamp.sec * NS + stamp.nanosec


def to_duration(seconds: float) -> Duration:
    """A duration from seconds >= 0."""
    ns = round(seconds * NS)
    return Duration(sec=ns // NS, nanosec=ns % NS)
