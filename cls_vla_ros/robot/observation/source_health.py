"""What can be wrong with a source (a camera, the joints) though its messages look right.

Stamps and times are nanoseconds of ROS time.
"""

import math
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from cls_vla_ros.inference.picture_health import is_black
from cls_vla_ros.robot.stamps import NS

RATE_WINDOW_S = 5.0
CLOCKS_DIFFER_S = 60.0  # no source is late by that much: it is another clock
CLOCKS_DIFFER = (
    ". Two clocks differ: a recording needs use_sim_time and /clock, a second computer NTP"
)


class StampError(ValueError):
    """A message that its stamp forbids to use; the text says why."""


@dataclass(frozen=True)
class SourceLimits:
    """What a source may do.

    Attributes:
        max_age_s: how old the newest usable message may be, and how far in the future a stamp.
        frozen_s: how long, by their stamps, messages may have the same content; infinity: for ever
            (a simulated camera, or joints, of an arm at rest).
        black_level: mean brightness, 0 to 255, below which a picture shows nothing; 0: none does.
    """

    max_age_s: float
    frozen_s: float = math.inf
    black_level: float = 0.0


class SourceHealth:
    """Follows one source. Thread-safe: messages arrive in one thread and are used in another.

    Joints whose messages come from several drivers are several sources: their stamps have no
    common order.
    """

    def __init__(self, name: str, limits: SourceLimits) -> None:
        """Start as if nothing had come.

        Args:
            name: for the texts: the topic, or topic and joint.
            limits: may be replaced while it runs.
        """
        self.name = name
        self.limits = limits
        self._lock = threading.Lock()
        self._out_of_order = self._future = self._zero_stamps = 0
        self._forget()

    def clear(self) -> None:
        """Forget the stamps and contents, for a reset or a time jump; the counts stay."""
        with self._lock:
            self._forget()

    def _forget(self) -> None:
        self._arrivals: deque[int] = deque()  # of the last RATE_WINDOW_S, and one before them
        self._newest_ns: int | None = None  # stamp of the newest message that arrived
        self._usable_ns: int | None = None  # of the newest that could be read
        self._checksum: int | None = None
        self._same_since_ns = 0
        self._mean = math.inf

    def arrived(self, stamp_ns: int, now_ns: int) -> tuple[int, str]:
        """A message came; called before it is stored.

        Args:
            stamp_ns: of its header; 0 if its driver does not stamp.
            now_ns: when it came.

        Returns:
            The stamp to use, and something to log, which is empty but for the first zero stamp.

        Raises:
            StampError: its stamp is before that of an earlier message, or too far in the future:
                it must not be stored.
        """
        with self._lock:
            self._arrivals.append(now_ns)
            while len(self._arrivals) > 1 and now_ns - self._arrivals[1] > RATE_WINDOW_S * NS:
                self._arrivals.popleft()
            note = ""
            if stamp_ns == 0:
                self._zero_stamps += 1
                stamp_ns = now_ns
                if self._zero_stamps == 1:
                    note = f"stamps on {self.name} are zero: the time of arrival is used"
            # Were it stored, every message of the right time would be out of order after it.
            ahead_s = (stamp_ns - now_ns) / NS
            if ahead_s > self.limits.max_age_s:
                self._future += 1
                raise StampError(
                    f"it is stamped {ahead_s:.2f} s in the future; at most "
                    f"{self.limits.max_age_s:g} may be" + _clocks_differ(ahead_s)
                )
            if self._newest_ns is not None and stamp_ns < self._newest_ns:
                self._out_of_order += 1
                before_s = (self._newest_ns - stamp_ns) / NS
                raise StampError(
                    f"it is out of order: stamped {before_s:.3f} s before one that came earlier"
                )
            self._newest_ns = stamp_ns
            return stamp_ns, note

    def usable(
        self, stamp_ns: int, *, checksum: int | None = None, mean: float = math.inf
    ) -> None:
        """The newest message could be read; called once it is decoded.

        Args:
            stamp_ns: which `arrived` gave.
            checksum: of its content; None where the same content again is no fault.
            mean: mean brightness of a picture, 0 to 255.
        """
        with self._lock:
            if checksum != self._checksum:
                self._checksum, self._same_since_ns = checksum, stamp_ns
            self._usable_ns, self._mean = stamp_ns, mean

    def problems(self, now_ns: int) -> list[str]:
        """Why nothing may be made of this source now; empty if nothing speaks against it.

        Args:
            now_ns: ROS time.
        """
        with self._lock:
            if self._usable_ns is None:
                what = "no message yet" if self._newest_ns is None else "no usable message yet"
                return [f"{what} on {self.name}"]
            found = []
            age_s = (now_ns - self._usable_ns) / NS
            limits = self.limits
            if age_s > limits.max_age_s:
                found.append(
                    f"{self.name} is {age_s:.2f} s old; at most {limits.max_age_s:g} may be"
                    + _clocks_differ(age_s)
                )
            elif -age_s > limits.max_age_s:  # the clock went back since it arrived
                found.append(
                    f"{self.name} is stamped {-age_s:.2f} s in the future; at most "
                    f"{limits.max_age_s:g} may be" + _clocks_differ(-age_s)
                )
            same_s = (self._usable_ns - self._same_since_ns) / NS
            if self._checksum is not None and same_s > limits.frozen_s:
                found.append(
                    f"{self.name} is frozen: the same bytes for {same_s:.2f} s; at most "
                    f"{limits.frozen_s:g} may be"
                )
            if is_black(self._mean, limits.black_level):
                found.append(
                    f"{self.name} is black: its mean brightness is {self._mean:.1f} of 255; at "
                    f"least {limits.black_level:g} must be"
                )
            return found

    def to_values(self, now_ns: int) -> dict[str, object]:
        """What /diagnostics says of it.

        Args:
            now_ns: ROS time.

        Returns:
            By name: rate over the last 5 seconds, age of the newest usable message, and counts of
            what was refused or restamped since the start.
        """
        with self._lock:
            age_ms = math.nan if self._usable_ns is None else (now_ns - self._usable_ns) / 1e6
            return {
                f"{self.name}: rate [Hz]": self._rate_hz(now_ns),
                f"{self.name}: age [ms]": age_ms,
                f"{self.name}: out of order": self._out_of_order,
                f"{self.name}: stamped in the future": self._future,
                f"{self.name}: stamps of zero": self._zero_stamps,
            }

    def _rate_hz(self, now_ns: int) -> float:
        """Messages per second, from the first in the window, so that a start is no slow rate."""
        began_ns = now_ns - round(RATE_WINDOW_S * NS)
        recent = [at_ns for at_ns in self._arrivals if at_ns > began_ns]
        if recent and len(recent) == len(self._arrivals):  # none before them: it began just now
            began_ns = recent.pop(0)
        return len(recent) / ((now_ns - began_ns) / NS) if now_ns > began_ns else 0.0


def skew_s(stamps_ns: Mapping[str, int]) -> float:
    """How far apart the sources of one observation are, newest minus oldest, in seconds.

    Args:
        stamps_ns: by source; at least one.
    """
    return (max(stamps_ns.values()) - min(stamps_ns.values())) / NS


def skew_problem(stamps_ns: Mapping[str, int], max_skew_s: float) -> str:
    """Why these sources do not make one observation; empty if they do.

    Args:
        stamps_ns: by source; at least one.
        max_skew_s: how far apart they may be.
    """
    apart_s = skew_s(stamps_ns)
    if apart_s <= max_skew_s:
        return ""
    oldest, newest = min(stamps_ns, key=stamps_ns.get), max(stamps_ns, key=stamps_ns.get)
    return (
        f"the sources are {apart_s:.3f} s apart; at most {max_skew_s:g} may be: {oldest} is the "
        f"oldest, {newest} the newest"
    )


def _clocks_differ(apart_s: float) -> str:
    return CLOCKS_DIFFER if apart_s > CLOCKS_DIFFER_S else ""
