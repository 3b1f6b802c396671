"""The node as a process of its own, as a launch file starts it, and sensors that feed it."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import rclpy
import torch
from ament_index_python.packages import get_package_prefix
from faults.recorder import Bounds, Recorder
from faults.rig import HOME, Sensors
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from node.conftest import JOINTS, Peer, wait_until
from rclpy.executors import SingleThreadedExecutor

from cls_vla_ros.policy.checkpoint.random_checkpoint import make_random_checkpoint

PARAMETERS = """
/**:
  ros__parameters:
    policy: {{path: {checkpoint}, device: cpu, seed: 0}}
    task: push the button
    rate_hz: 20.0
    observation: {{max_age_s: 0.3}}
    cameras: [front, wrist]
    camera: {{wrist: {{topic: wrist/compressed, transport: compressed}}}}
    state: {{joints: [shoulder, elbow, gripper]}}
    action: {{kind: joint_positions, names: [shoulder, elbow, gripper], dt_s: 0.05}}
    limits: {{first_step: 0.2}}
    execution: {{armed: true, preflight: false}}
"""
NEVER_READS = """
import rclpy, time
from rclpy.node import Node
from rclpy.qos import QoSProfile
from cls_vla_ros.msg import ActionChunk, SceneChange
from trajectory_msgs.msg import JointTrajectory
rclpy.init()
node = Node("never_reads")
for kind, name in ((ActionChunk, "action_chunk"), (SceneChange, "scene_change"),
                   (JointTrajectory, "joint_trajectory")):
    node.create_subscription(kind, name, lambda message: None, QoSProfile(depth=1))  # reliable
print("subscribed", flush=True)
time.sleep(600)
"""
START_S = 60.0  # torch takes its time to import where cores are busy


def tame_checkpoint(directory: Path, cameras: dict) -> Path:
    """A random policy whose actions stay within some hundredths of where the arm is."""
    home = torch.tensor(list(HOME.values()))
    stats = {
        "observation.state": {"mean": home, "std": torch.ones(3)},
        "action": {"mean": home, "std": torch.full((3,), 0.01)},
    }
    return make_random_checkpoint(directory, cameras, stats)


class ProcessRig:
    """Like `rig.Rig`, around a process."""

    def __init__(self, directory: Path, cameras: dict) -> None:
        self._log = directory / "node.log"
        self._params = directory / "robot.yaml"
        checkpoint = tame_checkpoint(directory / "tame", cameras)
        self._params.write_text(PARAMETERS.format(checkpoint=checkpoint))
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.peer = Peer(self.context, "")
        self._change = self.peer.create_client(ChangeState, "cls_vla_policy/change_state")
        self._state = self.peer.create_client(GetState, "cls_vla_policy/get_state")
        self.sensors = Sensors(self.peer)
        bounds = Bounds(JOINTS, np.array(list(HOME.values())), max_age_s=0.3)
        self.recorder = Recorder(bounds, self.sensors.now_ns)
        self.recorder.listen(self.peer, "chunk")
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.peer)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()
        self.process: subprocess.Popen | None = None

    @property
    def log(self) -> str:
        return self._log.read_text()

    def start(self) -> None:
        """The process, configured and active."""
        executable = Path(get_package_prefix("cls_vla_ros"), "lib", "cls_vla_ros", "policy_node")
        command = [sys.executable, str(executable), "--ros-args"]
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [*command, "--params-file", str(self._params)], stdout=log, stderr=log
            )
        self.recorder.forget()
        deadline = time.monotonic() + START_S
        while not self._answers():
            assert time.monotonic() < deadline, self.log
        for id in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
            future = self._change.call_async(ChangeState.Request(transition=Transition(id=id)))
            wait_until(future.done, f"transition {id}")
            assert future.result().success, self.log

    def _answers(self) -> bool:
        """A service may be seen before its node has seen the client: asked until answered."""
        assert self.process.poll() is None, self.log
        future = self._state.call_async(GetState.Request())
        deadline = time.monotonic() + 0.5
        while not future.done() and time.monotonic() < deadline:
            time.sleep(0.01)
        return future.done()

    def is_healthy(self) -> bool:
        """Whether chunks come now."""
        count = len(self.recorder.chunks)
        wait_until(lambda: len(self.recorder.chunks) > count + 2, "chunks")
        return True

    def end(self, number: signal.Signals) -> int:
        """Send the process a signal, and wait for its end."""
        self.process.send_signal(number)
        return self.process.wait(20)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.sensors.close()
        self._executor.shutdown()
        self._thread.join()
        self.peer.destroy_node()
        rclpy.shutdown(context=self.context)


class NeverReads:
    """A reliable subscriber whose process is stopped: it takes and acknowledges nothing."""

    def __enter__(self) -> "NeverReads":
        self._process = subprocess.Popen(
            [sys.executable, "-c", NEVER_READS], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout.readline() == "subscribed\n"
        return self

    def stop(self) -> None:
        """From now on it reads no more."""
        self._process.send_signal(signal.SIGSTOP)

    def __exit__(self, *_) -> None:
        self._process.kill()
        self._process.wait()
