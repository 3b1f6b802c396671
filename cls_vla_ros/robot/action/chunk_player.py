"""Plays chunks by time, one command after the other, from one chunk to the next without a jump.

No clock in here: every method is told what time it is, in nanoseconds of ROS time.
"""

import math
import threading
from dataclasses import dataclass

import numpy as np

from cls_vla_ros.robot.action.chunk import Chunk, Command, Hold
from cls_vla_ros.robot.action.shaping import MotionLimits, braking_ends_at, follow
from cls_vla_ros.robot.stamps import NS

LATE_PERIODS = 3  # commands further apart were held up meanwhile: the joints stand
AT_REST = 1e-6  # rad/s


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

    What is commanded follows that within `limits`. With an acceleration among them, it goes on
    after the end of what is played, or after a flush that allows it, until it is at rest.

    Thread-safe: chunks come from the inference thread, the timer samples.
    """

    def __init__(
        self,
        *,
        blend_s: float,
        hold_publish_s: float = 0.0,
        period_s: float = 0.02,
        limits: MotionLimits | None = None,
    ) -> None:
        """Start on hold.

        Args:
            blend_s: how long a chunk takes over; 0: at once, with a jump.
            hold_publish_s: how long after the last command a Hold repeats it; 0: not at all, the
                controller holds by itself.
            period_s: time between two commands.
            limits: of the A values; may be replaced. None: there are none.

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
        self.limits, self._period_ns = limits, round(period_s * NS)
        self._velocity: np.ndarray | None = None  # of the last command; None: it stands
        self._aim: np.ndarray | None = None  # what that followed
        self._begin: np.ndarray | None = None  # what the first command follows

    def put(self, chunk: Chunk, now_ns: int, positions: np.ndarray | None = None) -> str:
        """Play a chunk from now on.

        Args:
            chunk: which passed its checks.
            now_ns: ROS time.
            positions: (A,) where the joints are: what it fades from, and what its first command
                follows, where nothing is commanded at present. None: that is its own.

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
                self._forget()
            self._end_if_over(now_ns)
            if not self._parts:
                braked = self._braked(now_ns)
                if braked is not None:
                    return Hold(self._reason, braked, brakes=True)
                return Hold(self._reason, self._repeated(now_ns))
            self._drop_faded(now_ns)
            target = self._value(now_ns)
            values = self._shaped(target, now_ns)
            step = self._parts[-1].chunk.step_at(now_ns)
            return Command(values.copy(), target, step, blending=len(self._parts) > 1)

    def in_force(self, now_ns: int) -> np.ndarray | None:
        """(A,) what is commanded at this time, to hold a new chunk's first step against.

        None while nothing is: then the newest joint state is what counts.
        """
        with self._lock:
            if self._parts and now_ns <= self._parts[-1].chunk.end_ns:
                if self.limits is None:
                    return self._value(now_ns)
                if self._last is not None:
                    return self._last[0].copy()
                # None of it has been commanded yet.
                return self._value(now_ns) if self._begin is None else self._begin.copy()
            if self._moves(now_ns):
                return self._last[0].copy()
            return self._repeated(now_ns)

    def flush(self, reason: str, *, repeats: bool = True) -> None:
        """Play nothing any more: from now on every sample is a Hold with this reason.

        Args:
            reason: why: stale observations, a reset, deactivation, a time jump.
            repeats: whether the last command may be repeated, and a motion come to rest; not where
                others may have the arm from now on.
        """
        with self._lock:
            self._flush(reason)
            if not repeats:
                self._forget()

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
        nothing_commanded = self.limits is not None and self._last is None
        if self._parts and not (nothing_commanded and positions is not None):
            self._drop_faded(now_ns)
            return self._parts
        if self._last and now_ns < self._last[1]:  # time went back
            self._forget()
        if self._moves(now_ns):  # it has not come to rest yet
            repeated = self._last[0]
        else:
            self._velocity, repeated = None, self._repeated(now_ns)
        if repeated is None:
            repeated = None if positions is None else np.array(positions, np.float64)
            self._last, self._begin = None, repeated
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

    def _forget(self) -> None:
        self._last = self._velocity = self._aim = None

    def _shaped(self, aim: np.ndarray, now_ns: int) -> np.ndarray:
        """The command that follows it within the limits."""
        last, self._last = self._last, (aim, now_ns)
        if self.limits is None:
            return aim
        if last is None and self._begin is not None:
            last = np.array(self._begin, np.float64), now_ns - self._period_ns
        if last is None:
            self._velocity, self._aim = np.zeros_like(aim), aim
            return aim
        position, at_ns = last
        span_s = (now_ns - at_ns) / NS
        if span_s == 0:
            self._last = last
            return position
        if not self._moves(now_ns, at_ns):
            self._velocity, self._aim, span_s = np.zeros_like(aim), None, self._period_ns / NS
        speed = np.zeros_like(aim) if self._aim is None else (aim - self._aim) / span_s
        position, self._velocity = follow(
            position, self._velocity, aim, speed, span_s, self.limits
        )
        self._last, self._aim = (position, now_ns), aim
        return position

    def _moves(self, now_ns: int, at_ns: int | None = None) -> bool:
        """Whether the last command was one of a motion, and not too long ago for that."""
        if self._velocity is None or (at_ns is None and self._last is None):
            return False
        at_ns = self._last[1] if at_ns is None else at_ns
        return 0 <= now_ns - at_ns <= LATE_PERIODS * self._period_ns

    def _braked(self, now_ns: int) -> np.ndarray | None:
        """The next command on the way to rest; None if it is there."""
        self._aim, limits = None, self.limits
        if self._moves(now_ns):
            position, at_ns = self._last
            moving = np.isfinite(limits.acceleration) & (np.abs(self._velocity) > AT_REST)
            if moving.any() and now_ns > at_ns:
                end = braking_ends_at(position, self._velocity, limits)
                span_s = (now_ns - at_ns) / NS
                position, self._velocity = follow(
                    position, self._velocity, end, 0 * end, span_s, limits
                )
                self._last = position, now_ns
                return position.copy()
        self._velocity = None
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
