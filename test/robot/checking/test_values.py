"""Units, signs and offsets that do not fit the dataset are named, with the mend."""

import numpy as np
import pytest

from cls_vla_ros.policy.checkpoint.dataset_stats import Seen
from cls_vla_ros.robot.checking.values import (
    swapped_units,
    unit_problems,
    value_problem,
    values_of,
)
from cls_vla_ros.robot.joints import UnitMap

JOINTS = ["pan", "lift"]


def values(units, lower, upper, ros=(0.0, 0.0), **more):
    unit_map = UnitMap.of(JOINTS, units, *more.pop("range", ([], [])), **more)
    seen = Seen(np.array(lower, float), np.array(upper, float), is_exact=True)
    return values_of(JOINTS, units, unit_map, seen, np.array(ros))


@pytest.mark.parametrize(
    ("units", "lower", "upper", "words"),
    [
        (["rad", "rad"], [-95, -1], [95, 1], ["'pan' went from -95 to 95", "deg", "state.units"]),
        (["", "rad"], [-1, -1], [60, 1], ["'pan'", "not set"]),
        (["deg", "deg"], [-1.6, -1], [1.6, 1], ["['pan', 'lift']", "is it rad?"]),
        (["percent", "rad"], [-98, -1], [99, 1], ["the unit percent goes from 0 to 100"]),
        (["unit", "rad"], [0, -1], [97, 1], ["the unit unit goes from 0 to 1"]),
    ],
)
def test_a_unit_that_cannot_be_the_datasets_is_named(units, lower, upper, words):
    of = values(units, lower, upper, range=([-1, -1], [1, 1]))
    (text,) = unit_problems("state.units", of, set(JOINTS))
    assert all(word in text for word in words), text


def test_units_that_fit_are_let_be():
    assert not unit_problems("x", values(["deg", "deg"], [-90, -2], [95, 2]), set(JOINTS))
    assert not unit_problems("x", values(["rad", "rad"], [-3, -2], [3, 2]), set(JOINTS))
    # No joint: a value that is no position may be anything.
    assert not unit_problems("x", values(["", ""], [-900, -2], [900, 2]), set())


@pytest.mark.parametrize(
    ("units", "ros", "is_bad", "words"),
    [
        (["deg", "deg"], (0.6, 0.0), False, ""),
        (["deg", "deg"], (0.95, 0.0), False, "offset"),
        (["deg", "deg"], (-0.5, 0.0), True, "with the other sign"),
        (["deg", "deg"], (25.0, 0.0), True, "published degrees"),
    ],
)
def test_a_joint_outside_of_the_dataset_is_doubted_or_refused(units, ros, is_bad, words):
    first, _ = values(units, [10, -20], [40, 20], ros)
    bad, text = value_problem(first)
    assert bad == is_bad
    assert (words in text) if words else not text


def test_a_joint_that_hardly_moved_in_the_dataset_has_some_room():
    first, _ = values(["rad", "rad"], [1.0, -1], [1.0001, 1], (1.1, 0.0))
    assert value_problem(first) == (False, "")


def test_nothing_is_said_of_what_the_checkpoint_does_not_know():
    (first, _) = values_of(JOINTS, ["deg", "deg"], UnitMap.of(JOINTS, ["deg", "deg"], [], []),
                           None, np.array([9.0, 9.0]))  # fmt: skip
    assert value_problem(first) == (False, "")
    assert not unit_problems("x", [first], set(JOINTS))


def test_other_units_for_the_same_numbers_are_named():
    state = values(["deg", "rad"], [-90, -1], [90, 1])
    action = values(["rad", "rad"], [-91, -1], [88, 1])
    (text,) = swapped_units(state, action)
    assert "'pan' has the unit deg in the state and rad in the action" in text
    assert not swapped_units(state, values(["rad", "rad"], [-1.6, -1], [1.6, 1]))


@pytest.mark.parametrize(("middle", "is_wrong"), [(20.0, False), (180.0, True)])
def test_three_standard_deviations_are_no_range(middle, is_wrong):
    """A gripper that stood at 20 +- 15 % was never at -25 %."""
    seen = Seen(np.array([middle - 45]), np.array([middle + 45]), is_exact=False)
    unit_map = UnitMap.of(["gripper"], ["percent"], [0.0], [1.0])
    of = values_of(["gripper"], ["percent"], unit_map, seen, np.array([0.3]))
    assert bool(unit_problems("state.units", of, {"gripper"})) == is_wrong
