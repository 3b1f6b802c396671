"""How often observations come, so that an age of two periods is not more than one of 0.15 s."""

from collections import deque

REMEMBERED = 10  # observations: the period follows a camera that becomes slower
MOST_OF_AGE = 0.1  # of the largest age: what is allowed beyond it at most


class Period:
    """The shortest time between the last observations. Its owner locks."""

    def __init__(self) -> None:
        """Start with nothing known."""
        self._last_s: float | None = None
        self._spacings_s: deque[float] = deque(maxlen=REMEMBERED)

    def reset(self) -> None:
        """Forget them: another episode begins."""
        self._last_s = None
        self._spacings_s.clear()

    def add(self, stamp_s: float) -> None:
        """An observation was taken."""
        if self._last_s is not None and stamp_s > self._last_s:
            self._spacings_s.append(stamp_s - self._last_s)
        self._last_s = stamp_s

    def tolerance_s(self, max_age_s: float) -> float:
        """By how much an age may exceed the largest, which is a multiple of the period: rounding.

        Half a period, and never more than a tenth of the largest age.

        Args:
            max_age_s: the largest.
        """
        half_s = min(self._spacings_s, default=0.0) / 2
        return min(half_s, MOST_OF_AGE * max_age_s)
