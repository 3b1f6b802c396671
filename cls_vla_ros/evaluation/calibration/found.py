"""What calibration found: made by `calibrate`, shown by its report."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from cls_vla_ros.evaluation.calibration.ageing import Ageing
from cls_vla_ros.evaluation.calibration.glance_threshold import GlanceThreshold
from cls_vla_ros.evaluation.calibration.intervals import Interval
from cls_vla_ros.evaluation.calibration.steps import Steps


@dataclass(frozen=True)
class Found:
    """What calibration found.

    Attributes:
        intervals: by frames, ascending.
        ageing: of reused prefixes.
        max_age_s: of a prefix.
        max_reuses: in a row, at the node's rate.
        max_motion: of the robot since the prefix.
        min_spread: see `GateSight`; None where the episodes are too short to say.
        steps: of other numbers of denoising steps; empty unless that was asked for.
        num_steps: the fewest that are within the policy's own noise; None: the checkpoint's own.
        glance: the glance's threshold; None without a glance.
        fingerprints: of the episodes, as far as they have one.
        reuse: share of the inferences of these episodes that reuse a prefix with all of it, as
            the node would but for the frame guard.
        executed_p95: 95 % quantile of the deviation of what these execute.
    """

    intervals: list[Interval]
    ageing: Ageing
    max_age_s: float
    max_reuses: int
    max_motion: float
    min_spread: float | None = None
    steps: Sequence[Steps] = ()
    num_steps: int | None = None
    glance: GlanceThreshold | None = None
    fingerprints: Sequence[str] = ()
    reuse: float = math.nan
    executed_p95: float = math.nan

    def to_config(self) -> dict[str, object]:
        """The fields of CLSSmolVLAConfig that follow."""
        return {
            "cls_thresholds": [list(interval.row) for interval in self.intervals],
            "cls_max_age_s": self.max_age_s,
            "cls_max_reuses": self.max_reuses,
            "cls_max_motion": self.max_motion,
            "cls_min_spread": self.min_spread,
            "cls_episodes_calibrated_on": sorted(self.fingerprints),
            **({} if self.glance is None else {"glance_threshold": self.glance.threshold}),
            **({} if self.num_steps is None else {"num_steps": self.num_steps}),
        }
