"""The robots of config/robots over DDS, against controllers that check what real ones check."""

import threading
import time
from functools import partial
from importlib.util import find_spec
from math import radians
from pathlib import Path

import numpy as np
import pytest
import rclpy
import torch
from geometry_msgs.msg import PoseStamped, Twist, TwistStamped
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image, JointState
from std_srvs.srv import SetBool
from trajectory_msgs.msg import JointTrajectory

from cls_vla_ros.console.share import share
from cls_vla_ros.node.policy_node import PolicyNode
from cls_vla_ros.policy.checkpoint.random_checkpoint import make_random_checkpoint
from cls_vla_ros.robot.parameters.params_file import parameters_of

pytest.importorskip("control_msgs", reason="no control_msgs: dev/build.sh builds it")

from fixtures.controllers import (
    BaseController,
    ForwardController,
    GripperController,
    TrajectoryController,
)

TIMEOUT_S = 20.0
SIZE = (48, 64)
UR_ARM = ["shoulder_pan_joint", "shoulder_lift_joint", "elbow_joint"]
UR_ARM += [f"wrist_{i}_joint" for i in (1, 2, 3)]
ALOHA_ARM = ["waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate"]
SO101_ARM = ["shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll"]
PANDA_ARM = [f"panda_joint{i}" for i in range(1, 8)]
LEKIWI_ARM = [f"arm_{joint}" for joint in (*SO101_ARM, "gripper")]
NO_NAV = {} if find_spec("nav_msgs") else {"source.base.type": "twist_stamped"}


def wait_until(condition, what: str) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {TIMEOUT_S:g} s: {what}"
        time.sleep(0.01)


class Rig:
    """The node with a robot's file, its drivers and controllers, and a policy that is told."""

    def __init__(self, robot: str, checkpoints, overrides: dict) -> None:
        folder = ("config",) if robot == "template" else ("config", "robots")
        file = share(*folder, f"{robot}.yaml")
        self.overrides = {"policy.path": "later", "policy.device": "cpu"} | overrides
        with parameters_of(file, self.overrides) as parameters:
            self.settings = parameters.read()
        features = {camera.feature: SIZE for camera in self.settings.cameras}
        state, action = self.settings.state.joints, self.settings.action.names
        stats = {
            name: {"mean": torch.zeros(size), "std": torch.ones(size)}
            for name, size in (("observation.state", len(state)), ("action", len(action)))
        }
        path = make_random_checkpoint(checkpoints / robot, features, stats)
        values = self.overrides | {
            "policy.path": str(path),
            "rate_hz": 30.0,
            "policy.seed": 0,
            "task": "pick up the cube",
        }
        values |= {"execution.armed": True, "execution.preflight": False}  # it is of another robot
        values |= {"observation.max_age_s": 5.0, "observation.max_skew_s": 5.0}
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = PolicyNode(
            context=self.context,
            cli_args=["--ros-args", "--params-file", str(file)],
            parameter_overrides=[Parameter(name, value=v) for name, v in values.items()],
        )
        self.drivers = rclpy.create_node("drivers", context=self.context)
        self.nodes = [self.node, self.drivers]
        self.executor = SingleThreadedExecutor(context=self.context)
        self.others = SingleThreadedExecutor(context=self.context)  # another process, in truth
        self.executor.add_node(self.node)
        self.others.add_node(self.drivers)
        self.threads = [
            threading.Thread(target=e.spin, daemon=True) for e in (self.executor, self.others)
        ]
        self.seen: list[np.ndarray] = []  # states, in policy units
        self.actions = np.zeros(len(action), np.float32)  # what the policy says, policy units
        self.at = dict.fromkeys(state, 0.0)  # ROS units
        for thread in self.threads:
            thread.start()

    def control(self, make, *args, **kwargs):
        """Start a controller."""
        controller = make(self.context, *args, **kwargs)
        self.nodes.append(controller)
        self.others.add_node(controller)
        return controller

    def configure(self) -> TransitionCallbackReturn:
        return self.node.trigger_configure()

    def start(self) -> None:
        assert self.configure() == TransitionCallbackReturn.SUCCESS
        infer = self.node._server.infer

        def told(observation, **kwargs):
            inference = infer(observation, **kwargs)
            self.seen.append(observation.state)
            inference.actions[:] = self.actions
            return inference

        self.node._server.infer = told
        assert self.node.trigger_activate() == TransitionCallbackReturn.SUCCESS
        self.cameras = [
            self.drivers.create_publisher(Image, camera.topic, 10)
            for camera in self.settings.cameras
        ]
        self.sources = [(s, self._publisher(s)) for s in self.settings.state.sources]
        publishers = [*self.cameras, *(publisher for _, publisher in self.sources)]
        wait_until(lambda: all(p.get_subscription_count() for p in publishers), "subscriptions")

    def _publisher(self, source):
        kinds = {"joint_state": JointState, "twist_stamped": TwistStamped}
        if source.type == "odometry":
            from nav_msgs.msg import Odometry

            kinds["odometry"] = Odometry
        return self.drivers.create_publisher(kinds[source.type], source.topic, 10)

    def feed(self) -> None:
        stamp = self.drivers.get_clock().now().to_msg()
        for source, publisher in self.sources:
            message = publisher.msg_type()
            message.header.stamp = stamp
            values = [self.at[name] for name in source.names]
            if source.type == "joint_state":
                # As drivers do: in an order of their own, with joints that nobody asked for.
                names = [field.partition(".")[2] for field in source.fields]
                message.name, message.position = [*names[::-1], "extra"], [*values[::-1], 9.0]
                message.velocity = [0.0] * len(message.name)
            else:
                twist = message.twist.twist if source.type == "odometry" else message.twist
                twist.linear.x, twist.linear.y, twist.angular.z = values
            publisher.publish(message)
        for camera in self.cameras:
            pixels = np.random.default_rng().integers(0, 256, (*SIZE, 3), dtype=np.uint8)
            image = Image(height=SIZE[0], width=SIZE[1], encoding="rgb8", step=3 * SIZE[1])
            image.header.stamp, image.data = stamp, pixels.tobytes()
            camera.publish(image)

    def feed_until(self, condition, what: str) -> None:
        def fed():
            self.feed()
            time.sleep(0.03)
            return condition()

        wait_until(fed, what)

    def pause(self) -> None:
        client = self.drivers.create_client(SetBool, "pause")
        assert client.wait_for_service(10)
        future = client.call_async(SetBool.Request(data=True))
        wait_until(future.done, "pause")

    def close(self) -> None:
        for executor in (self.executor, self.others):
            executor.shutdown()
        for thread in self.threads:
            thread.join(TIMEOUT_S)
        for node in self.nodes:
            node.destroy_node()
        rclpy.shutdown(context=self.context)


