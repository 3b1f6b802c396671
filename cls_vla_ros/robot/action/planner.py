"""What controllers that take chunks whole are sent, after what they were told before."""

import numpy as np

from cls_vla_ros.robot.action.chunk import Chunk
from cls_vla_ros.robot.action.shaping import MotionLimits
from cls_vla_ros.robot.action.standing import Standing
from cls_vla_ros.robot.action.trajectory import ARRIVES_S, Path, lead_s, to_chunk, to_rest


class Planner:
    """Not thread-safe: the ActionOutput holds its lock.

    Attributes:
        limits: of the A values; may be replaced.
    """

    def __init__(self, standing: Standing, which: np.ndarray, dt_s: float) -> None:
        """Without limits.

        Args:
            standing: what was told.
            which: (A,) bool, of the values that go out in whole chunks.
            dt_s: time between two steps.
        """
        self._standing, self._which, self._dt_s = standing, which, dt_s
        self.limits = MotionLimits.none(len(which))

    def to_chunk(self, chunk: Chunk, start: np.ndarray, measured: np.ndarray, now_ns: int) -> Path:
        """From what is being executed to a chunk; from now on that is what was told.

        Args:
            chunk: step k is reached at its stamp + k dt.
            start: (A,) what is commanded now; NaN where nobody knows.
            measured: (A,) where the joints are; likewise.
            now_ns: ROS time.
        """
        begin = np.where(np.isfinite(start) & self._which, start, chunk.actions[0])
        ahead_s = self._lead_s(begin, measured, now_ns)
        ahead = self._standing.ahead(begin, now_ns, ahead_s)
        path = to_chunk(ahead, chunk, self.limits.of(self._which))
        self._standing.sent(path, measured, self._which, now_ns)
        return path

    def stop(self, measured: np.ndarray, now_ns: int) -> Path:
        """From what is being executed to rest.

        Args:
            measured: (A,) where the joints are; NaN where nobody knows.
            now_ns: ROS time.
        """
        begin = self._standing.start(measured, now_ns)
        here = self._standing.ahead(begin, now_ns, 0.0)
        moves = here.velocities.any()
        brakes = moves and np.isfinite(self.limits.acceleration).any()
        ahead = self._standing.ahead(begin, now_ns, ARRIVES_S) if brakes else here
        within_s = self._lead_s(begin, measured, now_ns)
        if not moves:
            within_s = max(within_s, self._standing.comes_in_s(now_ns))
        return to_rest(ahead, self._dt_s, self.limits, within_s)

    def _lead_s(self, begin: np.ndarray, measured: np.ndarray, now_ns: int) -> float:
        former, speed = self._standing.former(now_ns)
        here = self._standing.ahead(begin, now_ns, 0.0)
        # Where others moved a joint in the midst of a motion, its controller is still in that.
        told, goes = self._standing.moves(now_ns)
        speed = np.maximum(speed, np.where(told == begin, 0.0, goes))
        return lead_s(here, [measured, told, *former], speed, self.limits.of(self._which))
