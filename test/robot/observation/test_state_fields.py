"""What may be a source of the state, and what is read of it."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped, Twist, TwistStamped, Wrench, WrenchStamped
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from cls_vla_ros.robot.joints import JointStateError
from cls_vla_ros.robot.observation.observation_buffer import (
    NotReadyError,
    ObservationBuffer,
    ObservationLimits,
)
from cls_vla_ros.robot.observation.state_fields import check_sources, read_fields
from cls_vla_ros.robot.settings import SourceSettings, StateSettings

S = 10**9


def source(name="arm", fields=("position.a",), **changes) -> SourceSettings:
    values = {
        "name": name,
        "topic": f"{name}/topic",
        "type": "joint_state",
        "fields": list(fields),
        "names": list(fields),
        "units": [""] * len(fields),
        "lower": [],
        "upper": [],
        "offset": [],
        "sign": [],
        "allow_partial": False,
        "reliability": "best_effort",
        "depth": 5,
        "allow_several_publishers": False,
    }
    return SourceSettings(**(values | changes))


def state(*sources, joints=None) -> StateSettings:
    names = [name for s in sources for name in s.names] if joints is None else joints
    return StateSettings("", names, [], [], [], False, sources=sources)


def of(kind: str, fields: list[str], message) -> list[float]:
    values, _ = read_fields(source(fields=fields, type=kind), message)
    return [values[field] for field in fields]


def twist(x: float, turn: float) -> Twist:
    message = Twist()
    message.linear.x, message.angular.z = x, turn
    return message


def test_each_type_says_what_its_message_has():
    pose = PoseStamped()
    pose.pose.position.y, pose.pose.orientation.w = 2.0, 0.5
    wrench = Wrench()
    wrench.torque.z = 3.0
    moved = SimpleNamespace(pose=pose, twist=SimpleNamespace(twist=twist(1.0, -1.0)))
    fields = ["twist.angular.z", "twist.linear.x"]
    assert of("twist", fields, twist(1.0, -1.0)) == [-1.0, 1.0]
    assert of("twist_stamped", fields, TwistStamped(twist=twist(1.0, -1.0))) == [-1.0, 1.0]
    assert of("odometry", [*fields, "pose.position.y"], moved) == [-1.0, 1.0, 2.0]
    assert of("pose_stamped", ["pose.position.y", "pose.orientation.w"], pose) == [2.0, 0.5]
    assert of("wrench", ["wrench.torque.z"], wrench) == [3.0]
    assert of("wrench_stamped", ["wrench.torque.z"], WrenchStamped(wrench=wrench)) == [3.0]
    array = Float64MultiArray(data=[5.0, 6.0])
    assert of("float64_multi_array", ["data.1", "data.0"], array) == [6.0, 5.0]


def test_a_joint_state_has_three_arrays_and_joints_with_dots():
    message = JointState(name=["b.1", "a"], position=[1.0, 2.0], velocity=[3.0, math.nan])
    assert of("joint_state", ["velocity.b.1", "position.a"], message) == [3.0, 2.0]
    with pytest.raises(JointStateError, match="no effort"):
        of("joint_state", ["effort.a"], message)
    fields = source(fields=["position.b.1", "position.a"], names=["b", "a"])
    assert read_fields(fields, message) == ({"b": 1.0, "a": 2.0}, {"b": 3.0})


@pytest.mark.parametrize(
    ("kind", "fields", "message", "said"),
    [
        (
            "float64_multi_array",
            ["data.2"],
            Float64MultiArray(data=[1.0]),
            "1 values, so no data.2",
        ),
        ("twist", ["twist.linear.x"], twist(math.nan, 0.0), "NaN"),
        ("twist", ["twist.linear.x"], twist(1e300, 0.0), "impossible"),
        (
            "joint_state",
            ["velocity.a"],
            JointState(name=["a"], position=[0.0], velocity=[math.inf]),
            "infinity",
        ),
    ],
)
def test_a_bad_message_is_refused(kind, fields, message, said):
    with pytest.raises(JointStateError, match=said):
        of(kind, fields, message)


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        ([source(fields=["positions.a"])], "a joint_state has no field 'positions.a'; it has pos"),
        ([source(fields=["position."])], "no field"),
        ([source(fields=["twist.linear.w"], type="twist")], "twist.linear.x"),
        ([source(fields=["pose.position.x"], type="twist")], "no field"),
        ([source(fields=["pose.position.w"], type="pose_stamped")], "no field"),
        ([source(fields=["data.x"], type="float64_multi_array")], "data.0"),
        ([source(fields=[])], "source.arm: fields is empty"),
        ([source(names=[])], "1 fields but 0 names"),
        ([source(fields=["position.a"] * 2, names=["a", "b"])], "more than once"),
        ([source("left"), source("right")], r"\['position.a'\] more than once"),
        ([source(units=["percent"])], "source.arm: .*need the range"),
        ([source(type="twist", fields=["twist.linear.x"], allow_partial=True)], "allow_partial"),
    ],
)
def test_a_source_that_cannot_be_is_explained(sources, said):
    with pytest.raises(ValueError, match=said):
        check_sources(state(*sources))


def test_the_order_must_name_each_value_once():
    both = source("left", names=["l"]), source("right", names=["r"])
    check_sources(state(*both, joints=["r", "l"]))
    with pytest.raises(ValueError, match="must name each"):
        check_sources(state(*both, joints=["r", "l", "x"]))


@pytest.fixture
def buffer():
    """Two arms whose joint has the same name, and a base; the policy has the base first."""
    sources = (
        source("left", names=["left_a"], units=["deg"]),
        source("right", names=["right_a"], units=["unit"], lower=[1.0], upper=[-1.0]),
        source("base", ["twist.angular.z"], type="twist", names=["turn"], units=["deg"]),
    )
    limits = ObservationLimits(max_age_s=0.5, max_skew_s=0.2, frozen_s=1.0, black_level=0.0)
    order = ["turn", "left_a", "right_a"]
    return ObservationBuffer([], state(*sources, joints=order), limits)


def put(buffer, name: str, value: float, at_s: float) -> None:
    message = twist(0.0, value)
    if name != "base":
        message = JointState(name=["a"], position=[value], velocity=[2 * value])
    buffer.put_state(name, message, round(at_s * S), round(at_s * S))


def test_all_sources_are_one_state_in_the_policys_order_and_units(buffer, monkeypatch):
    for name, value in (("left", math.pi), ("right", -1.0), ("base", -math.pi / 2)):
        put(buffer, name, value, 1.0)
    values, stamps = buffer._state.newest()
    np.testing.assert_allclose(values, [-90.0, 180.0, 1.0], rtol=1e-6)
    assert set(stamps) == {"left/topic", "right/topic", "base/topic"}
    # What is no position is nothing that a command may be compared with.
    names = ["left_a", "turn", "nobody"]
    np.testing.assert_allclose(buffer.positions(names), [math.pi, math.nan, math.nan])
    np.testing.assert_allclose(buffer.velocities(names), [2 * math.pi, math.nan, math.nan])


def test_each_source_has_its_own_age_and_all_have_one_skew(buffer):
    put(buffer, "left", 0.0, 1.0)
    put(buffer, "right", 0.0, 1.0)
    with pytest.raises(NotReadyError, match="no message yet on base/topic"):
        buffer.snapshot("", S)
    put(buffer, "base", 0.0, 1.0)
    put(buffer, "left", 0.0, 1.6)
    put(buffer, "base", 0.0, 1.6)
    with pytest.raises(NotReadyError, match=r"right/topic is 0[.]60 s old"):
        buffer.snapshot("", round(1.6 * S))
    put(buffer, "right", 0.0, 1.3)
    with pytest.raises(NotReadyError, match="apart"):
        buffer.snapshot("", round(1.6 * S))