@pytest.fixture
def make_rig(tmp_path):
    rigs = []

    def make(robot: str, **overrides) -> Rig:
        changed = {name.replace("__", "."): value for name, value in overrides.items()}
        rigs.append(Rig(robot, tmp_path, changed))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()


def near(values, expected) -> bool:
    return np.allclose(values, expected, atol=1e-6)


def test_so101_with_an_arm_controller_and_a_gripper_action(make_rig):
    rig = make_rig("so101")
    # In another order than ours: a trajectory has names.
    arm = rig.control(TrajectoryController, "arm_controller", SO101_ARM[::-1], limit=3.0)
    gripper = rig.control(GripperController, "gripper_controller", -0.17, 1.75)
    rig.at |= {"shoulder_pan": 0.1, "gripper": 0.79}
    rig.actions[:] = [5, -5, 4, -4, 3, 40]
    rig.start()
    rig.feed_until(lambda: len(arm.taken) > 3 and gripper.taken, "trajectories and a goal")
    assert near(rig.seen[-1], [np.degrees(0.1), 0, 0, 0, 0, 50])
    assert near(arm.positions()[:, ::-1], np.radians([5, -5, 4, -4, 3]))
    assert all(len(point.velocities) == 5 for m in arm.taken for point in m.points)
    rig.feed_until(lambda: near(gripper.taken[-1], -0.17 + 0.4 * 1.92), "the gripper's goal")
    goals = len(gripper.taken)
    rig.actions[5] = 100.0
    rig.feed_until(lambda: near(gripper.taken[-1], 1.75), "another goal")
    assert len(gripper.taken) - goals < 8  # on its way, and not one for each command
    wait_until(lambda: len(gripper.goal_ids) == len(gripper.taken), "execution")
    assert len(set(gripper.goal_ids)) == len(gripper.goal_ids)
    goals, count = len(gripper.taken), len(arm.taken)
    rig.feed_until(lambda: len(arm.taken) > count + 8, "more of the same")
    assert len(gripper.taken) == goals
    rig.pause()
    # Else it would play the chunk that it has to the end.
    wait_until(lambda: arm.stops == 1, "the arm's stop")
    # Where it was told to be: who leans on something, or lags, is not told to go back.
    stop = arm.taken[-1].points[0]
    np.testing.assert_allclose(stop.positions, np.radians([5, -5, 4, -4, 3]), atol=1e-3)
    assert not any(stop.velocities)
    assert not arm.refused + gripper.refused


