"""The end of a process that ROS started."""

import signal


def ignore_further_signals() -> None:
    """Let an orderly end that has begun come to its end.

    Ctrl-C in `ros2 launch` reaches a process twice, from the terminal and from launch: the second
    must not cut short what the first began.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
