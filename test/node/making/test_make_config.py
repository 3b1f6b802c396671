"""`make_config` beside a robot that runs: the file is one that `check` has nothing against."""

import threading

import pytest
import rclpy
import torch
from node.conftest import Peer
from rclpy.executors import SingleThreadedExecutor

pytest.importorskip("control_msgs", reason="no control_msgs: dev/build.sh builds it")

from fixtures.controllers import GripperController, TrajectoryController

from cls_vla_ros.node.checking.check import main as check
from cls_vla_ros.node.making.make_config import main as make_config
from cls_vla_ros.policy.checkpoint.random_checkpoint import make_random_checkpoint

ARM = ["shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll"]
JOINTS = [*ARM, "gripper"]


@pytest.fixture
def so101():
    """Cameras, joints, an arm's controller and a gripper's."""
    context = rclpy.Context()
    rclpy.init(context=context)
    peer = Peer(context, "")
    nodes = [
        peer,
        TrajectoryController(context, "arm_controller", ARM, limit=3.0),
        GripperController(context, "gripper_controller", -0.17, 1.75),
    ]
    executor = SingleThreadedExecutor(context=context)
    for node in nodes:
        executor.add_node(node)
    spinning = threading.Thread(target=executor.spin, daemon=True)
    spinning.start()
    ended = threading.Event()

    def publish():
        while not ended.wait(0.05):
            peer.feed(joints=peer.joint_state(JOINTS, [0.0] * 6))

    feeding = threading.Thread(target=publish)
    feeding.start()
    yield nodes
    ended.set()
    feeding.join()
    executor.shutdown()
    spinning.join(10)
    for node in nodes:
        node.destroy_node()
    rclpy.shutdown(context=context)


@pytest.fixture
def policy(tmp_path):
    cameras = {"observation.images.front": (48, 64), "observation.images.wrist": (60, 60)}
    stats = {n: {"mean": torch.zeros(6), "std": torch.ones(6)}
             for n in ("observation.state", "action")}  # fmt: skip
    return make_random_checkpoint(tmp_path / "policy", cameras, stats)


def run(monkeypatch, main, *arguments) -> int | str | None:
    monkeypatch.setattr("sys.argv", [main.__module__, *map(str, arguments)])
    try:
        return main()
    except SystemExit as end:
        return end.code


def test_the_file_runs_as_it_is(so101, policy, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    made = run(monkeypatch, make_config, "--policy", policy, "--task", "put the cube away")
    said = capsys.readouterr().out
    assert not made, said
    assert "2 camera topics, 1 of joints and 2 controllers run here" in said
    text = (tmp_path / "my_robot.yaml").read_text()
    for line in (
        "      topic: wrist/compressed\n        transport: compressed",
        f"      joints: [{', '.join(JOINTS)}]  # ?? is this the dataset's order?",
        "      outputs: [arm_controller, gripper_controller]",
        "        topic: gripper_controller/gripper_cmd\n        type: gripper_command",
        "        names: [gripper]",
    ):
        assert line in text, text
    code = run(monkeypatch, check, "--params-file", "my_robot.yaml", "--seconds", "1")
    assert not code, capsys.readouterr().out
    again = run(monkeypatch, make_config, "--policy", policy)
    assert "my_robot.yaml is there already" in again


def test_what_is_no_checkpoint_is_said(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    said = run(monkeypatch, make_config, "--policy", tmp_path / "none")
    assert "make_config: the checkpoint" in said
    assert "does not exist" in said