def test_so101_with_one_forward_controller(make_rig):
    rig = make_rig("so101_forward")
    joints = [*SO101_ARM, "gripper"]
    arm = rig.control(ForwardController, "forward_controller", joints, limit=3.0)
    rig.at |= {"gripper": 0.79}
    rig.actions[:] = [5, -5, 4, -4, 3, 60]
    rig.start()
    wanted = [*np.radians([5, -5, 4, -4, 3]), -0.17 + 0.6 * 1.92]
    rig.feed_until(lambda: arm.taken and near(arm.taken[-1], wanted), "the chunk's positions")
    assert near(rig.seen[-1], [0, 0, 0, 0, 0, 50])
    assert abs(arm.taken[0][5] - 0.79) < 0.3  # from where it is
    assert not arm.refused


def test_lekiwi_stands_still_when_there_is_nothing_to_command(make_rig):
    rig = make_rig("lekiwi", **NO_NAV)
    arm = rig.control(ForwardController, "arm_controller", LEKIWI_ARM, limit=2.0)
    base = rig.control(BaseController, "base_controller", limit=2.0)
    rig.at |= {"arm_gripper": 1.75, "x.vel": 0.2, "theta.vel": radians(90)}
    rig.actions[:] = [1, 2, 3, 4, 5, 90, 0.1, -0.2, 30]
    rig.start()
    wanted = (0.1, -0.2, radians(30))
    rig.feed_until(lambda: base.taken and near(base.taken[-1], wanted), "the base's velocity")
    assert near(base.taken[0], 0.0) or abs(base.taken[0][1]) < 0.2  # from standing still
    assert near(rig.seen[-1], [0, 0, 0, 0, 0, 100, 0.2, 0, 90])
    assert near(arm.taken[-1], [*np.radians([1, 2, 3, 4, 5]), -0.17 + 0.9 * 1.92])
    rig.pause()
    wait_until(lambda: near(base.taken[-1], 0.0), "the base's stop")
    commands = len(arm.taken)
    time.sleep(0.7)
    ended = len(base.taken)
    assert all(near(velocity, 0.0) for velocity in base.taken[-10:])
    time.sleep(0.3)
    assert (len(base.taken), len(arm.taken)) == (ended, commands)
    assert not arm.refused + base.refused


def test_the_base_stops_before_deactivate_has_returned(make_rig):
    rig = make_rig("lekiwi", **NO_NAV)
    base = rig.control(BaseController, "base_controller", limit=2.0)
    rig.actions[6] = 0.25
    rig.start()
    rig.feed_until(lambda: base.taken and near(base.taken[-1][0], 0.25), "the base's velocity")
    assert rig.node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
    wait_until(lambda: near(base.taken[-1], 0.0), "the base's stop")
    time.sleep(0.2)
    assert near(base.taken[-1], 0.0)


def test_bimanual_aloha(make_rig):
    rig = make_rig("aloha", limits__first_step=0.5)
    sides = {}
    for side in ("left", "right"):
        arm = rig.control(ForwardController, f"follower_{side}/arm_controller", ALOHA_ARM, 3.0)
        gripper = rig.control(
            GripperController,
            f"follower_{side}/gripper_controller",
            *(0.021, 0.057, "left_finger"),
        )
        sides[side] = arm, gripper
    rig.at |= {"left_waist": 0.1, "right_waist": -0.1, "left_gripper": 0.057}
    rig.at |= {"right_gripper": 0.021}
    left, right = [0.1, 0.2, 0.3, 0.1, 0.1, 0.0], [-0.1, 0.0, 0.1, 0.0, -0.2, 0.3]
    rig.actions[:] = [*left, 1.0, *right, 0.25]
    rig.start()
    for side, wanted, width in (("left", left, 0.057), ("right", right, 0.021 + 0.25 * 0.036)):
        arm, gripper = sides[side]
        rig.feed_until(lambda arm=arm, w=wanted: arm.taken and near(arm.taken[-1], w), side)
        rig.feed_until(lambda g=gripper, w=width: g.taken and near(g.taken[-1], w), side)
        assert not arm.refused + gripper.refused
    assert near(rig.seen[-1][[0, 6, 7, 13]], [0.1, 1.0, -0.1, 0.0])


