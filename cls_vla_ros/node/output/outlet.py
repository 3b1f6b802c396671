"""One output of the actions: what it gets while there is something to command, and on a hold."""

from typing import Protocol

import numpy as np

from cls_vla_ros.node.output.messages import to_command, to_joint_trajectory
from cls_vla_ros.robot.action.outputs import (
    POSITION,
    RELATIVE,
    STOP,
    ZERO,
    hold_of,
    is_played,
    kind_of,
)
from cls_vla_ros.robot.action.trajectory import Path
from cls_vla_ros.robot.settings import Settings
from cls_vla_ros.robot.stamps import NS

ZERO_FOR_NS = NS // 2  # one zero may be lost, and a base whose watchdog is off would drive on


class Sender(Protocol):
    """Of rclpy, or what sends a gripper's goals."""

    def publish(self, message) -> None:
        """Send it."""


class Outlet:
    """Not thread-safe: the ActionOutput holds its lock. Times are nanoseconds of ROS time."""

    def __init__(self, settings: Settings, number: int, publisher: Sender) -> None:
        """Start with nothing commanded.

        Args:
            settings: from the parameters.
            number: of the output in settings.action.outputs.
            publisher: of its topic or action.
        """
        self._output = output = settings.action.outputs[number]
        self._dt_s, self._rate_hz = settings.action.dt_s, settings.execution.rate_hz
        self._count = len(settings.action.names)
        self._index = [settings.action.names.index(name) for name in output.names]
        self.is_played = is_played(output, settings.execution.mode)
        self._scale = 1 / self._dt_s if kind_of(output) == RELATIVE else 1.0
        self._hold = hold_of(output)
        if output.hold == "auto" and not self.is_played:
            self._hold = STOP  # it would play its chunk to the end
        self._publisher = publisher
        self._is_moving = False
        self._zero_until_ns = 0

    def command(self, values: np.ndarray, now_ns: int) -> None:
        """Send one command.

        Args:
            values: (A,) of the whole action, ROS units.
            now_ns: when.
        """
        self._is_moving = True
        self._send(values[self._index] * self._scale, now_ns)

    def path(self, stamp_ns: int, path: Path) -> None:
        """Send a trajectory.

        Args:
            stamp_ns: of the observation.
            path: of the whole action, from where it is now.
        """
        self._is_moving = True
        self._send_path(stamp_ns, path)

    def _send_path(self, stamp_ns: int, path: Path) -> None:
        points = path.points
        message = to_joint_trajectory(
            stamp_ns,
            self._output.rename,
            points.times_ns,
            points.positions[:, self._index],
            points.velocities[:, self._index],
        )
        self._publisher.publish(message)

    def brake(self, values: np.ndarray, now_ns: int) -> None:
        """There is nothing to command but how a motion comes to rest.

        Args:
            values: (A,) the next on the way.
            now_ns: when.
        """
        if kind_of(self._output) == POSITION:
            self.command(values, now_ns)
        else:
            self.hold(None, None, now_ns)

    def hold(self, repeated: np.ndarray | None, stop: Path | None, now_ns: int) -> np.ndarray:
        """There is nothing to command.

        Args:
            repeated: (A,) the last command as long as it may be repeated; None after that.
            stop: how a chunk that is being executed ends, from where it is now, NaN where that is
                unknown; None where there is none.
            now_ns: when.

        Returns:
            (A,) bool, of the values that were told to stop so.
        """
        told = np.zeros(self._count, bool)
        if self._hold == ZERO:
            if self._is_moving:
                self._zero_until_ns = now_ns + ZERO_FOR_NS
            # More than that is left where the time went back.
            if 0 <= self._zero_until_ns - now_ns <= ZERO_FOR_NS:
                self._send(np.zeros(len(self._index)), now_ns)
        elif self._hold == STOP:
            knows = stop is not None and np.isfinite(stop.positions[:, self._index]).all()
            if self._is_moving and not self.is_played and knows:
                self._send_path(now_ns, stop)
                told[self._index] = True
        elif repeated is not None and self.is_played:
            self._send(repeated[self._index], now_ns)
        self._is_moving = False
        return told

    def _send(self, values: np.ndarray, now_ns: int) -> None:
        self._publisher.publish(to_command(self._output, values, now_ns, self._rate_hz))
