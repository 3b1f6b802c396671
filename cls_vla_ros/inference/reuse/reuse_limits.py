"""When a cached prefix may be used again."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cls_vla_ros.policy.configuration_cls_smolvla import CLSSmolVLAConfig


@dataclass(frozen=True)
class ReuseLimits:
    """When a cached prefix may be used again, and how the gate decides.

    Attributes:
        enabled: whether at all.
        max_age_s: how old a prefix may be, in seconds of ROS time.
        max_reuses: how often in a row; then the prefix is computed, and the gate looks again.
        max_motion: how far the robot may have moved since, see `motion_of`; infinity: as far as it
            likes.
        glance_threshold: score in [0, 1] above which the glance refuses, where a policy has one;
            it looks in the frame guard's place. At 1 it refuses nothing, and the guard looks.
        guard_threshold: difference of a picture above which the frame guard refuses.
        unguarded: pictures that glance and frame guard leave out, by feature name: those of
            cameras that move with the arm, whose pictures always change.
        guard_frozen: whether a picture with the same bytes as the one before it is refused.
        allow_untrained: whether an untrained CLS head may open the gate.
        adaptive: whether the threshold follows the hit rate; those by interval move with it.
    """

    enabled: bool = True
    max_age_s: float = 1.0
    max_reuses: int = 4
    max_motion: float = math.inf
    glance_threshold: float = 0.5
    guard_threshold: float = 0.25
    unguarded: frozenset[str] = frozenset()
    guard_frozen: bool = True
    allow_untrained: bool = False
    adaptive: bool = False

    @classmethod
    def of_checkpoint(cls, config: CLSSmolVLAConfig) -> ReuseLimits:
        """The defaults, with the limits that calibration found, if it did.

        Args:
            config: of the policy.
        """
        found = {
            "max_age_s": config.cls_max_age_s,
            "max_reuses": config.cls_max_reuses,
            "max_motion": config.cls_max_motion,
            "glance_threshold": config.glance_threshold,
        }
        return cls(**{name: value for name, value in found.items() if value is not None})

    @classmethod
    def always(cls, cameras: Iterable[str]) -> ReuseLimits:
        """A prefix lives until the caller ends its life: no age, no guard.

        The gate has no say either where the session's threshold is -1, which every cosine is
        above.

        Args:
            cameras: features of all pictures, so that the guard looks at none.
        """
        return cls(
            max_age_s=math.inf,
            max_reuses=10**9,
            guard_threshold=math.inf,
            unguarded=frozenset(cameras),
            guard_frozen=False,
            allow_untrained=True,
        )
