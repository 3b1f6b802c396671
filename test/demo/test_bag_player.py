import threading
import time

import numpy as np
import pytest
import rclpy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState

from cls_vla_ros.console.share import share
from cls_vla_ros.demo.bag_player import BagPlayer
from cls_vla_ros.robot.stamps import to_ns


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


def test_a_folder_that_is_no_recording_is_named(node, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"metadata\.yaml"):
        BagPlayer(node, tmp_path)


def test_a_damaged_recording_is_named(node, tmp_path):
    (tmp_path / "metadata.yaml").write_text("rosbag2_bagfile_information: {version: many}")
    with pytest.raises(ValueError, match="cannot be read"):
        BagPlayer(node, tmp_path)
