import math

import pytest

from cls_vla_ros.inference import ReuseLimits
from cls_vla_ros.simulation.closed_loop.rules import RULES, Rule, changes_of
from cls_vla_ros.simulation.events import LightDimmed, ObjectMoved, Occluder

SHIPPED = ReuseLimits(
    max_age_s=0.3, max_reuses=5, max_motion=2.0, guard_threshold=0.4, unguarded=frozenset({"w"})
)
ALWAYS = ReuseLimits.always(["f", "w"])


def limits(name, inference=3, has_changed=False, **more) -> ReuseLimits:
    return Rule(name, SHIPPED, ALWAYS, **more).limits(inference, has_changed=has_changed)


def test_each_rule_has_its_own_limits():
    assert limits("both") == limits("glance") == SHIPPED
    gated = limits("gated")
    assert (gated.glance_threshold, gated.guard_threshold, gated.max_motion) == (1.0, 0.4, 2.0)
    assert not limits("full").enabled
    assert limits("blind", has_changed=True) == ALWAYS
    assert limits("motion", has_changed=True).max_motion == 2.0
    assert (limits("motion").max_age_s, limits("motion").max_reuses) == (0.3, 5)
    assert limits("oracle").max_age_s == 0.3
    assert limits("motion").unguarded == {"f", "w"}
    assert limits("oracle").max_reuses > 0
    assert limits("oracle", has_changed=True).max_reuses == 0
    due = [limits("periodic", n, full_share=0.5).max_reuses == 0 for n in range(5)]
    assert due == [True, False, True, False, True]
    guarded = limits("timer_guard", 1, full_share=0.5)
    assert (guarded.guard_threshold, guarded.unguarded) == (0.4, {"w"})
    assert guarded.glance_threshold == 1.0  # it is not the guard that looks else
    assert math.isinf(guarded.max_motion)
    assert limits("timer_guard", 2, full_share=0.5).max_reuses == 0


def test_a_rule_of_motion_needs_a_budget():
    for name in RULES:
        rule = Rule(name, ReuseLimits(), ALWAYS)
        if name in ("motion", "oracle"):
            with pytest.raises(ValueError, match="--max-motion"):
                rule.check()
        elif name == "glance":
            with pytest.raises(ValueError, match="glance_width"):
                rule.check()
            Rule(name, ReuseLimits(), ALWAYS, has_glance=True).check()
        else:
            rule.check()


def test_the_oracle_knows_when_the_scene_changes():
    occluder = Occluder(5, 4, 0.5, 0.5, 0.1, 0.1, (0, 0, 0))
    assert changes_of([ObjectMoved(12, 0.1, 0.0), occluder, LightDimmed(1, 3, 20)]) == [5, 9, 12]
