"""What calibration found: made by `calibrate`, shown by its report."""

from dataclasses import dataclass

from cls_vla_ros.evaluation.calibration.ageing import Ageing
from cls_vla_ros.evaluation.calibration.intervals import Interval


@dataclass(frozen=True)
class Found:
    """What calibration found.

    Attributes:
        intervals: by frames, ascending.
        ageing: of reused prefixes.
        max_age_s: of a prefix.
        max_reuses: in a row, at the node's rate.
    """

    intervals: list[Interval]
    ageing: Ageing
    max_age_s: float
    max_reuses: int

    def to_config(self) -> dict[str, object]:
        """The fields of CLSSmolVLAConfig that follow."""
        return {
            "cls_thresholds": [[i.seconds, i.threshold] for i in self.intervals],
            "cls_max_age_s": self.max_age_s,
            "cls_max_reuses": self.max_reuses,
        }
