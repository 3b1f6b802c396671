"""The node as a process, driven over DDS with a recording that is not the demo's.

Other picture sizes and encodings, other joints in another order, degrees, and actions that are
joint positions: what a user's robot has.
"""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import rclpy
from ament_index_python.packages import get_package_prefix
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from trajectory_msgs.msg import JointTrajectory

from cls_vla_ros.demo.bag_player import BagPlayer
from cls_vla_ros.endurance.policy_client import PolicyClient
from cls_vla_ros.robot.stamps import NS, to_ns

START_NS = 1_800_000_000 * NS
FRAMES, FRAME_NS = 50, NS // 15
RECORDED_JOINTS = ["gripper", "wheel", "elbow", "shoulder"]
PARAMETERS = """
/**:
  ros__parameters:
    policy: {{path: {checkpoint}, device: cpu, seed: 0}}
    task: push the button
    rate_hz: 10.0
    cameras: [top, hand]
    camera:
      top: {{topic: cell/top, feature: observation.images.front}}
      hand:
        topic: cell/hand/compressed
        transport: compressed
        feature: observation.images.wrist
    state: {{topic: arm/states, joints: [shoulder, elbow, gripper], units: [deg, deg, m]}}
    action:
      kind: joint_positions
      names: [shoulder, elbow, gripper]
      units: [deg, deg, m]
      dt_s: 0.04
    limits: {{first_step: 0.0}}  # the policy is random
    execution: {{armed: true, preflight: false}}
"""


def write_recording(path: Path) -> None:
    """A bgr8 camera with padded rows, a PNG camera, joints in an order of their own; SQLite."""
    store = get_typestore(Stores.ROS2_JAZZY)
    kinds = store.types

    def header(ns):
        stamp = kinds["builtin_interfaces/msg/Time"](sec=ns // NS, nanosec=ns % NS)
        return kinds["std_msgs/msg/Header"](stamp=stamp, frame_id="")

    random = np.random.default_rng(0)
    with Writer(path, version=9, storage_plugin=StoragePlugin.SQLITE3) as bag:
        topics = {
            name: bag.add_connection(name, kind, typestore=store)
            for name, kind in (
                ("/cell/top", "sensor_msgs/msg/Image"),
                ("/cell/hand/compressed", "sensor_msgs/msg/CompressedImage"),
                ("/arm/states", "sensor_msgs/msg/JointState"),
            )
        }

        def put(name, ns, message):
            bag.write(topics[name], ns, store.serialize_cdr(message, topics[name].msgtype))

        for frame in range(FRAMES):
            ns = START_NS + frame * FRAME_NS
            empty = np.zeros(0)
            for t in range(ns, ns + FRAME_NS, FRAME_NS // 4):
                state = kinds["sensor_msgs/msg/JointState"](
                    header=header(t),
                    name=RECORDED_JOINTS,
                    position=np.array([0.02, 99.0, 0.5, 0.001 * frame]),
                    velocity=empty,
                    effort=empty,
                )
                put("/arm/states", t, state)
            rows = random.integers(0, 256, (90, 120 * 3 + 8), dtype=np.uint8)
            image = kinds["sensor_msgs/msg/Image"](
                header=header(ns + 1),
                height=90,
                width=120,
                encoding="bgr8",
                is_bigendian=0,
                step=rows.shape[1],
                data=rows.reshape(-1),
            )
            put("/cell/top", ns + 1, image)
            png = cv2.imencode(".png", random.integers(0, 256, (70, 50, 3), dtype=np.uint8))[1]
            compressed = kinds["sensor_msgs/msg/CompressedImage"](
                header=header(ns + 2), format="bgr8; png compressed", data=png.reshape(-1)
            )
            put("/cell/hand/compressed", ns + 2, compressed)


@pytest.fixture
def node_process(checkpoint, tmp_path):
    params = tmp_path / "robot.yaml"
    params.write_text(PARAMETERS.format(checkpoint=checkpoint))
    log = tmp_path / "node.log"
    executable = Path(get_package_prefix("cls_vla_ros"), "lib", "cls_vla_ros", "policy_node")
    command = [sys.executable, str(executable), "--ros-args", "--params-file", str(params)]
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, "-p", "use_sim_time:=true"], stdout=output, stderr=subprocess.STDOUT
        )
        yield process, log
        if process.poll() is None:
            process.kill()
            process.wait()


def test_a_recording_through_the_node(node_process, tmp_path):
    process, log = node_process
    recording = tmp_path / "recording"
    write_recording(recording)
    scene_changes, chunks, trajectories, answers = [], [], [], []
    rclpy.init()
    try:
        with PolicyClient(scene_changes.append, chunks.append) as client:
            client.node.create_subscription(
                JointTrajectory, "joint_trajectory", trajectories.append, 10
            )
            client.transition("configure", 120.0)
            client.transition("activate", 20.0)
            player = BagPlayer(client.node, recording)
            assert player.wait_for_subscribers(20.0)
            resetter = threading.Timer(1.6, lambda: answers.append(client.reset(20.0)))
            resetter.start()
            player.play()
            resetter.join(20.0)
            time.sleep(0.5)
            client.transition("deactivate", 20.0)
            player.close()
    finally:
        rclpy.shutdown()
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)  # as a terminal and `ros2 launch` both do
    assert process.wait(20) == 0, log.read_text()
    said = log.read_text()
    assert "refused" not in said
    assert "failed" not in said

    assert answers == ["episode 2 begins"]
    episodes = [m.episode for m in scene_changes]
    assert sorted(set(episodes)) == [1, 2]
    assert episodes == sorted(episodes)
    for episode in (1, 2):
        first, *others = [m for m in scene_changes if m.episode == episode]
        assert not first.has_history
        assert np.isnan(first.similarity)
        assert first.should_cache
        assert len(others) >= 2
        assert all(m.has_history and np.isnan(m.similarity) for m in others)  # an untrained head
    frames = {START_NS + f * FRAME_NS + 2 for f in range(FRAMES)}
    assert all(to_ns(m.header.stamp) in frames for m in scene_changes)
    assert [c.inference_id for c in chunks] == [m.inference_id for m in scene_changes]
    trajectories = [message for message in trajectories if len(message.points) > 1]  # no stops
    assert len(trajectories) == len(chunks)
    for chunk, trajectory in zip(chunks, trajectories, strict=True):
        assert list(chunk.units) == ["rad", "rad", "m"]
        assert trajectory.joint_names == ["shoulder", "elbow", "gripper"]
        assert np.isfinite(chunk.data).all()
        assert np.abs(np.array(chunk.data).reshape(50, 3)[:, :2]).max() < 1  # some degrees, in rad
