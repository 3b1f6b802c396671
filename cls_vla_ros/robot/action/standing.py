"""What the controllers were last told, as long as that still says where the joints are.

A gripper around an object, or an arm that leans on something, stands far from what it was told:
there the next command follows the last one, not the joint. After somebody else has moved the
joints, the last command says nothing, and the next one follows the joint.
"""

from functools import partial

import numpy as np

from cls_vla_ros.robot.action.trajectory import Path
from cls_vla_ros.robot.stamps import NS

FORMER = 8
FOR_EVER = 2**63 - 1
USUAL_SLACK = 0.1  # rad or m, of values without a first_step


class Standing:
    """Not thread-safe: the ActionOutput holds its lock. A is the number of action values.

    Attributes:
        is_followed: whether controllers are what is told; else it is to look at alone.
    """

    def __init__(self, first_step: np.ndarray) -> None:
        """Start with nothing told.

        Args:
            first_step: (A,) how far the next step may be from where a value is; infinity for any.
                A joint that is farther than half of it from all that lies between where it was
                and where it was told to go was moved by somebody else.
        """
        self._slack = np.where(np.isfinite(first_step), first_step / 2, USUAL_SLACK)
        self._nothing = np.full(len(first_step), np.nan)
        self.is_followed = False
        self._former: list[np.ndarray] = []
        self._former_speed = np.zeros(len(first_step))
        self._former_until_ns = 0  # then a controller has come to what it was told since
        self._begin()

    def forget(self, now_ns: int) -> None:
        """Whatever was told may have been undone meanwhile, or not: see `former`.

        Args:
            now_ns: ROS time.
        """
        if self.is_followed:
            ends = self._nothing if self._path is None else self._path.positions[-1]
            speed = 0.0 if self._path is None else np.abs(self._path.at(now_ns)[1])
            told = [self.at(now_ns), np.where(self._of_path, ends, self._nothing)]
            kept = self.former(now_ns)[0]
            # Who stops twice tells the same twice.
            kept = [*kept, *(t for t in told if not any(map(partial(_same, t), kept)))]
            self._former = kept[-FORMER:]
            self._former_speed = np.where(self._of_path, speed, 0.0)
            self._former_until_ns = FOR_EVER
        self._begin()

    def former(self, now_ns: int) -> tuple[list[np.ndarray], np.ndarray]:
        """Where a controller may be that was told something before that was forgotten.

        Args:
            now_ns: ROS time.

        Returns:
            (A,) each, and (A,) how fast it may have been; NaN where there was nothing.
        """
        if now_ns >= self._former_until_ns:
            return [], np.zeros_like(self._former_speed)
        return self._former, self._former_speed

    def _begin(self) -> None:
        self._values, self._low, self._high = (self._nothing.copy() for _ in range(3))
        self._path: Path | None = None
        self._of_path = np.zeros(len(self._nothing), bool)
        self._sent_ns = 0

    def told(self, values: np.ndarray, measured: np.ndarray, which: np.ndarray) -> None:
        """Commands went out.

        Args:
            values: (A,) of the whole action.
            measured: (A,) where the joints are; NaN where unknown.
            which: (A,) bool, of the values that went out.
        """
        self._values = np.where(which, values, self._values)
        if self.is_followed:
            self._former_until_ns = 0
        self._reach(values, measured, which)
        self._of_path = self._of_path & ~which

    def sent(self, path: Path, measured: np.ndarray, which: np.ndarray, now_ns: int) -> None:
        """A trajectory went out: from now on that is what a controller follows.

        Args:
            path: which, from where the controller is when it goes out.
            measured: as of `told`.
            which: likewise.
            now_ns: when.
        """
        begin = path.at(now_ns)[0]
        self._path, self._of_path, self._sent_ns = path, which.copy(), now_ns
        if self.is_followed:
            self._former_until_ns = min(self._former_until_ns, int(path.times_ns[1]))
        self._values = np.where(which, self._nothing, self._values)
        self._reach(begin, measured, which)

    def _reach(self, values: np.ndarray, measured: np.ndarray, which: np.ndarray) -> None:
        """Joints may be between where they are and where they are told to go."""
        # After a reset nobody has said yet where they are: then it is where they were.
        was_low, was_high = (
            np.where(np.isnan(measured), of, np.nan) for of in (self._low, self._high)
        )
        low, high = np.fmin(values, measured), np.fmax(values, measured)
        self._low = np.where(which, np.fmin(low, was_low), self._low)
        self._high = np.where(which, np.fmax(high, was_high), self._high)

    def at(self, now_ns: int) -> np.ndarray:
        """(A,) what is commanded at a time; NaN where nothing is.

        Args:
            now_ns: ROS time.
        """
        if self._path is None:
            return self._values.copy()
        return np.where(self._of_path, self._path.at(now_ns)[0], self._values)

    def moves(self, now_ns: int) -> tuple[np.ndarray, np.ndarray]:
        """(A,) what is commanded at a time, NaN where nothing is, and (A,) how fast that is.

        Args:
            now_ns: ROS time.
        """
        told = self.at(now_ns)
        if self._path is None:
            return told, np.zeros(len(told))
        return told, np.where(self._of_path, np.abs(self._path.at(now_ns)[1]), 0.0)

    def ahead(self, start: np.ndarray, now_ns: int, lead_s: float) -> Path:
        """What is commanded from now on, if nothing else is sent.

        Args:
            start: (A,) from `start` of this time.
            now_ns: ROS time.
            lead_s: how far to look.
        """
        end_ns = now_ns + round(lead_s * NS)
        if self._path is None or not self._of_path.any():
            rests = Path.resting(start, now_ns)
            return rests.between(now_ns, end_ns)
        if end_ns > now_ns:
            end_ns = max(end_ns, now_ns + round(self.comes_in_s(now_ns) * NS))
        path = self._path.between(now_ns, end_ns)
        # Those that somebody else moved, or that follow no path, stay where they are.
        goes = self._of_path & (start == path.positions[0])
        return Path(
            path.times_ns,
            np.where(goes, path.positions, start),
            np.where(goes, path.velocities, 0.0),
        )

    def comes_in_s(self, now_ns: int) -> float:
        """How soon the first point of the path is due, which may be put off: `trajectory.lead_s`.

        Args:
            now_ns: ROS time.
        """
        if self._path is None or len(self._path.times_ns) < 2:
            return 0.0
        return max(0.0, (int(self._path.times_ns[1]) - now_ns) / NS)

    def start(self, measured: np.ndarray, now_ns: int) -> np.ndarray:
        """(A,) where what is commanded next begins; NaN where nobody knows.

        Args:
            measured: (A,) where the joints are; NaN where unknown.
            now_ns: ROS time.
        """
        told = self.at(now_ns)
        low, high = np.fmin(self._low, told), np.fmax(self._high, told)
        if self._path is not None:
            low, high = self._along(now_ns, low, high)
        moved = (measured < low - self._slack) | (measured > high + self._slack)
        return np.where(np.isfinite(told) & ~moved, told, measured)

    def _along(self, now_ns: int, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, ...]:
        """With all that a path has commanded since it was sent: a joint follows it late."""
        path = self._path.between(self._sent_ns, now_ns).positions
        return (
            np.where(self._of_path, np.fmin(low, path.min(axis=0)), low),
            np.where(self._of_path, np.fmax(high, path.max(axis=0)), high),
        )


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return np.array_equal(one, other, equal_nan=True)
