"""The real node in this process, and a peer that feeds it and hears what it publishes."""

import threading
import time

import cv2
import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage, Image, JointState
from trajectory_msgs.msg import JointTrajectory

from cls_vla_ros.msg import ActionChunk, SceneChange
from cls_vla_ros.node.policy_node import PolicyNode

JOINTS = ["shoulder", "elbow", "gripper"]
PARAMETERS = {
    "policy.device": "cpu",
    "policy.seed": 0,
    "task": "open the drawer",
    "rate_hz": 200.0,
    "observation.max_age_s": 5.0,
    "cameras": ["front", "wrist"],
    "camera.wrist.topic": "wrist/compressed",
    "camera.wrist.transport": "compressed",
    "state.joints": JOINTS,
    "action.kind": "joint_positions",
    "action.names": JOINTS,
    "action.dt_s": 0.05,
    "limits.first_step": 0.0,  # the policy is random
    "execution.armed": True,
}
OUTPUTS = {
    "scene_change": SceneChange,
    "action_chunk": ActionChunk,
    "joint_trajectory": JointTrajectory,
    "/diagnostics": DiagnosticArray,
}
TIMEOUT_S = 20.0


def wait_until(condition, what: str) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {TIMEOUT_S:g} s: {what}"
        time.sleep(0.01)


class Peer(rclpy.node.Node):
    """Cameras, joints and a listener."""

    def __init__(self, context, namespace: str) -> None:
        super().__init__("peer", namespace=namespace, context=context)
        self.heard = {name: [] for name in OUTPUTS}
        for name, kind in OUTPUTS.items():
            self.create_subscription(kind, name, self.heard[name].append, 100)
        self.front = self.create_publisher(Image, "front/image_raw", 10)
        self.wrist = self.create_publisher(CompressedImage, "wrist/compressed", 10)
        self.joints = self.create_publisher(JointState, "joint_states", 10)
        self.seed = 0

    def now(self, age_s: float = 0.0):
        return (self.get_clock().now() - rclpy.duration.Duration(seconds=age_s)).to_msg()

    def image(self, size=(48, 64), encoding="rgb8", age_s=0.0) -> Image:
        self.seed += 1
        pixels = np.random.default_rng(self.seed).integers(0, 256, (*size, 3), dtype=np.uint8)
        message = Image(
            height=size[0],
            width=size[1],
            encoding=encoding,
            step=3 * size[1],
            data=pixels.tobytes(),
        )
        message.header.stamp = self.now(age_s)
        return message

    def jpeg(self, age_s=0.0) -> CompressedImage:
        self.seed += 1
        pixels = np.full((60, 60, 3), 50 + self.seed % 200, np.uint8)
        data = cv2.imencode(".jpg", pixels)[1].tobytes()
        message = CompressedImage(format="jpeg", data=data)
        message.header.stamp = self.now(age_s)
        return message

    def joint_state(
        self, names=("gripper", "other", "shoulder", "elbow"), positions=None
    ) -> JointState:
        values = [0.1 * i for i in range(len(names))] if positions is None else positions
        message = JointState(name=list(names), position=values)
        message.header.stamp = self.now()
        return message

    def feed(self, front=None, wrist=None, joints=None) -> None:
        """One of each, good unless given."""
        self.joints.publish(joints or self.joint_state())
        self.wrist.publish(wrist or self.jpeg())
        self.front.publish(front or self.image())

    def feed_until(self, condition, what: str, **messages) -> None:
        def fed():
            if condition():
                return True
            self.feed(**messages)
            time.sleep(0.03)
            return condition()

        wait_until(fed, what)

    def diagnosis(self) -> tuple[str, dict[str, str]]:
        """Message and values of the newest diagnostics."""
        if not self.heard["/diagnostics"]:
            return "", {}
        (status,) = self.heard["/diagnostics"][-1].status
        return status.message, {value.key: value.value for value in status.values}


class Robot:
    """A node under test, its peer, and the thread that spins both."""

    wait_until = staticmethod(wait_until)

    def __init__(self, parameters: dict, namespace: str = "") -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        self.node = PolicyNode(
            context=self.context, namespace=namespace, parameter_overrides=overrides
        )
        self.peer = Peer(self.context, namespace)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.executor.add_node(self.peer)
        self.thread = threading.Thread(target=self.executor.spin, daemon=True)
        self.thread.start()

    def start(self) -> "Robot":
        """Configure and activate, and wait for discovery."""
        assert self.node.trigger_configure() == rclpy.lifecycle.TransitionCallbackReturn.SUCCESS
        assert self.node.trigger_activate() == rclpy.lifecycle.TransitionCallbackReturn.SUCCESS
        publishers = (self.peer.front, self.peer.wrist, self.peer.joints)
        wait_until(lambda: all(p.get_subscription_count() for p in publishers), "subscriptions")
        wait_until(lambda: self.peer.count_publishers("scene_change"), "publishers")
        return self

    def set(self, name: str, value):
        (result,) = self.node.set_parameters([Parameter(name, value=value)])
        return result

    def close(self) -> None:
        self.executor.shutdown()
        self.thread.join(TIMEOUT_S)
        self.node.destroy_node()
        self.peer.destroy_node()
        rclpy.shutdown(context=self.context)


@pytest.fixture
def make_robot(checkpoint):
    robots = []

    def make(namespace: str = "", **overrides) -> Robot:
        changed = {name.replace("__", "."): value for name, value in overrides.items()}
        parameters = PARAMETERS | {"policy.path": str(checkpoint)} | changed
        robots.append(Robot({k: v for k, v in parameters.items() if v is not None}, namespace))
        return robots[-1]

    yield make
    for robot in robots:
        robot.close()


@pytest.fixture
def robot(make_robot):
    return make_robot().start()
