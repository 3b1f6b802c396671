"""What the similarity is at each interval between full inferences, and the threshold for it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cls_vla_ros.evaluation.measures.detection import LIGHT, ORDINARY, auc, kinds_of
from cls_vla_ros.evaluation.measures.traces import (
    DIMMED_FRAMES,
    PATCHED_FRAMES,
    Trace,
    similarities,
)

CHANGED = "changed"
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
DIGITS = 4  # of thresholds and seconds


@dataclass(frozen=True)
class Wanted:
    """What the thresholds shall do; one of the two is set.

    Attributes:
        false_alarms: share of the ordinary pairs that are taken for changed.
        miss_rate: share of the changed pairs that are taken for ordinary.
    """

    false_alarms: float | None = None
    miss_rate: float | None = None

    @classmethod
    def of(
        cls,
        false_alarms: float | None,
        miss_rate: float | None,
        reuse_rate: float | None,
        max_reuses: int,
    ) -> "Wanted":
        """From the command line; 5 % false alarms if it says nothing.

        Where the scene stays as it is, a full inference is followed by `max_reuses` reuses unless
        it is a false alarm (f): the share of reuses is (1 - f) m / ((1 - f) m + 1).

        Raises:
            ValueError: so many reuses are not possible within the cache's limits.
        """
        if reuse_rate is None:
            none = false_alarms is None and miss_rate is None
            return cls(0.05 if none else false_alarms, miss_rate)
        most = max_reuses / (max_reuses + 1)
        if reuse_rate > most:
            raise ValueError(
                f"a reuse rate of {reuse_rate:g} is more than the {most:.3g} that {max_reuses} "
                "reuses in a row allow: ask for less, or for a larger --max-deviation"
            )
        return cls(1 - reuse_rate / ((1 - reuse_rate) * max_reuses))


@dataclass(frozen=True)
class Interval:
    """One interval between full inferences.

    Attributes:
        frames: of the recordings.
        seconds: the same.
        ordinary: similarities of ordinary pairs.
        light: of pairs across a change of light.
        changed: of pairs across a change of the scene, labelled or made.
        threshold: what was asked for.
    """

    frames: int
    seconds: float
    ordinary: np.ndarray
    light: np.ndarray
    changed: np.ndarray
    threshold: float

    @property
    def unchanged(self) -> np.ndarray:
        return np.concatenate([self.ordinary, self.light])

    def to_values(self) -> dict[str, object]:
        """For the report: shares above and below the threshold, areas, quantiles."""
        groups = {ORDINARY: self.ordinary, LIGHT: self.light, CHANGED: self.changed}
        return {
            "frames": self.frames,
            "seconds": self.seconds,
            "threshold": self.threshold,
            "false_alarms": _share(self.ordinary <= self.threshold),
            "false_alarms_light": _share(self.light <= self.threshold),
            "miss_rate": _share(self.changed > self.threshold),
            "auc": _none(auc(-self.changed, -self.unchanged)),
            "auc_light": _none(auc(-self.changed, -self.light)),
            "similarities": {name: _quantiles(values) for name, values in groups.items()},
        }


def intervals_of(
    traces: Sequence[Trace], frames: Sequence[int], period_s: float, wanted: Wanted
) -> list[Interval]:
    """Similarities and threshold for each interval.

    Args:
        traces: of the episodes; one that is shorter than an interval has no part in it.
        frames: the intervals.
        period_s: of a frame.
        wanted: of the thresholds.

    Raises:
        ValueError: there are no pairs to take a threshold from.
    """
    found = []
    for k in frames:
        parts = [_similarities(trace, k) for trace in traces if len(trace) > k]
        names = (ORDINARY, LIGHT, CHANGED)
        of = {n: np.concatenate([p[n] for p in parts] or [np.zeros(0)]) for n in names}
        basis = CHANGED if wanted.false_alarms is None else ORDINARY
        if not len(of[basis]):
            raise ValueError(
                f"no {basis} pairs of frames {k} apart: record more or longer episodes"
                + (
                    ""
                    if basis == ORDINARY
                    else " with labelled changes, or ask for --false-alarms"
                )
            )
        share = wanted.false_alarms if basis == ORDINARY else 1 - wanted.miss_rate
        threshold = round(float(np.clip(np.quantile(of[basis], share), -1, 1)), DIGITS)
        found.append(
            Interval(
                k, round(k * period_s, DIGITS), of[ORDINARY], of[LIGHT], of[CHANGED], threshold
            )
        )
    return found


def _similarities(trace: Trace, k: int) -> dict[str, np.ndarray]:
    usual = trace.obs_cls_out
    plain = similarities(usual, usual, k)
    if trace.disturbed:
        # A patch appears or vanishes, light is dimmed or restored.
        others = {CHANGED: trace.disturbed[PATCHED_FRAMES], LIGHT: trace.disturbed[DIMMED_FRAMES]}
        return {ORDINARY: plain} | {
            name: np.concatenate([similarities(usual, other, k), similarities(other, usual, k)])
            for name, other in others.items()
        }
    kinds = kinds_of(trace.events or [], trace.stamps_s, k)
    changed = ~np.isin(kinds, (ORDINARY, LIGHT))
    found = {ORDINARY: kinds == ORDINARY, LIGHT: kinds == LIGHT, CHANGED: changed}
    return {name: plain[of] for name, of in found.items()}


def _quantiles(values: np.ndarray) -> dict[str, float]:
    found = np.quantile(values, QUANTILES).tolist() if len(values) else [None] * len(QUANTILES)
    return {"pairs": len(values), **dict(zip(map(str, QUANTILES), found, strict=True))}


def _share(flags: np.ndarray) -> float | None:
    return float(flags.mean()) if len(flags) else None


def _none(value: float) -> float | None:
    return None if np.isnan(value) else value
