"""Plays chunks by time, one command after the other, from one chunk to the next without a jump.

No clock in here: every method is told what time it is, in nanoseconds of ROS time.
"""

import math
import threading
from dataclasses import dataclass

import numpy as np

from cls_vla_ros.robot.stamps import NS


@dataclass(frozen=True)
class Chunk:
    """The actions of one inference. Step k is commanded at stamp_ns + k dt.

    Attributes:
        actions: (T, A) float64, rad or m, as `action_limits.check_chunk` let them through.
        stamp_ns: time of the observation.
        dt_s: time between two steps.
    """

    actions: np.ndarray
    stamp_ns: int
    dt_s: float

    def __post_init__(self) -> None:
        if self.actions.ndim != 2 or not self.actions.size:
            raise ValueError(f"expected actions of (T, A), got {self.actions.shape}")
        if not np.isfinite(self.actions).all():
            raise ValueError("the chunk has NaN or infinity: let check_chunk look at it first")
        if not 0 < self.dt_s < math.inf:
            raise ValueError(f"dt_s must be above 0, got {self.dt_s}")

    @property
    def end_ns(self) -> int:
        """When its last step is commanded."""
        return self.stamp_ns + round((len(self.actions) - 1) * self.dt_s * NS)

    def step_at(self, now_ns: int) -> float:
        """How many steps have passed, in [0, T - 1]."""
        return min(max((now_ns - self.stamp_ns) / NS / self.dt_s, 0.0), len(self.actions) - 1.0)

    def at(self, now_ns: int) -> np.ndarray:
        """(A,) between its steps; its first before it begins, its last after it ends."""
        step = self.step_at(now_ns)
        index = min(int(step), len(self.actions) - 1)
        after = min(index + 1, len(self.actions) - 1)
        weight = step - index
        return (1 - weight) * self.actions[index] + weight * self.actions[after]


@dataclass(frozen=True)
class Command:
    """What to command now.

    Attributes:
        values: (A,) rad or m.
        step_fraction: of the newest chunk, in [0, T - 1]: 2.5 is midway from step 2 to step 3.
        blending: whether the one before it still has a share.
    """

    values: np.ndarray
    step_fraction: float
    blending: bool


@dataclass(frozen=True)
class Hold:
    """There is nothing to play.

    Attributes:
        reason: why, in words.
        values: (A,) the last command, to publish once more; None: publish nothing.
    """

    reason: str
    values: np.ndarray | None = None


@dataclass(frozen=True)
class _Part:
    chunk: Chunk
    begin_ns: int  # when it begins to take over from the part before it