def test_viperx_with_two_trajectory_controllers(make_rig):
    rig = make_rig("viperx")
    arm = rig.control(TrajectoryController, "vx300s/arm_controller", ALOHA_ARM, limit=3.1416)
    finger = rig.control(TrajectoryController, "vx300s/gripper_controller", ["left_finger"], 0.06)
    rig.at |= {"waist": 0.1, "shoulder": -0.2, "left_finger": 0.039}
    rig.actions[:] = [0.1, -0.1, 0.15, 0.0, -0.1, 0.1, 0.75]
    rig.start()
    rig.feed_until(lambda: len(arm.taken) > 2 and len(finger.taken) > 2, "trajectories")
    assert near(rig.seen[-1], [0.1, -0.2, 0, 0, 0, 0, 0.5])
    assert near(arm.positions(), [0.1, -0.1, 0.15, 0.0, -0.1, 0.1])
    assert near(finger.positions(), 0.021 + 0.75 * 0.036)
    assert not arm.refused + finger.refused


def test_koch_in_percent_of_its_calibrated_range(make_rig):
    rig = make_rig("koch")
    arm = rig.control(TrajectoryController, "arm_controller", SO101_ARM, limit=3.2)
    gripper = rig.control(GripperController, "gripper_controller", -1.6, 0.032, "gripper")
    rig.at |= {"shoulder_pan": 1.1, "shoulder_lift": -0.485, "gripper": 0.032}
    rig.actions[:] = [50, 4, 0, -5, 0, 25]
    rig.start()
    rig.feed_until(lambda: len(arm.taken) > 2 and gripper.taken, "a trajectory and a goal")
    # The elbow's 0 rad is not the middle of its range: the policy's 0 is -0.06 rad.
    assert near(rig.seen[-1][[0, 1, 5]], [50, 0, 0])
    assert near(arm.positions()[-1][:4], [1.1, -0.485 + 0.04 * 1.085, -0.06, -0.1])
    rig.feed_until(lambda: near(gripper.taken[-1], 0.032 - 0.25 * 1.632), "a quarter open")
    assert not arm.refused + gripper.refused


def test_the_template_with_one_joint(make_rig, tmp_path):
    """As it is: what is marked with ?? has values that a file can be read with."""
    rig = make_rig("template")
    arm = rig.control(TrajectoryController, "arm_controller", ["joint1"], limit=3.2)
    rig.actions[:] = 0.1
    heard = []
    rig.drivers.create_subscription(JointTrajectory, "joint_trajectory", heard.append, 10)
    rig.start()
    rig.feed_until(lambda: len(heard) > 2, "trajectories of all joints")
    assert heard[-1].joint_names == ["joint1"]
    assert near([p.positions for p in heard[-1].points[8:]], 0.1)
    assert not arm.taken  # nobody has mapped it: joint_trajectory:= does


@pytest.mark.parametrize(
    "file", sorted(share("config", "robots").glob("*.yaml")), ids=lambda f: f.stem
)
def test_each_file_says_where_its_numbers_are_from_and_is_tried_here(file):
    text = file.read_text()
    assert "github.com/" in text or "so101.yaml" in text
    with parameters_of(file, {"policy.path": "later"}) as parameters:
        settings = parameters.read()
    action = settings.action
    lower, upper = settings.limits.lower, settings.limits.upper
    assert len(lower) == len(upper) == len(action.names)
    assert all(low < up for low, up in zip(lower, upper, strict=True))
    assert f'make_rig("{file.stem}"' in Path(__file__).read_text().replace("\n        ", "")


def test_panda_with_its_gripper_action(make_rig):
    rig = make_rig("panda")
    arm = rig.control(TrajectoryController, "panda_arm_controller", PANDA_ARM, limit=3.8)
    # franka_gripper takes the place of one finger, and doubles it to the hand's width.
    hand = rig.control(GripperController, "panda_gripper", 0.0, 0.04, name="gripper_action")
    ready = [0, -0.78, 0, -2.35, 0, 1.57, 0.78]
    rig.at |= dict(zip(PANDA_ARM, ready, strict=True)) | {"panda_finger_joint1": 0.01}
    rig.actions[:] = [*np.array(ready) + 0.05, 0.5]
    rig.start()
    rig.feed_until(lambda: len(arm.taken) > 2 and hand.taken, "a trajectory and a goal")
    assert near(rig.seen[-1], [*ready, 0.25])
    assert near(arm.positions(), np.array(ready) + 0.05)
    rig.feed_until(lambda: near(hand.taken[-1], 0.02), "half of the finger's way")
    assert set(hand.efforts) == {20.0}
    assert not arm.refused + hand.refused


