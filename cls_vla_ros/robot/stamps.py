"""Nanoseconds, and the stamps that hold them. No torch in here: the player starts quickly."""

NS = 10**9


def to_ns(stamp) -> int:
    """Nanoseconds since the epoch; 0 for a stamp that was never set.

    Args:
        stamp: a builtin_interfaces/Time, or whatever has its `sec` and `nanosec`.
    """
    return stamp.sec * NS + stamp.nanosec
