"""How the actions on a reused prefix drift as the robot moves, and how far it may move."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

BINS = 12  # of equally many samples
MIN_SAMPLES = 10  # of an age, to say anything of it
TAIL = 0.95  # the quantile that is held to the limit: an arm is where its worst actions put it


@dataclass(frozen=True)
class Drift:
    """Reused prefixes, a sample for each chunk.

    Attributes:
        ages_s: (N,) of the prefix.
        motions: (N,) how far the robot had moved since, see `motion_of`.
        deviations: (N,) of the steps that are executed until the next inference: root mean square
            difference from the full recompute with the same noise, in units of two noises.
    """

    ages_s: np.ndarray
    motions: np.ndarray
    deviations: np.ndarray

    def bins(self) -> list[tuple[float, np.ndarray]]:
        """The deviations by motion, ascending: the largest motion of each bin, and those in it."""
        if len(self.motions) < BINS:
            return []
        order = np.argsort(self.motions, kind="stable")
        return [
            (float(self.motions[part[-1]]), self.deviations[part])
            for part in np.array_split(order, BINS)
        ]

    def max_motion(self, max_tail: float) -> float:
        """The largest motion up to which the tail of no bin is above a limit; 0 if none is below.

        Args:
            max_tail: of the 95 % quantile of the deviations of each bin.
        """
        largest = 0.0
        for motion, deviations in self.bins():
            if np.quantile(deviations, TAIL) > max_tail:
                break
            largest = motion
        return largest

    def max_frames(self, period_s: float, max_tail: float, max_motion: float) -> int:
        """The oldest age, in frames, up to which the tail is below a limit; 0 if none is.

        Args:
            period_s: of a frame.
            max_tail: of the 95 % quantile of the deviations at each age.
            max_motion: a prefix from before more than that is not reused, and does not count.
        """
        ages = np.where(self.motions <= max_motion, np.rint(self.ages_s / period_s), 0)
        oldest = 0
        for frames in range(1, int(ages.max(initial=0)) + 1):
            deviations = self.deviations[ages == frames]
            if len(deviations) < MIN_SAMPLES or np.quantile(deviations, TAIL) > max_tail:
                break
            oldest = frames
        return oldest

    def p95_within(self, max_age_s: float, max_motion: float) -> float:
        """95 % quantile of the deviations within limits; NaN where there are none."""
        within = (self.ages_s <= max_age_s + 1e-6) & (self.motions <= max_motion)
        return float(np.quantile(self.deviations[within], TAIL)) if within.any() else np.nan

    def explained(self) -> dict[str, float | None]:
        """How well age and motion tell the deviation.

        Returns:
            Spearman's rank correlation of each with it, and of each where the other is held (the
            partial one: that of what is left of the ranks after a straight line through the
            other's); None where something does not vary.
        """
        age, motion, deviation = (
            rankdata(values) for values in (self.ages_s, self.motions, self.deviations)
        )
        return {
            "age": _correlation(age, deviation),
            "motion": _correlation(motion, deviation),
            "age_given_motion": _correlation(_without(age, motion), _without(deviation, motion)),
            "motion_given_age": _correlation(_without(motion, age), _without(deviation, age)),
        }

    def to_values(self) -> dict[str, object]:
        """For the report."""
        return {
            "samples": len(self.motions),
            "rank_correlation_with_deviation": self.explained(),
            "by_motion": [
                {
                    "up_to": motion,
                    "median": float(np.median(deviations)),
                    "p95": float(np.quantile(deviations, TAIL)),
                }
                for motion, deviations in self.bins()
            ],
        }


def _correlation(a: np.ndarray, b: np.ndarray) -> float | None:
    if len(a) < 3 or np.ptp(a) < 1e-9 or np.ptp(b) < 1e-9:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def _without(ranks: np.ndarray, other: np.ndarray) -> np.ndarray:
    """What is left of ranks after the least squares line through others."""
    if len(ranks) < 3 or np.ptp(other) < 1e-9:
        return ranks
    return ranks - np.polyval(np.polyfit(other, ranks, 1), other)
