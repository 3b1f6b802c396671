"""What the node says of its topics' other ends: within 2 s, by name, once."""

import time

import pytest
import rclpy
from node.conftest import wait_until
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import Float64MultiArray, String

from cls_vla_ros.node import graph

WITHIN_S = 3.0  # 2 s, and a busy machine


@pytest.fixture
def configured(make_robot, monkeypatch):
    """A robot in a namespace of its own: other tests' publishers are not seen as its own."""
    monkeypatch.setattr(graph, "PERIOD_S", 0.1)

    def make(name: str, **overrides):
        robot = make_robot(f"/graph_{name}", **overrides)
        robot.said = []
        robot.node._graph._say = robot.said.append
        return robot

    return make


@pytest.fixture
def stranger():
    """A node in a context of its own: within one, DDS has one type for each topic."""
    context = rclpy.Context()
    rclpy.init(context=context)
    nodes = []

    def make(robot, name: str = "stranger"):
        nodes.append(
            rclpy.create_node(name, namespace=robot.peer.get_namespace(), context=context)
        )
        return nodes[-1]

    yield make
    for node in nodes:
        node.destroy_node()
    rclpy.shutdown(context=context)


def configure(robot) -> None:
    assert robot.node.trigger_configure() == TransitionCallbackReturn.SUCCESS


def wait_for_words(robot, *words: str) -> str:
    """Until one text has all of them; it is said once."""
    began = time.monotonic()

    def found():
        return [text for text in robot.said if all(word in text for word in words)]

    wait_until(found, f"{words} in {robot.said}")
    assert time.monotonic() - began < WITHIN_S
    time.sleep(0.3)  # two more looks
    assert len(found()) == 1
    return found()[0]


def test_a_source_that_nobody_publishes_is_named_with_its_parameter(configured):
    robot = configured("nobody", camera__front__topic="no_such/image")
    configure(robot)
    wait_for_words(robot, "nobody publishes on /graph_nobody/no_such/image (camera.front.topic)",
                   "sensor_msgs/msg/Image")  # fmt: skip
    assert not [text for text in robot.said if "wrist" in text or "joint_states" in text]
    robot.peer.create_publisher(Image, "no_such/image", 1)
    wait_until(lambda: not robot.node._graph.problems, "all is well")


@pytest.mark.parametrize(
    ("override", "kind", "topic", "words"),
    [
        (
            {"camera__front__topic": "jpeg"},
            CompressedImage,
            "jpeg",
            ("sensor_msgs/msg/CompressedImage", "here it is sensor_msgs/msg/Image", "/stranger",
             "Set camera.front.transport, which is 'raw'"),
        ),
        (
            {"camera__wrist__topic": "raw"},
            Image,
            "raw",
            ("published as sensor_msgs/msg/Image", "Set camera.wrist.transport"),
        ),
        (
            {"state__topic": "other"},
            Float64MultiArray,
            "other",
            ("published as std_msgs/msg/Float64MultiArray", "sensor_msgs/msg/JointState"),
        ),
        ({}, JointState, "task", ("task is published as sensor_msgs/msg/JointState",)),
    ],
)  # fmt: skip
def test_another_type_is_said_with_both_and_the_parameter(
    configured, stranger, override, kind, topic, words
):
    robot = configured(f"type_{topic}", **override)
    stranger(robot).create_publisher(kind, topic, 1)
    configure(robot)
    wait_for_words(robot, *words)
    assert not [text for text in robot.said if "nobody publishes" in text and topic in text]


def test_the_reason_of_the_hold_and_the_diagnostics_name_the_type(configured, stranger):
    robot = configured("hold", camera__front__topic="jpeg")
    stranger(robot).create_publisher(CompressedImage, "jpeg", 1)
    configure(robot)
    robot.node.trigger_activate()
    until = "sensor_msgs/msg/CompressedImage"
    robot.peer.feed_until(lambda: until in robot.peer.diagnosis()[0], "the hold's reason")
    assert "no new frame on jpeg" in robot.peer.diagnosis()[0]
    assert until in robot.peer.diagnosis()[1]["graph"]


def test_a_quality_of_service_that_does_not_fit_is_said(configured):
    robot = configured("qos", camera__front__reliability="reliable")
    robot.peer.destroy_publisher(robot.peer.front)
    robot.peer.front = robot.peer.create_publisher(
        Image, "front/image_raw", QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    )
    configure(robot)
    wait_for_words(robot, "front/image_raw is published by /graph_qos/peer", "never connected",
                   "reliable", "camera.front.reliability")  # fmt: skip


