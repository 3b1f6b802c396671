"""Limits, streaming, hand-over and pause, through the node."""

import time

import numpy as np
import pytest
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray, String
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

JOINTS = ["shoulder", "elbow", "gripper"]
JOINT = '<joint name="{}" type="{}"><limit lower="{}" upper="{}" velocity="900"/></joint>'
URDF = "<robot>" + JOINT.format("shoulder", "revolute", -9, 9) + JOINT.format(
    "elbow", "revolute", "{}", "{}"
) + JOINT.format("gripper", "prismatic", -9, 9) + "</robot>"  # fmt: skip
ANYWHERE = [900.0] * 3


def diagnosed(robot, text: str) -> None:
    robot.peer.feed_until(
        lambda: text in "{} {}".format(*robot.peer.diagnosis()), f"diagnostics with {text!r}"
    )


def call(robot, kind, name, request):
    client = robot.peer.create_client(kind, name)
    assert client.wait_for_service(10)
    future = client.call_async(request)
    robot.wait_until(future.done, name)
    return future.result()


def listen(robot, kind, topic="joint_command") -> list:
    heard = []
    robot.peer.create_subscription(kind, topic, heard.append, 10)
    robot.wait_until(lambda: robot.peer.count_publishers(topic), topic)
    return heard


def constant_actions(robot, monkeypatch, values) -> None:
    """The policy says the same at every step; `values` may be changed."""
    infer = robot.node._server.infer

    def made(observation, **kwargs):
        inference = infer(observation, **kwargs)
        inference.actions[:] = values
        return inference

    monkeypatch.setattr(robot.node._server, "infer", made)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"limits.upper": [900.0, 1.0, 900.0]}, "'elbow' at step 0: 5 is above its upper limit 1"),
        ({"limits.lower": [-900.0, 9.0, -900.0]}, "below its lower limit 9"),
        ({"limits.first_step": 0.5}, "its first step may be 0.5"),
    ],
)
def test_a_chunk_beyond_a_limit_is_refused_as_a_whole(make_robot, monkeypatch, parameters, said):
    robot = make_robot(**{k.replace(".", "__"): v for k, v in parameters.items()}).start()
    constant_actions(robot, monkeypatch, [0.2, 5.0, 0.0])
    diagnosed(robot, said)
    before = len(robot.peer.heard["action_chunk"])
    count = len(robot.peer.heard["scene_change"])
    robot.peer.feed_until(
        lambda: len(robot.peer.heard["scene_change"]) > count + 2, "scene changes"
    )
    assert len(robot.peer.heard["action_chunk"]) == before


def test_a_chunk_may_be_clamped_and_that_is_told(make_robot, monkeypatch):
    robot = make_robot(limits__upper=[900.0, 1.0, 900.0], limits__mode="clamp").start()
    constant_actions(robot, monkeypatch, [0.2, 5.0, 0.0])
    heard = robot.peer.heard["action_chunk"]
    robot.peer.feed_until(lambda: len(heard) > 3, "chunks")
    assert np.array(heard[-1].data).reshape(-1, 3)[:, 1].max() == 1.0
    diagnosed(robot, "chunks clamped")


def test_the_limits_of_a_robot_description_count_once_it_has_come(make_robot, monkeypatch):
    robot = make_robot(limits__from_robot_description=True).start()
    constant_actions(robot, monkeypatch, [0.2, 5.0, 0.0])
    diagnosed(robot, "no message yet on robot_description")
    assert not robot.peer.heard["action_chunk"]
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    publisher = robot.peer.create_publisher(String, "robot_description", latched)
    publisher.publish(String(data=URDF.format(-1, 1)))
    diagnosed(robot, "above its upper limit 1")
    publisher.publish(String(data="<robot>"))  # damaged: the good one stays
    diagnosed(robot, "messages refused on robot_description")
    assert not robot.peer.heard["action_chunk"]
    publisher.publish(String(data=URDF.format(-9, 9)))
    robot.peer.feed_until(lambda: robot.peer.heard["action_chunk"], "a chunk")


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("float64_multi_array", Float64MultiArray),
        ("joint_state", JointState),
        ("joint_trajectory", JointTrajectory),
    ],
)
def test_stream_plays_the_chunk_by_time(make_robot, monkeypatch, command, kind):
    robot = make_robot(execution__mode="stream", execution__command=command).start()
    constant_actions(robot, monkeypatch, [0.25, 0.5, 0.75])
    heard = listen(robot, kind)
    robot.peer.feed_until(lambda: len(heard) > 20, "commands")
    last = heard[-1]
    if kind is Float64MultiArray:
        values = last.data
    else:
        names = last.name if kind is JointState else last.joint_names
        assert list(names) == JOINTS
        values = last.position if kind is JointState else last.points[0].positions
    np.testing.assert_allclose(values, [0.25, 0.5, 0.75], atol=1e-9)
    assert not robot.peer.count_publishers("joint_trajectory") or kind is JointTrajectory


