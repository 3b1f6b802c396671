"""The rules by which a policy's prefix is reused in the simulator."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cls_vla_ros.evaluation.measures.timer import is_due
from cls_vla_ros.inference import ReuseLimits
from cls_vla_ros.simulation.events import Disturbance

EXPERT, FULL, BOTH, GATED, GLANCE = "expert", "full", "both", "gated", "glance"
MOTION, ORACLE = "motion", "oracle"
PERIODIC, TIMER_GUARD, BLIND = "periodic", "timer_guard", "blind"
RULES = (EXPERT, FULL, BOTH, GATED, GLANCE, MOTION, ORACLE, PERIODIC, TIMER_GUARD, BLIND)
TIMERS = (PERIODIC, TIMER_GUARD)
MATCHED = (BOTH, GATED, GLANCE, MOTION, ORACLE)  # what a timer may be as frequent as
WITHOUT_GATE = (GLANCE, MOTION, ORACLE, PERIODIC, TIMER_GUARD, BLIND)  # its threshold is -1


@dataclass(frozen=True)
class Rule:
    """One of RULES, with what it needs.

    Attributes:
        name: of RULES.
        shipped: the limits of the node: the checkpoint's, and the frame guard's.
        has_glance: whether the policy has a trained one.
        always: those of a prefix that lives for ever.
        full_share: of TIMERS: the share of the inferences after the first that compute.
        phase: of TIMERS, see `is_due`.
    """

    name: str
    shipped: ReuseLimits
    always: ReuseLimits
    has_glance: bool = False
    full_share: float = 1.0
    phase: float = 0.0

    def limits(self, inference: int, *, has_changed: bool) -> ReuseLimits:
        """The limits for an inference.

        Args:
            inference: of the episode, counted from 0.
            has_changed: whether the scene changed since the prefix that is cached: ORACLE alone
                may know.
        """
        never = replace(self.always, max_reuses=0)
        if self.name in (BOTH, GLANCE):
            return self.shipped
        if self.name == GATED:
            return replace(self.shipped, glance_threshold=1.0)
        if self.name == FULL:
            return replace(self.shipped, enabled=False)
        if self.name in TIMERS and is_due(inference, self.full_share, self.phase):
            return never
        if self.name == TIMER_GUARD:
            return replace(
                self.always,
                glance_threshold=1.0,
                guard_threshold=self.shipped.guard_threshold,
                unguarded=self.shipped.unguarded,
            )
        if self.name == ORACLE and has_changed:
            return never
        if self.name in (MOTION, ORACLE):
            # With the age: an arm that stands still on a stale prefix would stand there for ever.
            shipped = self.shipped
            return replace(
                self.always,
                max_motion=shipped.max_motion,
                max_age_s=shipped.max_age_s,
                max_reuses=shipped.max_reuses,
            )
        return self.always

    def check(self) -> None:
        """Can the rule do anything?

        Raises:
            ValueError: MOTION and ORACLE need a budget, GLANCE a glance.
        """
        if self.name == GLANCE and not self.has_glance:
            raise ValueError(
                f"the rule {self.name!r} needs a glance, and the checkpoint has none that was "
                "trained: train one with --policy.glance_width=24, or leave the rule out"
            )
        if self.name in (MOTION, ORACLE) and math.isinf(self.shipped.max_motion):
            raise ValueError(
                f"the rule {self.name!r} needs a motion budget, and the checkpoint has none "
                "(cls_max_motion): calibrate it, or say --max-motion"
            )


def changes_of(disturbances: Sequence[Disturbance]) -> list[int]:
    """The frames that first show a change of the scene, in order."""
    events = [event for disturbance in disturbances for event in disturbance.events()]
    return sorted(event["frame"] for event in events if event["scene_change"])
