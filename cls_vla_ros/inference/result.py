"""What one inference made, and how."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cls_vla_ros.inference.reuse.reasons import Reason
from cls_vla_ros.policy.thresholds import GateDecision

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Inference:
    """What one inference made, and how.

    Attributes:
        episode: the episode it began in. If it is no longer the session's, a reset came meanwhile:
            discard it.
        actions: (T, A) float64, in the units that the policy was trained with; may hold NaN if the
            policy made it.
        decision: the gate's; the last one if a cached prefix was used, which the gate did not look
            at. None if the policy has no CLS head.
        obs_cls_out: (1, N, H) float32 on the host, of the prefix that was used; None if
            the policy has no CLS head.
        reason: REUSED, or why the prefix was computed.
        cache_length: prefixes in the cache queue now.
        cache_age_s: age of the prefix that was used; 0 if it was computed.
        motion: how far the robot has moved since the newest cached prefix, whether it was used or
            not, see `motion_of`; NaN without one.
        glance_score: how likely the scene changed since that prefix, in [0, 1], as the glance sees
            it; NaN without one, or without a glance.
        consecutive_reuses: inferences in a row that used a cached prefix, this one included.
        hit_rate: share of the last 100 evaluations of the episode that said should_cache; NaN if
            there was none.
        reuse_rate: share of the last 100 inferences of the episode that used a cached prefix.
        prefix_ms: time of the vision-language prefix; 0 if it was not computed.
        refresh_ms: time to run the new state over a cached prefix; 0 if there was none.
        denoise_ms: time of the denoising loop.
        total_ms: all of it, and the pre- and post-processing.
    """

    episode: int
    actions: np.ndarray
    decision: GateDecision | None
    obs_cls_out: Tensor | None
    reason: Reason
    cache_length: int
    cache_age_s: float
    motion: float
    glance_score: float
    consecutive_reuses: int
    hit_rate: float
    reuse_rate: float
    prefix_ms: float
    refresh_ms: float
    denoise_ms: float
    total_ms: float

    @property
    def prefix_reused(self) -> bool:
        return self.reason is Reason.REUSED


def batch_mean(inferences: dict[str, Inference]) -> tuple[float, bool]:
    """The guide's decision for a whole batch: is its mean similarity above the threshold?

    Args:
        inferences: of one `infer_batch`.

    Returns:
        Mean over the samples with a history (NaN without any), and should_cache of that mean,
        which is True without any. The threshold is the mean of the samples'.
    """
    all_decisions = [inference.decision for inference in inferences.values()]
    decisions = [decision for decision in all_decisions if decision and decision.has_history]
    if not decisions:
        return math.nan, True
    similarity = math.fsum(d.similarity for d in decisions) / len(decisions)
    threshold = math.fsum(d.threshold for d in decisions) / len(decisions)
    return similarity, similarity > threshold
