"""What the gate and the cache did, of an episode and in total."""

import math
from collections import Counter, deque
from dataclasses import dataclass, field

from cls_vla_ros.inference.reuse.reasons import Reason

WINDOW = 100  # the guide's window_size


def _window() -> deque[bool]:
    return deque(maxlen=WINDOW)


@dataclass
class Statistics:
    """Counts inferences by reason, and evaluations by decision.

    Attributes:
        reasons: inferences by reason; REUSED are the reused ones.
        cached: evaluations that said should_cache; the guide's `cached`.
        not_cached: the others; the guide's `not_cached`.
    """

    reasons: Counter[Reason] = field(default_factory=Counter)
    cached: int = 0
    not_cached: int = 0
    _decisions: deque[bool] = field(default_factory=_window)
    _reused: deque[bool] = field(default_factory=_window)

    def add_decision(self, should_cache: bool) -> None:
        """Count an evaluation of the gate."""
        self.cached += should_cache
        self.not_cached += not should_cache
        self._decisions.append(should_cache)

    def add_inference(self, reason: Reason) -> None:
        """Count an inference."""
        self.reasons[reason] += 1
        self._reused.append(reason is Reason.REUSED)

    @property
    def inferences(self) -> int:
        return sum(self.reasons.values())

    @property
    def hit_rate(self) -> float:
        """Share of the last 100 evaluations that said should_cache; NaN without any."""
        return _share(self._decisions)

    @property
    def reuse_rate(self) -> float:
        """Share of the last 100 inferences that used a cached prefix; NaN without any."""
        return _share(self._reused)

    def summary(self) -> str:
        """One line for the log."""
        evaluations = self.cached + self.not_cached
        by_reason = ", ".join(f"{r.name.lower()} {n}" for r, n in self.reasons.most_common())
        rate = f" ({self.cached / evaluations:.0%})" if evaluations else ""
        return (
            f"{self.inferences} inferences: {by_reason or 'none'}; {evaluations} evaluations, "
            f"{self.cached} cached{rate}"
        )


def _share(flags: deque[bool]) -> float:
    return sum(flags) / len(flags) if flags else math.nan