def test_stream_goes_from_where_the_arm_is_without_a_jump(make_robot, monkeypatch):
    robot = make_robot(
        execution__mode="stream", execution__blend_s=0.5, execution__rate_hz=100.0
    ).start()
    constant_actions(robot, monkeypatch, [3.0, 3.0, 3.0])
    heard = listen(robot, Float64MultiArray)
    robot.peer.feed_until(lambda: heard and heard[-1].data[0] == 3.0, "the end of the blend")
    commands = np.array([message.data for message in heard])
    np.testing.assert_allclose(commands[0], [0.2, 0.3, 0.0], atol=0.6)  # as joint_states has it
    assert np.abs(np.diff(commands, axis=0)).max() < 1.5


def test_stream_stops_where_the_data_goes_stale_and_after_a_reset(make_robot, monkeypatch):
    robot = make_robot(
        execution__mode="stream", observation__max_age_s=0.3, action__dt_s=1.0
    ).start()  # the chunk would last for 50 s
    heard = listen(robot, Float64MultiArray)
    robot.peer.feed_until(lambda: len(heard) > 5, "commands")
    time.sleep(0.8)  # nothing is fed
    count = len(heard)
    time.sleep(0.3)
    assert len(heard) == count
    robot.peer.feed_until(lambda: len(heard) > count + 5, "commands again")
    assert call(robot, Trigger, "reset", Trigger.Request()).success
    time.sleep(0.1)
    count = len(heard)
    time.sleep(0.3)
    assert len(heard) == count


def test_pause_holds_and_goes_on(make_robot):
    robot = make_robot(execution__mode="stream", action__dt_s=1.0).start()
    heard = listen(robot, Float64MultiArray)
    robot.peer.feed_until(lambda: len(heard) > 5, "commands")
    assert call(robot, SetBool, "pause", SetBool.Request(data=True)).message == "paused"
    time.sleep(0.1)
    counts = len(heard), len(robot.peer.heard["action_chunk"])
    diagnosed(robot, "paused")
    assert (len(heard), len(robot.peer.heard["action_chunk"])) == counts
    assert call(robot, SetBool, "pause", SetBool.Request(data=False)).success
    robot.peer.feed_until(lambda: len(heard) > counts[0] + 5, "commands again")


def test_an_inference_that_hangs_is_told_and_stops_the_stream(make_robot, monkeypatch):
    robot = make_robot(
        execution__mode="stream", action__dt_s=1.0, inference__timeout_s=0.3
    ).start()
    heard = listen(robot, Float64MultiArray)
    robot.peer.feed_until(lambda: len(heard) > 5, "commands")
    with monkeypatch.context() as patch:
        infer = robot.node._server.infer
        patch.setattr(
            robot.node._server, "infer", lambda *a, **k: (time.sleep(2.5), infer(*a, **k))[1]
        )
        diagnosed(robot, "the inference has been under way for")
        count = len(heard)
        time.sleep(0.2)
        assert len(heard) == count
    robot.peer.feed_until(lambda: len(heard) > count + 5, "commands again")


def test_rtc_holds_a_chunk_to_the_last_one(make_robot, monkeypatch):
    robot = make_robot(execution__rtc="on").start()
    guides = []
    denoise = robot.node._server.engine.denoise
    monkeypatch.setattr(
        robot.node._server.engine,
        "denoise",
        lambda *a, **k: guides.extend(k["guides"]) or denoise(*a, **k),
    )
    heard = robot.peer.heard["action_chunk"]
    robot.peer.feed_until(lambda: len(heard) > 3, "chunks")
    assert guides[-1].inference_delay >= 1
    assert 0 < len(guides[-1].left_over) <= 50


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"execution.mode": "stream", "action.kind": "other"}, "interpolates between joint"),
        ({"limits.from_robot_description": True, "action.kind": "other"}, "URDF"),
        ({"limits.upper": [1.0]}, "limits.upper has 1 values, action.names 3"),
        ({"limits.lower": ANYWHERE, "limits.upper": [-900.0] * 3}, "lower"),
        ({"action.names": ["a", "b", "c"], "limits.first_step": 0.1}, "among state.joints"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(make_robot, parameters, said):
    robot = make_robot(**{k.replace(".", "__"): v for k, v in parameters.items()})
    assert robot.node.trigger_configure() == TransitionCallbackReturn.FAILURE
    diagnosed(robot, said)
