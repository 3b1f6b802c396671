"""What the similarity is at each interval between full inferences, and the thresholds for it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from cls_vla_ros.evaluation.calibration.conformal import Held, expected, hold
from cls_vla_ros.evaluation.measures.detection import LIGHT, ORDINARY, auc, is_change, kinds_of
from cls_vla_ros.evaluation.measures.disturbed import ONSET, STEADY, WITHOUT_ONSET
from cls_vla_ros.evaluation.measures.traces import (
    DIMMED_FRAMES,
    PATCHED_FRAMES,
    Trace,
    motions,
    similarities,
)
from cls_vla_ros.policy.thresholds import Row
from cls_vla_ros.policy.training.nuisances import NAMED

CHANGED = "changed"
NAMES = (ORDINARY, LIGHT, CHANGED)
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
DIGITS = 4  # of thresholds, seconds and motions


@dataclass(frozen=True)
class Wanted:
    """What the thresholds shall do; one of the two is set.

    Attributes:
        false_alarms: share of an episode's ordinary pairs that are taken for changed.
        miss_rate: share of its changed pairs that are taken for ordinary.
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
        if reuse_rate >= most:
            raise ValueError(
                f"a reuse rate of {reuse_rate:g} is not below the {most:.3g} that {max_reuses} "
                "reuses in a row allow: ask for less, or for a larger --max-tail or --max-delay"
            )
        return cls(1 - reuse_rate / ((1 - reuse_rate) * max_reuses))


@dataclass(frozen=True)
class Similarities:
    """Of some pairs of frames.

    Attributes:
        values: (P,) the gate's similarity.
        motions: (P,) how far the robot moved between the two.
    """

    values: np.ndarray
    motions: np.ndarray

    def __len__(self) -> int:
        return len(self.values)

    def only(self, which: np.ndarray) -> "Similarities":
        """Some of them, by (P,) bool."""
        return Similarities(self.values[which], self.motions[which])

    @classmethod
    def together(cls, parts: Sequence["Similarities"]) -> "Similarities":
        """Of all parts."""
        nothing = np.zeros(0)
        return cls(
            np.concatenate([nothing, *(part.values for part in parts)]),
            np.concatenate([nothing, *(part.motions for part in parts)]),
        )


@dataclass(frozen=True)
class Interval:
    """One interval between full inferences.

    Attributes:
        frames: of the recordings.
        ordinary: ordinary pairs of all episodes.
        light: those across a change of light.
        changed: those across a change of the scene, labelled or made.
        row: the thresholds, as the checkpoint has them.
        moving: what the one for a robot that moves holds, in ordinary pairs, or in changed ones
            where a miss rate was asked for.
        calm: likewise.
        rates: (E,) false alarms of each episode, at the thresholds that the others give; those
            under nuisances among them.
        nuisances: ordinary pairs under each nuisance, "jpeg steady" and "jpeg onset" and so on.
    """

    frames: int
    ordinary: Similarities
    light: Similarities
    changed: Similarities
    row: Row
    moving: Held
    calm: Held
    rates: np.ndarray
    nuisances: dict[str, Similarities] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        return self.row.interval_s

    @property
    def unchanged(self) -> np.ndarray:
        """Similarities of ordinary pairs and those across light."""
        return np.concatenate([self.ordinary.values, self.light.values])

    def alarms(self, of: Similarities) -> np.ndarray:
        """(P,) whether the gate takes the scene for changed."""
        return _alarms(of, self.row)

    @property
    def expected(self) -> dict[str, float | None]:
        """False alarms in a new episode, see `conformal.expected`; overlapping pairs are one."""
        return expected(self.rates, len(self.ordinary) / self.frames)

    def to_values(self) -> dict[str, object]:
        """For the report: shares above and below the thresholds, areas, quantiles."""
        groups = {ORDINARY: self.ordinary, LIGHT: self.light, CHANGED: self.changed}
        return {
            "frames": self.frames,
            "seconds": self.seconds,
            "row": list(self.row),
            "promised": {"moving": self.moving.promised, "calm": self.calm.promised},
            "episodes": {"moving": self.moving.episodes, "calm": self.calm.episodes},
            "false_alarms_expected": self.expected,
            "false_alarms": _share(self.alarms(self.ordinary)),
            "false_alarms_nuisances": {
                name: _share(self.alarms(of)) for name, of in self.nuisances.items()
            },
            "false_alarms_light": _share(self.alarms(self.light)),
            "miss_rate": _share(~self.alarms(self.changed)),
            "auc": _none(auc(-self.changed.values, -self.unchanged)),
            "auc_light": _none(auc(-self.changed.values, -self.light.values)),
            "similarities": {name: _quantiles(of.values) for name, of in groups.items()},
        }


def intervals_of(
    traces: Sequence[Trace], frames: Sequence[int], period_s: float, wanted: Wanted
) -> list[Interval]:
    """Similarities and thresholds for each interval.

    Half of the ordinary pairs are those of a robot that moves, by the median of their motion.

    Args:
        traces: of the episodes; one that is shorter than an interval has no part in it.
        frames: the intervals.
        period_s: of a frame.
        wanted: of the thresholds.

    Raises:
        ValueError: there are no pairs to take a threshold from.
    """
    return [
        _interval_of([_similarities(t, k) for t in traces if len(t) > k], k, period_s, wanted)
        for k in frames
    ]