def test_ur5e_with_a_robotiq_that_goes_the_other_way(make_rig):
    rig = make_rig("ur5e_robotiq")
    arm = rig.control(TrajectoryController, "scaled_joint_trajectory_controller", UR_ARM, 6.3)
    knuckle = "robotiq_85_left_knuckle_joint"
    gripper = rig.control(GripperController, "robotiq_gripper_controller", 0.0, 0.8, knuckle)
    rig.at[knuckle] = 0.7929
    rig.actions[:] = [0.1, -0.1, 0.1, -0.1, 0.1, -0.1, 0.75]
    rig.start()
    wanted = [0.1, -0.1, 0.1, -0.1, 0.1, -0.1]
    rig.feed_until(lambda: len(arm.taken) > 2 and gripper.taken, "a trajectory and a goal")
    assert near(rig.seen[-1], [0.0] * 7)  # closed
    assert near(arm.positions(), wanted)
    rig.feed_until(lambda: abs(gripper.taken[-1] - 0.25 * 0.7929) < 0.006, "the goal")
    assert not arm.refused + gripper.refused


def test_a_cartesian_arm_and_a_base_by_plain_twists(make_rig):
    pose = [f"position.{axis}" for axis in "xyz"]
    pose += [f"orientation.{angle}" for angle in ("roll", "pitch", "yaw")]
    rig = make_rig(
        "lekiwi",
        **NO_NAV,
        output__arm_controller__type="pose_stamped",
        output__arm_controller__topic="target_pose",
        output__arm_controller__rename=pose,
        output__arm_controller__first_step=0.0,
        output__arm_controller__frame_id="base_link",
        output__base__type="twist",
        output__base__topic="cmd_vel",
        action__units=["m", "m", "m", "deg", "deg", "deg", "m", "m", "deg"],
        limits__first_step=0.0,
    )
    poses, twists = [], []
    rig.drivers.create_subscription(PoseStamped, "target_pose", poses.append, 10)
    rig.drivers.create_subscription(Twist, "cmd_vel", twists.append, 10)
    rig.actions[:] = [0.3, 0.1, 0.2, 0, 0, 90, 0.1, 0, -45]
    rig.start()
    half = np.sqrt(0.5)
    rig.feed_until(lambda: poses and near(poses[-1].pose.orientation.z, half), "the pose")
    last = poses[-1].pose
    assert near([last.position.x, last.position.y, last.position.z], [0.3, 0.1, 0.2])
    assert poses[-1].header.frame_id == "base_link"
    rig.feed_until(lambda: near(twists[-1].angular.z, radians(-45)), "the turn")
    assert near(twists[-1].linear.x, 0.1)
    rig.pause()
    wait_until(lambda: twists[-1] == Twist(), "the base's stop")


def test_a_controller_with_other_joints_is_refused_before_weights_are_loaded(
    make_rig, monkeypatch, capfd
):
    rig = make_rig("aloha")
    swapped = [*ALOHA_ARM[1::-1], *ALOHA_ARM[2:]]
    rig.control(ForwardController, "follower_left/arm_controller", swapped, limit=3.0)
    rig.control(
        GripperController, "follower_right/gripper_controller", 0.0, 1.0, joint="right_finger"
    )
    monkeypatch.setattr("cls_vla_ros.robot.load_server.load_server", None)
    assert rig.configure() == TransitionCallbackReturn.FAILURE
    said = capfd.readouterr().err
    assert "joints in the order ['shoulder', 'waist', 'elbow'" in said
    assert "has the joints ['right_finger'], and output.right_gripper.rename" in said
    assert "arm_controller does not run yet" in said  # the other arm's


def test_a_controller_that_is_discovered_late_is_compared_too(make_rig, monkeypatch, capfd):
    """A node that starts by itself is configured within milliseconds, before it sees anybody."""
    rig = make_rig("so101")
    monkeypatch.setattr("cls_vla_ros.robot.load_server.load_server", None)
    other = [*SO101_ARM[:4], "wrist_rotate"]
    start = partial(rig.control, TrajectoryController, "arm_controller", other, limit=3.0)
    late = threading.Timer(0.5, start)
    late.start()
    assert rig.configure() == TransitionCallbackReturn.FAILURE
    late.join()
    assert "wrist_rotate" in capfd.readouterr().err


def test_a_gripper_that_takes_no_goal_is_said(make_rig):
    rig = make_rig("so101")
    arm = rig.control(TrajectoryController, "arm_controller", SO101_ARM, limit=3.0)
    rig.start()
    said = rig.node._reporter.health
    rig.feed_until(lambda: "no controller offers" in str(said._last_error), "no controller")
    gripper = rig.control(GripperController, "gripper_controller", 5.0, 6.0)
    rig.feed_until(lambda: "rejected the goal" in str(said._last_error), "a rejection")
    assert gripper.refused
    assert arm.taken
