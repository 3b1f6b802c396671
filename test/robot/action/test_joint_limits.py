import math

import numpy as np
import pytest

from cls_vla_ros.robot.action.joint_limits import JointLimits

ARM = """<robot name="arm">
  <joint name="shoulder" type="revolute"><limit lower="-1.5" upper="1.5" velocity="2"/></joint>
  <joint name="lift" type="prismatic"><limit upper="0.3" velocity="0.1" effort="9"/></joint>
  <joint name="wrist" type="continuous"><limit velocity="3"/></joint>
  <joint name="roll" type="continuous"><limit velocity="0.0"/></joint>
  <joint name="flange" type="fixed"/>
  <joint name="finger" type="prismatic">
    <limit lower="0" upper="0.04" velocity="0.2"/><mimic joint="lift"/>
  </joint>
  <joint name="unlimited" type="revolute"/>
  <joint name="exported" type="revolute"><limit lower="-1" upper="1" velocity="0"/></joint>
  <joint name="unexpanded" type="revolute"><limit lower="${-pi}" upper="1" velocity="1"/></joint>
  <joint name="slow" type="revolute"><limit lower="-1" upper="1"/></joint>
  <joint name="base" type="floating"/>
  <transmission name="t"><joint name="shoulder" type="of another kind"/></transmission>
</robot>"""
NONE = {"lower": {}, "upper": {}, "velocity": {}}


def test_the_limits_of_each_type_of_joint_are_read_in_the_order_of_the_actions():
    names = ["finger", "flange", "lift", "roll", "shoulder", "wrist"]
    limits = JointLimits.from_urdf(ARM, names)
    inf = math.inf
    assert limits.names == tuple(names)
    assert limits.units == ("m", "", "m", "rad", "rad", "rad")
    np.testing.assert_array_equal(limits.lower, [0, -inf, 0, -inf, -1.5, -inf])
    np.testing.assert_array_equal(limits.upper, [0.04, inf, 0.3, inf, 1.5, inf])
    np.testing.assert_array_equal(limits.velocity, [0.2, inf, 0.1, inf, 2, 3])


def test_a_parameter_replaces_what_the_urdf_says_joint_by_joint():
    limits = JointLimits.from_urdf(
        ARM, ["shoulder", "wrist"], lower={"shoulder": -0.5}, velocity={"wrist": 1.0}
    )
    np.testing.assert_array_equal(limits.lower, [-0.5, -math.inf])
    np.testing.assert_array_equal(limits.upper, [1.5, math.inf])
    np.testing.assert_array_equal(limits.velocity, [2, 1])


def test_a_parameter_also_replaces_what_the_urdf_lacks_or_has_wrong():
    names = ["exported", "unexpanded", "unlimited"]
    limits = JointLimits.from_urdf(
        ARM,
        names,
        lower={"unexpanded": -1, "unlimited": -2},
        upper={"unlimited": 2},
        velocity={"exported": 4, "unlimited": math.inf},
    )
    np.testing.assert_array_equal(limits.lower, [-1, -1, -2])
    np.testing.assert_array_equal(limits.velocity, [4, 1, math.inf])


@pytest.mark.parametrize(
    ("xml", "name", "said"),
    [
        (ARM, "elbow", r"no joints \['elbow'\]; it has \['base', 'exported'"),
        (ARM, "unlimited", "gives the revolute joint 'unlimited' no lower limit"),
        (ARM, "slow", "gives the revolute joint 'slow' no velocity limit"),
        (ARM, "exported", "gives the revolute joint 'exported' no velocity limit"),
        (ARM, "unexpanded", r"lower limit of 'unexpanded' is '\$\{-pi\}'.*xacro"),
        (ARM, "base", "'base' is of the type 'floating'"),
        ("", "shoulder", "0 characters is not XML"),
        ("<robot>", "shoulder", "7 characters is not XML"),
        ("<sdf/>", "shoulder", "expected <robot>, got <sdf>"),
        ('<!DOCTYPE r [<!ENTITY a "b">]>' + ARM, "shoulder", "has a DOCTYPE; remove it"),
    ],
)
def test_a_robot_description_that_cannot_be_used_is_explained(xml, name, said):
    with pytest.raises(ValueError, match=said):
        JointLimits.from_urdf(xml, [name])


def test_a_joint_that_the_parameters_leave_out_has_no_limit():
    limits = JointLimits.of(["a", "b"], ["rad", "m"], **NONE | {"upper": {"b": 0.1}})
    np.testing.assert_array_equal(limits.lower, [-math.inf, -math.inf])
    np.testing.assert_array_equal(limits.upper, [math.inf, 0.1])
    np.testing.assert_array_equal(limits.velocity, [math.inf, math.inf])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"lower": {"a": 1.0}, "upper": {"a": 0.9}}, "range of 'a' is empty: lower limit 1"),
        ({"lower": {"a": math.nan}}, "range of 'a' is empty: lower limit nan"),
        ({"upper": {"a": math.nan}}, "range of 'a' is empty"),
        ({"lower": {"a": math.inf}}, "range of 'a' is empty"),
        ({"upper": {"a": -math.inf}}, "range of 'a' is empty"),
        ({"velocity": {"a": 0.0}}, "velocity limit of 'a' is 0"),
        ({"velocity": {"a": -1.0}}, "velocity limit of 'a' is -1"),
        ({"velocity": {"a": math.nan}}, "velocity limit of 'a' is nan"),
        ({"upper": {"b": 1.0}}, r"upper limit for \['b'\], but the joints are \['a'\]"),
    ],
)
def test_limits_that_make_no_sense_are_refused(given, said):
    with pytest.raises(ValueError, match=said):
        JointLimits.of(["a"], ["rad"], **NONE | given)


def test_an_acceleration_is_a_parameters_and_never_a_urdfs():
    made = JointLimits.of(
        ["a", "b"], ["rad"] * 2, lower={}, upper={}, velocity={}, acceleration={"b": 5.0}
    )
    np.testing.assert_array_equal(made.acceleration, [np.inf, 5.0])
    with pytest.raises(ValueError, match="acceleration limits"):
        JointLimits.of(["a"], ["rad"], lower={}, upper={}, velocity={}, acceleration={"a": 0.0})


CONTINUOUS = '<robot><joint name="j" type="continuous"/></robot>'


def test_a_joint_turns_without_end_if_the_urdf_or_a_parameter_says_so_and_has_no_range():
    assert JointLimits.from_urdf(CONTINUOUS, ["j"]).continuous.tolist() == [True]
    limited = JointLimits.from_urdf(CONTINUOUS, ["j"], lower={"j": -1.0})
    assert limited.continuous.tolist() == [False]
    given = {"lower": {}, "upper": {}, "velocity": {}, "acceleration": {"a": 2.0}}
    both = JointLimits.from_urdf_and_given(CONTINUOUS, ["a", "x"], {"a": "j"}, given)
    assert (both.continuous.tolist(), both.acceleration.tolist()) == ([True, False], [2.0, np.inf])
    named = {"lower": {}, "upper": {}, "velocity": {}}
    assert JointLimits.of(["a"], ["rad"], **named, continuous=["a"]).continuous.all()
    with pytest.raises(ValueError, match="turns without end"):
        JointLimits.of(["a"], ["rad"], **named | {"lower": {"a": -1.0}}, continuous=["a"])