def test_a_volatile_robot_description_is_said(configured):
    robot = configured("urdf", limits__from_robot_description=True)
    robot.peer.create_publisher(String, "robot_description", 1)
    configure(robot)
    wait_for_words(robot, "robot_description is published by", "never connected")


def test_a_controller_that_wants_another_type_is_said(configured, stranger):
    robot = configured("controller")
    stranger(robot).create_subscription(Float64MultiArray, "joint_trajectory", print, 1)
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    stranger(robot).create_subscription(Float64MultiArray, "action_chunk", print, latched)
    configure(robot)
    wait_for_words(robot, "joint_trajectory is subscribed to as std_msgs/msg/Float64MultiArray by",
                   "trajectory_msgs/msg/JointTrajectory")  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "topic", "parameters"),
    [(JointState, "joint_states", "state"), (Image, "front/image_raw", "camera.front")],
)
def test_two_publishers_on_one_source_command_nothing_until_one_goes(
    configured, stranger, kind, topic, parameters
):
    robot = configured(f"two_{parameters.replace('.', '_')}").start()
    heard = robot.peer.heard
    robot.peer.feed_until(lambda: heard["action_chunk"], "a chunk")
    node = stranger(robot)
    publisher = node.create_publisher(kind, topic, 1)
    wait_for_words(robot, f"{topic} has 2 publishers", "/stranger", "/peer",
                   f"{parameters}.allow_several_publishers")  # fmt: skip
    wait_until(lambda: "has 2 publishers" in robot.node._graph.problems, "it lasts")
    chunks, scenes = len(heard["action_chunk"]), len(heard["scene_change"])
    robot.peer.feed_until(lambda: len(heard["scene_change"]) > scenes + 2, "inferences go on")
    assert len(heard["action_chunk"]) == chunks
    robot.peer.feed_until(lambda: "2 publishers" in robot.peer.diagnosis()[0], "the hold says why")
    node.destroy_publisher(publisher)
    robot.peer.feed_until(lambda: len(heard["action_chunk"]) > chunks, "chunks come again")


def test_no_action_follows_a_second_publishers_first_message(configured, stranger):
    """The timer looks twice a second: that is not soon enough."""
    robot = configured("first_message").start()
    robot.node._graph.look = lambda: None
    heard = robot.peer.heard
    robot.peer.feed_until(lambda: heard["action_chunk"], "a chunk")
    publisher = stranger(robot).create_publisher(JointState, "joint_states", 1)
    wait_until(publisher.get_subscription_count, "it is connected")
    time.sleep(0.2)  # what was inferred before it came is out
    chunks, scenes = len(heard["action_chunk"]), len(heard["scene_change"])
    robot.peer.feed_until(lambda: len(heard["scene_change"]) > scenes + 2, "inferences go on")
    assert len(heard["action_chunk"]) == chunks


@pytest.mark.parametrize("allow", ["state__allow_several_publishers", "state__allow_partial"])
def test_several_publishers_may_be_allowed(configured, stranger, allow):
    robot = configured(f"several_{allow[7:]}", **{allow: True}).start()
    publisher = stranger(robot).create_publisher(JointState, "joint_states", 1)
    wait_until(publisher.get_subscription_count, "it is connected")
    heard = robot.peer.heard["action_chunk"]
    robot.peer.feed_until(lambda: len(heard) > 2, "chunks")
    assert not [text for text in robot.said if "publishers" in text]


def test_one_publisher_of_another_type_is_no_second_one(configured, stranger):
    robot = configured("other_type").start()
    stranger(robot).create_publisher(CompressedImage, "front/image_raw", 1)
    wait_for_words(robot, "front/image_raw is published as sensor_msgs/msg/CompressedImage")
    heard = robot.peer.heard["action_chunk"]
    robot.peer.feed_until(lambda: len(heard) > 2, "chunks")


def test_another_node_of_the_same_name_is_said(configured, stranger):
    robot = configured("twins")
    stranger(robot, "cls_vla_policy")
    wait_for_words(robot, "another node /graph_twins/cls_vla_policy")


def test_sim_time_without_a_clock_is_said_before_configure(configured):
    robot = configured("clock", use_sim_time=True)
    wait_for_words(robot, "use_sim_time is set, and nobody publishes /clock")


def test_where_all_is_well_nothing_is_said(configured):
    robot = configured("well").start()
    heard = robot.peer.heard["action_chunk"]
    robot.peer.feed_until(lambda: len(heard) > 1, "chunks")
    time.sleep(graph.SETTLE_S + 0.3)
    assert robot.said == []
