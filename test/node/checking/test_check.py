"""`check` on a recording and on a robot: what would hold or hurt is named, and exits 1."""

import threading
import time

import cv2
import pytest
import rclpy
from fixtures.recordings import ACTIONS, JOINTS, PARAMETERS
from node.checking.conftest import RECORDED
from node.conftest import Peer
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory


def test_a_good_recording_passes_and_leaves_a_picture(check, make_bag, tmp_path):
    code, said = check("--bag", make_bag().path, "--infer")
    assert code == 0, said
    for words in ("48 x 64 rgb8", "20.0 Hz", "60.0 Hz", "3 joints", "one inference",
                  "which was not published", "nothing would hold it"):  # fmt: skip
        assert words in said, words
    for name in (*JOINTS, *ACTIONS):
        assert name in said
    picture = cv2.imread(str(tmp_path / "check.png"))
    assert picture.shape[1] > picture.shape[0] > 300  # two beside each other


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"camera": {"front": {"topic": "fornt"}, "wrist": PARAMETERS["camera"]["wrist"]}},
         "has no topic fornt: it has command, front"),
        ({"camera": {"front": {"topic": "wrist"}, "wrist": {"topic": "front"}}},
         "wrist is recorded as sensor_msgs/msg/CompressedImage"),
        ({"state": {"joints": [*JOINTS[:2], "griper"], "units": ["rad"] * 3}},
         "refused: the JointState lacks the joints ['griper']"),
        ({"state": {"joints": JOINTS[:2]}}, "has 3 values, but state.joints names 2"),
        ({"camera": {"front": {"topic": "front", "guard_": True},
                     "wrist": PARAMETERS["camera"]["wrist"]}},
         "camera.front.guard_ is no parameter"),
    ],
)  # fmt: skip
def test_what_would_hold_is_named(check, make_bag, changes, words):
    code, said = check("--bag", make_bag().path, **changes)
    assert code == 1
    assert words in said, said


def test_no_recording_is_said(check, tmp_path):
    code, said = check("--bag", tmp_path / "none")
    assert code == 1
    assert "is not a rosbag2 directory" in said


@pytest.fixture
def robot():
    """Cameras and joints that publish, in a namespace of their own."""
    context = rclpy.Context()
    rclpy.init(context=context)
    peer = Peer(context, "/checked")
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(peer)
    spinning = threading.Thread(target=executor.spin, daemon=True)
    spinning.start()
    ended = threading.Event()

    def publish():
        while not ended.wait(0.05):
            peer.feed()

    feeding = threading.Thread(target=publish)
    feeding.start()
    yield peer
    ended.set()
    feeding.join()
    executor.shutdown()
    spinning.join(10)
    peer.destroy_node()
    rclpy.shutdown(context=context)


LIVE = {
    **RECORDED,
    "camera": {"wrist": {"topic": "wrist/compressed", "transport": "compressed"}},
    "action": {"kind": "joint_positions", "names": JOINTS, "dt_s": 0.05},
    "limits": {"first_step": 0.0},
}
NAMESPACE = ("--ros-args", "-r", "__ns:=/checked")


def test_a_robot_is_heard_and_nothing_is_published(check, robot):
    code, said = check("--infer", *NAMESPACE, parameters=LIVE)
    assert code == 0, said
    for words in ("peer (reliable)", "joint_trajectory", "peer │", "4 joints", "one inference"):
        assert words in said, words
    time.sleep(0.3)
    assert not robot.heard["joint_trajectory"]
    assert not robot.heard["action_chunk"]


def test_what_is_wrong_at_the_other_ends_is_named(check, robot):
    other = robot.create_publisher(JointTrajectory, "joint_trajectory", 1)
    camera = {"wrist": {"topic": "wrist/compressed"}, "front": {"topic": "frnt"}}
    code, said = check(*NAMESPACE, parameters=LIVE, camera=camera)
    assert code == 1
    for words in ("nobody publishes on /checked/frnt (camera.front.topic)",
                  "wrist/compressed is published as sensor_msgs/msg/CompressedImage by",
                  "joint_trajectory is published by peer already",
                  "it would hold: no message yet on frnt"):  # fmt: skip
        assert words in said, said
    robot.destroy_publisher(other)


def test_a_source_that_is_slow_is_waited_for(check, robot):
    late = robot.create_publisher(JointState, "slow", 10)

    def publish():
        time.sleep(6.0)  # of which the imports are some
        for _ in range(100):
            late.publish(robot.joint_state(JOINTS, [0.0] * 3))
            time.sleep(0.05)

    thread = threading.Thread(target=publish)
    thread.start()
    state = LIVE["state"] | {"topic": "slow"}
    code, said = check(*NAMESPACE, parameters=LIVE, state=state)
    thread.join()
    assert code == 0, said


def test_a_command_that_nobody_hears_is_named(check, robot):
    limits = {"outputs": ["arm"], "names": JOINTS, "dt_s": 0.05}
    output = {"arm": {"type": "joint_trajectory", "names": JOINTS}}
    code, said = check(*NAMESPACE, parameters=LIVE, action=limits, output=output)
    assert code == 1
    assert "nobody subscribes to /checked/arm/joint_trajectory" in said
    assert "output.arm.topic" in said
