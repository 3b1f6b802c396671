import threading
import time
from pathlib import Path

import numpy as np
import pytest
import rclpy
from node.conftest import wait_until
from rclpy.qos import DurabilityPolicy, QoSProfile
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import Writer
from rosbags.rosbag2.enums import StoragePlugin
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from cls_vla_ros.console.share import share
from cls_vla_ros.demo.bag_player import BagPlayer
from cls_vla_ros.robot.stamps import to_ns

STORE = get_typestore(Stores.ROS2_JAZZY)
TIME = STORE.types["builtin_interfaces/msg/Time"](sec=1, nanosec=0)


@pytest.fixture
def node():
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("player_test", context=context)
    yield node
    node.destroy_node()
    rclpy.shutdown(context=context)


def test_it_plays_every_message_at_its_time_with_the_clock(node):
    player = BagPlayer(node, share("bags", "demo"))
    states, clock = [], []
    node.create_subscription(JointState, "joint_states", states.append, 1000)
    node.create_subscription(Clock, "/clock", lambda m: clock.append(to_ns(m.clock)), 1000)
    executor = rclpy.executors.SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()
    assert player.wait_for_subscribers(10)
    began = time.monotonic()
    player.play(rate=3.0)
    took = time.monotonic() - began
    deadline = time.monotonic() + 10
    while len(states) < 360 and time.monotonic() < deadline:
        time.sleep(0.05)
    executor.shutdown()
    thread.join()
    player.close()

    assert len(states) == 360
    assert player.duration_s / 3 <= took < player.duration_s / 3 + 1
    stamps = [to_ns(m.header.stamp) for m in states]
    assert stamps == sorted(stamps)
    assert abs(clock[-1] - player.start_ns - player.duration_s * 1e9) < 1000
    assert np.diff(clock).min() >= 0
    assert np.diff(clock).max() < 0.2e9


def write(path: Path, contents: dict[str, object], latched=()) -> Path:
    """A recording of one message on each topic."""
    never = QosTime(0, 0)
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        for n, (topic, message) in enumerate(contents.items()):
            durability = (
                QosDurability.TRANSIENT_LOCAL if topic in latched else QosDurability.VOLATILE
            )
            qos = Qos(QosHistory.KEEP_LAST, 1, QosReliability.RELIABLE, durability, never, never,
                      QosLiveliness.AUTOMATIC, never, False)  # fmt: skip
            connection = writer.add_connection(
                topic, message.__msgtype__, typestore=STORE, offered_qos_profiles=[qos]
            )
            writer.write(connection, 10**9 + n, STORE.serialize_cdr(message, message.__msgtype__))
    return path


def text(data: str):
    return STORE.types["std_msgs/msg/String"](data=data)


def offered(node) -> set[str]:
    own = node.get_publisher_names_and_types_by_node("player_test", node.get_namespace())
    return {name for name, _ in own} - {"/rosout", "/parameter_events"}


def test_what_others_say_now_is_not_played(node, tmp_path):
    left_out = ["/rosout", "/parameter_events", "/clock", "/diagnostics", "/scene_change",
                "/left/action_chunk", "/arm_controller/joint_trajectory", "/joint_command",
                "/plot/action_chunk", "/plot/similarity",
                "/cls_vla_policy/transition_event"]  # fmt: skip
    played = ["/joint_states", "/cameras/front", "/my_diagnostics", "/clock_offset"]
    contents = {topic: text(topic) for topic in (*left_out, *played)}
    BagPlayer(node, write(tmp_path / "bag", contents)).close()
    wait_until(lambda: offered(node) == {"/clock", *played}, f"{played}, got {offered(node)}")


def test_an_output_of_this_packages_types_is_known_by_its_type(node, tmp_path):
    definition = share("msg", "SceneChange.msg").read_text()
    STORE.register(get_types_from_msg(definition, "cls_vla_ros/msg/SceneChange"))
    kind = STORE.types["cls_vla_ros/msg/SceneChange"]
    header = STORE.types["std_msgs/msg/Header"](TIME, "")
    values = {f: 0 for f in kind.__dataclass_fields__ if f != "__msgtype__"}
    values |= {"header": header, "reason_text": ""}
    bag = write(tmp_path / "bag", {"/renamed": kind(**values), "/other": text("")})
    BagPlayer(node, bag).close()
    wait_until(lambda: offered(node) == {"/clock", "/other"}, f"{offered(node)}")


def test_a_recording_of_nothing_else_says_so(node, tmp_path):
    bag = write(tmp_path / "bag", {"/rosout": text("")})
    with pytest.raises(ValueError, match=r"nothing to play: of its topics \['/rosout'\]"):
        BagPlayer(node, bag)


def test_an_output_that_the_policy_node_has_under_another_name_is_not_played(node, tmp_path):
    policy_node = rclpy.create_node("cls_vla_policy", context=node.context)
    publisher = policy_node.create_publisher(String, "arm/command", 1)
    bag = write(tmp_path / "bag", {"/arm/command": text("old"), "/arm/state": text("")})
    player = BagPlayer(node, bag)
    policy_node.create_subscription(String, "arm/state", print, 1)
    wait_until(lambda: node.count_publishers("arm/command") == 2, "discovery")
    assert player.wait_for_subscribers(10)
    assert offered(node) == {"/clock", "/arm/state"}
    player.play()
    player.close()
    policy_node.destroy_publisher(publisher)
    policy_node.destroy_node()


def test_a_latched_topic_is_offered_latched_and_heard_late(node, tmp_path):
    bag = write(tmp_path / "bag", {"/robot_description": text("urdf"), "/said": text("once")},
                latched=["/robot_description"])  # fmt: skip
    player = BagPlayer(node, bag)
    player.play()
    heard = []
    qos = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    node.create_subscription(String, "robot_description", heard.append, qos)
    node.create_subscription(String, "said", heard.append, 1)
    executor = rclpy.executors.SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    deadline = time.monotonic() + 10
    while not heard and time.monotonic() < deadline:
        executor.spin_once(0.1)
    assert [message.data for message in heard] == ["urdf"]
    executor.shutdown()
    player.close()


def test_a_folder_that_is_no_recording_is_named(node, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"metadata\.yaml"):
        BagPlayer(node, tmp_path)


def test_a_damaged_recording_is_named(node, tmp_path):
    (tmp_path / "metadata.yaml").write_text("rosbag2_bagfile_information: {version: many}")
    with pytest.raises(ValueError, match="cannot be read"):
        BagPlayer(node, tmp_path)
