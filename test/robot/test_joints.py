import math
import time

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from sensor_msgs.msg import JointState

from cls_vla_ros.robot.joints import UNITS, JointStateError, UnitMap, positions_by_name, ros_unit


def test_positions_are_matched_by_name_whatever_their_order():
    message = JointState(name=["c", "x", "a", "b"], position=[3.0, 9.0, 1.0, 2.0])
    assert positions_by_name(message, ["a", "b", "c"], allow_partial=False) == {
        "a": 1,
        "b": 2,
        "c": 3,
    }


@pytest.mark.parametrize(
    ("names", "positions", "said"),
    [
        ([], [], "empty"),
        (["a", "b"], [1.0], "2 names but 1 values of position"),
        (["a"], [1.0], r"lacks the joints \['b'\]; it has \['a'\]"),
        (["a", "b", "a"], [1.0, 2.0, 3.0], r"\['a'\] more than once"),
        (["a", "b"], [1.0, math.inf], r"infinity for \['b'\]"),
        (["a", "b"], [1.0, -1e300], r"'b': -1e\+300.*no joint is beyond"),
    ],
)
def test_a_bad_joint_state_is_explained(names, positions, said):
    with pytest.raises(JointStateError, match=said):
        positions_by_name(
            JointState(name=names, position=positions), ["a", "b"], allow_partial=False
        )


@pytest.mark.parametrize("names", [["a", "a"] * 50_000, [f"j{i}" for i in range(100_000)]])
def test_thousands_of_names_cost_neither_time_nor_a_long_text(names):
    message = JointState(name=names, position=[0.0] * len(names))
    began = time.perf_counter()
    with pytest.raises(JointStateError) as error:
        positions_by_name(message, ["a", "b"], allow_partial=False)
    assert time.perf_counter() - began < 0.5
    assert len(str(error.value)) < 2000


def test_parts_are_taken_where_that_is_allowed():
    message = JointState(name=["a"], position=[1.0])
    assert positions_by_name(message, ["a", "b"], allow_partial=True) == {"a": 1.0}


def test_nan_of_a_joint_that_nobody_wants_does_no_harm():
    message = JointState(name=["a", "wheel"], position=[1.0, math.nan])
    assert positions_by_name(message, ["a"], allow_partial=False) == {"a": 1.0}


def test_units():
    names, units = list("abcd"), ["rad", "deg", "percent", "signed_percent"]
    to = UnitMap.of(names, units, [0, 0, -1.0, 0.0], [0, 0, 1.0, 0.5])
    np.testing.assert_allclose(to.to_policy(np.array([1, math.pi, -1, 0])), [1, 180, 0, -100])
    np.testing.assert_allclose(to.to_policy(np.array([1, math.pi, 1, 0.5])), [1, 180, 100, 100])
    assert [ros_unit(unit) for unit in units] == ["rad", "rad", "", ""]
    assert ros_unit("m") == "m"


@given(
    units=st.lists(st.sampled_from(UNITS), min_size=1, max_size=4),
    value=st.floats(-10, 10),
    lower=st.floats(-5, 5),
    width=st.floats(0.01, 10),
)
def test_there_and_back_is_the_same(units, value, lower, width):
    count = len(units)
    to = UnitMap.of(["j"] * count, units, [lower] * count, [lower + width] * count)
    values = np.full((3, count), value)
    np.testing.assert_allclose(to.to_ros(to.to_policy(values)), values, atol=1e-9)


@pytest.mark.parametrize(
    ("units", "lower", "upper", "said"),
    [
        (["rad"], [], [], "2 names but 1 units"),
        (["rad", "inch"], [], [], "'inch'"),
        (["rad", "percent"], [], [], "^lower and upper: .* 2 values each"),
        (["rad", "percent"], [0, 1.0], [0, 1.0], "range of 'b' is empty"),
        (["rad", "percent"], [0, -math.inf], [0, math.inf], "range of 'b' is empty or endless"),
    ],
)
def test_units_that_do_not_fit_are_explained(units, lower, upper, said):
    with pytest.raises(ValueError, match=said):
        UnitMap.of(["a", "b"], units, lower, upper)


@pytest.mark.parametrize("what", ["velocity", "effort"])
def test_arrays_of_unequal_length_are_refused_and_empty_ones_are_not(what):
    message = JointState(name=["a", "b"], position=[1.0, 2.0])
    assert positions_by_name(message, ["a", "b"], allow_partial=False)
    setattr(message, what, [1.0])
    with pytest.raises(JointStateError, match=f"2 names but 1 values of {what}"):
        positions_by_name(message, ["a", "b"], allow_partial=False)


def test_a_joint_may_go_the_other_way_and_begin_elsewhere():
    to = UnitMap.of(["a", "b"], ["deg", ""], [], [], offset=[90.0, 0.5], sign=[-1.0, 1.0])
    np.testing.assert_allclose(to.to_policy(np.array([math.pi, 1.0])), [-90.0, 1.5])
    np.testing.assert_allclose(to.to_ros(np.array([-90.0, 1.5])), [math.pi, 1.0])


def test_a_range_may_be_swapped_and_may_be_a_unit():
    to = UnitMap.of(["a", "b"], ["percent", "unit"], [1.74, 0.0], [-0.17, 0.8])
    np.testing.assert_allclose(to.to_ros(np.array([[0.0, 0.0], [100.0, 1.0]])).T[0], [1.74, -0.17])
    np.testing.assert_allclose(to.to_policy(np.array([1.74, 0.2])), [0.0, 0.25], atol=1e-12)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"offset": [1.0]}, "offset has 1 values for the 2 names"),
        ({"sign": [1.0] * 3}, "sign has 3 values"),
        ({"sign": [1.0, 0.5]}, "1.0 or -1.0"),
        ({"offset": [math.nan, 0.0]}, "finite"),
        ({"sign": [1.0, -1.0]}, "swap its lower and upper"),
    ],
)
def test_an_offset_or_sign_that_cannot_be_is_explained(more, said):
    with pytest.raises(ValueError, match=said):
        UnitMap.of(["a", "b"], ["deg", "percent"], [0.0, 0.0], [1.0, 1.0], **more)
