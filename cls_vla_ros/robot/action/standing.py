"""What the controllers were last told, as long as that still says where the joints are.

A gripper around an object, or an arm that leans on something, stands far from what it was told:
there the next command follows the last one, not the joint. After somebody else has moved the
joints, the last command says nothing, and the next one follows the joint.
"""

import numpy as np

from cls_vla_ros.robot.action.chunk_player import Chunk

USUAL_SLACK = 0.1  # rad or m, of values without a first_step


class Standing:
    """Not thread-safe: the ActionOutput holds its lock. A is the number of action values."""

    def __init__(self, first_step: np.ndarray) -> None:
        """Start with nothing told.

        Args:
            first_step: (A,) how far the next step may be from where a value is; infinity for any.
                A joint that is farther than half of it from all that lies between where it was
                and where it was told to go was moved by somebody else.
        """
        self._slack = np.where(np.isfinite(first_step), first_step / 2, USUAL_SLACK)
        self._nothing = np.full(len(first_step), np.nan)
        self.forget()

    def forget(self) -> None:
        """Whatever was told may have been undone meanwhile."""
        self._values, self._low, self._high = (self._nothing.copy() for _ in range(3))
        self._chunk: Chunk | None = None
        self._of_chunk = np.zeros(len(self._nothing), bool)
        self._sent_ns, self._begin = 0, self._nothing

    def told(self, values: np.ndarray, measured: np.ndarray, which: np.ndarray) -> None:
        """Commands went out.

        Args:
            values: (A,) of the whole action.
            measured: (A,) where the joints are; NaN where unknown.
            which: (A,) bool, of the values that went out.
        """
        self._values = np.where(which, values, self._values)
        self._reach(values, measured, which)
        self._of_chunk = self._of_chunk & ~which

    def sent(self, chunk: Chunk, measured: np.ndarray, which: np.ndarray, now_ns: int) -> None:
        """A chunk went out whole: from now on its steps are what a controller follows.

        Args:
            chunk: which; its stamp is when its first step is reached.
            measured: as of `told`.
            which: likewise.
            now_ns: when.
        """
        told = self.at(now_ns)
        begin = np.where(np.isfinite(told), told, measured)
        self._chunk, self._of_chunk = chunk, which.copy()
        self._sent_ns, self._begin = now_ns, begin
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
        if self._chunk is None:
            return self._values.copy()
        follows, lead_ns = self._chunk.at(now_ns), self._chunk.stamp_ns - self._sent_ns
        if lead_ns > 0 and np.isfinite(self._begin).any():  # on its way to the first step
            share = min(max((now_ns - self._sent_ns) / lead_ns, 0.0), 1.0)
            begin = np.where(np.isfinite(self._begin), self._begin, follows)
            follows = begin + share * (follows - begin)
        return np.where(self._of_chunk, follows, self._values)

    def start(self, measured: np.ndarray, now_ns: int) -> np.ndarray:
        """(A,) where what is commanded next begins; NaN where nobody knows.

        Args:
            measured: (A,) where the joints are; NaN where unknown.
            now_ns: ROS time.
        """
        told = self.at(now_ns)
        low, high = np.fmin(self._low, told), np.fmax(self._high, told)
        if self._chunk is not None:
            low, high = self._along(now_ns, low, high)
        moved = (measured < low - self._slack) | (measured > high + self._slack)
        return np.where(np.isfinite(told) & ~moved, told, measured)

    def _along(self, now_ns: int, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, ...]:
        """With all that a chunk has commanded since it was sent: a joint follows it late."""
        first = int(self._chunk.step_at(self._sent_ns))
        last = int(self._chunk.step_at(now_ns)) + 1
        path = self._chunk.actions[first:last]
        return (
            np.where(self._of_chunk, np.fmin(low, path.min(axis=0)), low),
            np.where(self._of_chunk, np.fmax(high, path.max(axis=0)), high),
        )
