"""One output of the actions: what it gets while there is something to command, and on a hold."""

from typing import Protocol

import numpy as np

from cls_vla_ros.node.output.messages import to_command, to_joint_trajectory
from cls_vla_ros.robot.action.outputs import RELATIVE, STOP, ZERO, hold_of, is_played, kind_of
from cls_vla_ros.robot.settings import Settings
from cls_vla_ros.robot.stamps import NS

ZERO_FOR_NS = NS // 2  # one zero may be lost, and a base whose watchdog is off would drive on
STOP_WITHIN_S = 0.1


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

    def chunk(self, stamp_ns: int, actions: np.ndarray, first: int, speeds: np.ndarray) -> None:
        """Send a trajectory.

        Args:
            stamp_ns: of the observation.
            actions: (T, A) of the whole action, ROS units.
            first: the step to begin with.
            speeds: (T - first, A) velocities of its points.
        """
        self._is_moving = True
        message = to_joint_trajectory(
            stamp_ns,
            self._output.rename,
            actions[:, self._index],
            self._dt_s,
            first,
            speeds[:, self._index],
        )
        self._publisher.publish(message)

    def hold(self, repeated: np.ndarray | None, here: np.ndarray, now_ns: int) -> np.ndarray:
        """There is nothing to command.

        Args:
            repeated: (A,) the last command as long as it may be repeated; None after that.
            here: (A,) where a chunk that is being executed ends; NaN where unknown.
            now_ns: when.

        Returns:
            (A,) bool, of the values that were told to stay `here`.
        """
        told = np.zeros(len(here), bool)
        if self._hold == ZERO:
            if self._is_moving:
                self._zero_until_ns = now_ns + ZERO_FOR_NS
            # More than that is left where the time went back.
            if 0 <= self._zero_until_ns - now_ns <= ZERO_FOR_NS:
                self._send(np.zeros(len(self._index)), now_ns)
        elif self._hold == STOP:
            stays = here[self._index]
            if self._is_moving and not self.is_played and np.isfinite(stays).all():
                names, still = self._output.rename, np.zeros((1, len(stays)))
                stop = to_joint_trajectory(now_ns, names, stays[None], STOP_WITHIN_S, speeds=still)
                self._publisher.publish(stop)
                told[self._index] = True
        elif repeated is not None and self.is_played:
            self._send(repeated[self._index], now_ns)
        self._is_moving = False
        return told

    def _send(self, values: np.ndarray, now_ns: int) -> None:
        self._publisher.publish(to_command(self._output, values, now_ns, self._rate_hz))
