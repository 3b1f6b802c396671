"""The gate's thresholds, a number, a preset's, or by interval from calibration; its decision."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

# A higher threshold is the stricter one, because caching needs similarity > threshold. (The guide
# that this project comes from has the labels the other way round, against its own rule.)
THRESHOLD_PRESETS = {"strict": 0.7, "balanced": 0.5, "relaxed": 0.3}


@dataclass(frozen=True)
class GateDecision:
    """What the gate saw in one full inference, and what it decided.

    Attributes:
        similarity: mean over the batch of `per_sample`, in [-1, 1]; NaN without history.
        per_sample: the cosine of each sample of the batch, B values; NaN without history.
        threshold: the threshold that the similarity was compared with.
        has_history: whether there was a previous full inference to compare with.
        should_cache: similarity > threshold, or no history: this prefix may be kept for reuse.
    """

    similarity: float
    per_sample: tuple[float, ...]
    threshold: float
    has_history: bool
    should_cache: bool

    @property
    def scene_changed(self) -> bool:
        """There was something to compare with, and it was not as predicted."""
        return self.has_history and not self.should_cache


class Row(NamedTuple):
    """The thresholds for one time between two full inferences.

    Attributes:
        interval_s: that time, in seconds.
        moving: the threshold where the robot has moved by `motion` or more between the two.
        calm: where it has moved by less.
        motion: norm of the change of state, each value in standard deviations of the dataset.
    """

    interval_s: float
    moving: float
    calm: float
    motion: float

    def shifted(self, by: float) -> "Row":
        """With both thresholds moved by as much, and still cosines."""
        moving, calm = (min(max(t + by, -1.0), 1.0) for t in (self.moving, self.calm))
        return self._replace(moving=moving, calm=calm)

    def threshold_for(self, motion: float | None) -> float:
        """That for a motion; where nobody knows it, the lower, which holds for both."""
        if motion is None or math.isnan(motion):
            return min(self.moving, self.calm)
        return self.moving if motion >= self.motion else self.calm

    def __str__(self) -> str:
        if self.moving == self.calm:
            return f"{self.moving:.3f} at {self.interval_s:.3g} s"
        return f"{self.moving:.3f} moving, {self.calm:.3f} calm at {self.interval_s:.3g} s"


def row_at(rows: Sequence[Row], interval_s: float) -> Row:
    """That for a time: interpolated between two rows, held beyond the first and the last.

    Args:
        rows: at least one.
        interval_s: the time.
    """
    intervals_s, *others = zip(*rows, strict=True)
    return Row(interval_s, *(float(np.interp(interval_s, intervals_s, of)) for of in others))


def parse_threshold(value: float | str) -> float:
    """A threshold from a number or a preset's name.

    Raises:
        ValueError: not a number in [-1, 1] (the range of a cosine) and not a preset.
    """
    if isinstance(value, str):
        if value not in THRESHOLD_PRESETS:
            raise ValueError(
                f"unknown threshold preset {value!r}: expected one of "
                f"{', '.join(THRESHOLD_PRESETS)}, or a number"
            )
        return THRESHOLD_PRESETS[value]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -1.0 <= value <= 1.0:
        raise ValueError(
            f"a similarity threshold is a number in [-1, 1], the range of a cosine; got {value!r}"
        )
    return float(value)


def parse_rows(rows: Sequence[Sequence[float]]) -> tuple[Row, ...]:
    """Thresholds by interval, as a checkpoint's `cls_thresholds` has them.

    Args:
        rows: [interval_s, threshold_moving, threshold_calm, motion] each, or [interval_s,
            threshold] for one that is both, sorted by interval; none at all is fine.

    Raises:
        ValueError: they are not; the text names the row.
    """
    parsed: list[Row] = []
    for row in rows:
        if isinstance(row, str) or len(row) not in (2, 4):
            raise ValueError(
                "expected rows [interval in seconds, threshold], or [interval in seconds, "
                f"threshold moving, threshold calm, motion that divides them], got {row!r}"
            )
        interval_s, motion = float(row[0]), float(row[3]) if len(row) == 4 else 0.0
        if not (parsed[-1].interval_s if parsed else 0.0) < interval_s < math.inf:
            raise ValueError(
                f"the intervals must be above 0 s and ascending, got {[r[0] for r in rows]}"
            )
        if not 0 <= motion < math.inf:
            raise ValueError(f"the motion of a row by interval must be 0 or more, got {row!r}")
        moving, calm = parse_threshold(row[1]), parse_threshold(row[min(2, len(row) - 1)])
        parsed.append(Row(interval_s, moving, calm, motion))
    return tuple(parsed)