class ChunkPlayer:
    """One at a time plays; after its last step, or after a flush, the player holds.

    A new chunk takes over within `blend_s`: a linear cross-fade of what would have been commanded
    and what the new one commands, both at the same time. So the command is continuous, and no
    faster than the faster of the two plus their difference / blend_s. A third chunk may come
    before the fade is over: then the faded command is what it fades from.

    Thread-safe: chunks come from the inference thread, the timer samples.
    """

    def __init__(self, *, blend_s: float, hold_publish_s: float = 0.0) -> None:
        """Start on hold.

        Args:
            blend_s: how long a chunk takes over; 0: at once, with a jump.
            hold_publish_s: how long after the last command a Hold repeats it; 0: not at all, the
                controller holds by itself.

        Raises:
            ValueError: one of them is negative, infinite or NaN.
        """
        for name, value in (("blend_s", blend_s), ("hold_publish_s", hold_publish_s)):
            if not 0 <= value < math.inf:
                raise ValueError(f"{name} must be 0 or above, got {value}")
        self._blend_ns = round(blend_s * NS)
        self._hold_publish_ns = round(hold_publish_s * NS)
        self._lock = threading.Lock()
        self._parts: list[_Part] = []  # oldest first; each fades over what the ones before make
        self._reason = "no chunk has come yet"
        self._stamp_ns: int | None = None  # of the newest chunk since the last flush
        self._last: tuple[np.ndarray, int] | None = None  # the last command, and when it was

    def put(self, chunk: Chunk, now_ns: int, positions: np.ndarray | None = None) -> str:
        """Play a chunk from now on.

        Args:
            chunk: which passed its checks.
            now_ns: ROS time.
            positions: (A,) where the joints are: what it fades from where nothing is commanded at
                present. None: then its first command is its own.

        Returns:
            Why it is not played; empty if it is.

        Raises:
            ValueError: another number of values than the chunk before, or than `positions`, or
                positions that are not finite.
        """
        with self._lock:
            if refused := self._problem(chunk, now_ns):
                return refused
            start = self._start(now_ns, positions)
            widths = {len(part.chunk.actions[0]) for part in start}
            if widths - {chunk.actions.shape[1]}:
                raise ValueError(
                    f"the chunk has {chunk.actions.shape[1]} values in each step, but what it "
                    f"takes over from has {widths.pop()}: flush before the joints change"
                )
            # The timer may have sampled while this call waited: what was commanded stays so.
            begin_ns = max(now_ns, self._last[1]) if self._last and start else now_ns
            self._parts = [*start, _Part(chunk, begin_ns)]
            self._stamp_ns = chunk.stamp_ns
            return ""

    def sample(self, now_ns: int) -> Command | Hold:
        """The command of this time. If time went back since the last one, the player is flushed.

        Args:
            now_ns: ROS time.
        """
        with self._lock:
            if self._last and now_ns < self._last[1]:
                if self._parts:
                    back_s = (self._last[1] - now_ns) / NS
                    self._flush(f"the time went back by {back_s:.3f} s")
                self._last = None
            self._end_if_over(now_ns)
            if not self._parts:
                return Hold(self._reason, self._repeated(now_ns))
            self._drop_faded(now_ns)
            values = self._value(now_ns)
            self._last = values, now_ns
            step = self._parts[-1].chunk.step_at(now_ns)
            return Command(values.copy(), step, blending=len(self._parts) > 1)

    def in_force(self, now_ns: int) -> np.ndarray | None:
        """(A,) what is commanded at this time, to hold a new chunk's first step against.

        None while nothing is: then the newest joint state is what counts.
        """
        with self._lock:
            if self._parts and now_ns <= self._parts[-1].chunk.end_ns:
                return self._value(now_ns)
            return self._repeated(now_ns)

    def flush(self, reason: str, *, repeats: bool = True) -> None:
        """Play nothing any more: from now on every sample is a Hold with this reason.

        Args:
            reason: why: stale observations, a reset, deactivation, a time jump.
            repeats: whether the last command may be repeated; not where others may have moved the
                arm meanwhile.
        """
        with self._lock:
            self._flush(reason)
            if not repeats:
                self._last = None

    def _flush(self, reason: str) -> None:
        self._parts, self._stamp_ns, self._reason = [], None, reason

    def _problem(self, chunk: Chunk, now_ns: int) -> str:
        if chunk.stamp_ns > now_ns:
            return (
                f"the chunk is stamped {(chunk.stamp_ns - now_ns) / NS:.3f} s in the future: two "
                "clocks differ"
            )
        if chunk.end_ns < now_ns:
            late_s, span_s = ((now_ns - t) / NS for t in (chunk.end_ns, chunk.stamp_ns))
            return (
                f"the chunk came too late: its last step was due {late_s:.3f} s ago, its "
                f"observation is {span_s:.3f} s old"
            )
        if self._stamp_ns is not None and chunk.stamp_ns < self._stamp_ns:
            older_s = (self._stamp_ns - chunk.stamp_ns) / NS
            return f"the chunk's observation is {older_s:.3f} s older than that of the one before"
        return ""

    def _start(self, now_ns: int, positions: np.ndarray | None) -> list[_Part]:
        """What a new chunk fades from."""
        self._end_if_over(now_ns)
        if self._parts:
            self._drop_faded(now_ns)
            return self._parts
        if self._last and now_ns < self._last[1]:  # time went back
            self._last = None
        repeated = self._repeated(now_ns)
        if repeated is None:
            repeated = positions
        if repeated is None:
            return []
        if not np.isfinite(repeated).all():
            raise ValueError(f"positions must be finite or None, got {repeated}")
        # One step is a constant; its dt means nothing.
        return [_Part(Chunk(np.array(repeated, np.float64)[None], now_ns, 1.0), now_ns)]

    def _drop_faded(self, now_ns: int) -> None:
        while len(self._parts) > 1 and self._share(self._parts[1], now_ns) == 1.0:
            del self._parts[0]

    def _end_if_over(self, now_ns: int) -> None:
        if self._parts and now_ns > (end_ns := self._parts[-1].chunk.end_ns):
            self._parts = []
            self._reason = (
                f"the chunk ended {(now_ns - end_ns) / NS:.3f} s ago, and no other has come"
            )

    def _repeated(self, now_ns: int) -> np.ndarray | None:
        if self._last and self._hold_publish_ns:
            values, at_ns = self._last
            if 0 <= now_ns - at_ns <= self._hold_publish_ns:
                return values.copy()
        return None

    def _share(self, part: _Part, now_ns: int) -> float:
        if not self._blend_ns:
            return 1.0
        return min(max((now_ns - part.begin_ns) / self._blend_ns, 0.0), 1.0)

    def _value(self, now_ns: int) -> np.ndarray:
        values = self._parts[0].chunk.at(now_ns)
        for part in self._parts[1:]:
            share = self._share(part, now_ns)
            values = (1 - share) * values + share * part.chunk.at(now_ns)
        return values


def next_index(stamp_ns: int, dt_s: float, now_ns: int) -> int:
    """The first step of a chunk whose time is not past, for `check_chunk`'s first_index.

    Args:
        stamp_ns: when step 0 is due: the observation's stamp for a ChunkPlayer; one dt later for
            the points of a JointTrajectory, which say when the arm is there.
        dt_s: time between two steps.
        now_ns: ROS time.

    Returns:
        Its number; as large as the chunk's length, or larger, where the whole chunk is past.
    """
    return max(0, math.ceil((now_ns - stamp_ns) / NS / dt_s))