def _interval_of(
    episodes: list[dict[str, Similarities]], frames: int, period_s: float, wanted: Wanted
) -> Interval:
    ordinary, light, changed = (
        Similarities.together([of[name] for of in episodes]) for name in (ORDINARY, LIGHT, CHANGED)
    )
    is_of_changed = wanted.false_alarms is None
    basis, share = (
        (CHANGED, wanted.miss_rate) if is_of_changed else (ORDINARY, wanted.false_alarms)
    )
    divides = ordinary if len(ordinary) else changed
    motion = round(float(np.median(divides.motions)), DIGITS) if len(divides) else 0.0
    # An alarm is a low similarity; a miss is a high one.
    sign = 1.0 if is_of_changed else -1.0
    under = [name for name in (episodes[0] if episodes else ()) if name not in NAMES]
    parts = [basis] if is_of_changed else [basis, *under]
    moving, calm = (
        hold([[sign * of[n].values[side(of[n].motions)] for n in parts] for of in episodes], share)
        for side in (lambda m: m >= motion, lambda m: m < motion)
    )
    if moving is None and calm is None:
        raise ValueError(
            f"no {basis} pairs of frames {frames} apart: record more or longer episodes"
            + (" with labelled changes, or ask for --false-alarms" if is_of_changed else "")
        )
    moving, calm = moving or calm, calm or moving
    to_threshold = _at_least if is_of_changed else _below_minus
    seconds = round(frames * period_s, DIGITS)
    row = Row(seconds, to_threshold(moving.cut), to_threshold(calm.cut), motion)
    rates = np.array(
        [
            _rate(
                [of[name] for name in (ORDINARY, *under)],
                Row(seconds, to_threshold(m), to_threshold(c), motion),
            )
            for of, m, c in zip(episodes, moving.without, calm.without, strict=True)
        ]
    )
    nuisances = {name: Similarities.together([of[name] for of in episodes]) for name in under}
    return Interval(frames, ordinary, light, changed, row, moving, calm, rates, nuisances)


def _below_minus(cut: float) -> float:
    """The highest threshold that a similarity of -cut is above."""
    return float(np.clip((np.ceil(-cut * 10**DIGITS) - 1) / 10**DIGITS, -1, 1))


def _at_least(cut: float) -> float:
    """The lowest threshold that a similarity of cut is not above."""
    return float(np.clip(np.ceil(cut * 10**DIGITS) / 10**DIGITS, -1, 1))


def _alarms(of: Similarities, row: Row) -> np.ndarray:
    return of.values <= _thresholds(of, row)


def _thresholds(of: Similarities, row: Row) -> np.ndarray:
    return np.where(of.motions >= row.motion, row.moving, row.calm)


def _rate(parts: Sequence[Similarities], row: Row) -> float:
    """False alarms, mean over the parts; NaN without pairs, or where nobody else had such."""
    alarms = [np.where(np.isnan(_thresholds(of, row)), np.nan, _alarms(of, row)) for of in parts]
    shares = [of.mean() for of in alarms if len(of)]
    return float(np.mean(shares)) if shares else np.nan


def _similarities(trace: Trace, k: int) -> dict[str, Similarities]:
    """By NAMES, and for each nuisance those that are ordinary, steady and at its onset."""
    usual, moved = trace.obs_cls_out, motions(trace, k)
    kinds = kinds_of(trace.events or [], trace.stamps_s, k)

    def of(before: Tensor, now: Tensor, which: np.ndarray) -> Similarities:
        return Similarities(similarities(before, now, k), moved).only(which)

    which = {ORDINARY: kinds == ORDINARY, LIGHT: kinds == LIGHT, CHANGED: is_change(kinds)}
    found = {name: of(usual, usual, flags) for name, flags in which.items()}
    if trace.has_made_changes:
        # A patch appears or vanishes, light is dimmed or restored.
        for name, how in ((CHANGED, PATCHED_FRAMES), (LIGHT, DIMMED_FRAMES)):
            other, every = trace.disturbed[how], np.ones(len(kinds), bool)
            both = [of(usual, other, every), of(other, usual, every)]
            found[name] = Similarities.together(both)
    for name, other in trace.disturbed.items():
        if name in NAMED:
            found[f"{name} {STEADY}"] = of(other, other, which[ORDINARY])
            if name not in WITHOUT_ONSET:
                found[f"{name} {ONSET}"] = of(usual, other, which[ORDINARY])
    return found


def _quantiles(values: np.ndarray) -> dict[str, float]:
    found = np.quantile(values, QUANTILES).tolist() if len(values) else [None] * len(QUANTILES)
    return {"pairs": len(values), **dict(zip(map(str, QUANTILES), found, strict=True))}


def _share(flags: np.ndarray) -> float | None:
    return float(flags.mean()) if len(flags) else None


def _none(value: float) -> float | None:
    return None if np.isnan(value) else value
