"""Arming, previews, preflight, takeover and following, over DDS."""

import time

import numpy as np
import pytest
from sensor_msgs.msg import Joy
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import SetBool
from trajectory_msgs.msg import JointTrajectory

JOINTS = ["shoulder", "elbow", "gripper"]
HERE = [0.1, 0.2, 0.6]
STREAM = {"execution__mode": "stream", "execution__blend_s": 0.1}


def moved(pose: list[float], by: float) -> np.ndarray:
    """With another first value."""
    return np.array([pose[0] + by, *pose[1:]])


class Arm:
    """The node, a policy that says one pose, and an arm that stays where it is unless told."""

    def __init__(self, robot, monkeypatch) -> None:
        self.robot, self.peer, self.node = robot, robot.peer, robot.node
        self.at, self.wanted = list(HERE), np.array(HERE)
        self.previews, self.commands = [], []
        infer = self.node._server.infer

        def made(observation, **kwargs):
            inference = infer(observation, **kwargs)
            inference.actions[:] = self.wanted
            return inference

        monkeypatch.setattr(self.node._server, "infer", made)
        shown = "cls_vla_policy/preview/"
        for topic, kind, taken in (
            (f"{shown}joint_trajectory", JointTrajectory, self.previews),
            (f"{shown}joint_command", Float64MultiArray, self.previews),
            ("joint_command", Float64MultiArray, self.commands),
        ):
            self.peer.create_subscription(kind, topic, taken.append, 100)

    @property
    def trajectories(self) -> list:
        return self.peer.heard["joint_trajectory"]

    @property
    def chunks(self) -> list:
        return self.peer.heard["action_chunk"]

    def run(self, condition, what: str) -> None:
        def fed():
            self.peer.feed(joints=self.peer.joint_state(JOINTS, self.at))
            time.sleep(0.03)
            return condition()

        self.robot.wait_until(fed, what)

    def more(self, of: list, count: int = 3) -> None:
        seen = len(of)
        self.run(lambda: len(of) > seen + count, "more")

    def ask(self, name: str, value: bool) -> SetBool.Response:
        client = self.peer.create_client(SetBool, name)
        assert client.wait_for_service(10)
        future = client.call_async(SetBool.Request(data=value))
        self.robot.wait_until(future.done, name)
        return future.result()

    def commands_to(self) -> str:
        return self.peer.diagnosis()[1].get("commands", "")

    def settle(self) -> None:
        """What was sent before now has come."""
        self.peer.feed(joints=self.peer.joint_state(JOINTS, self.at))
        time.sleep(0.3)


@pytest.fixture
def make_arm(make_robot, monkeypatch):
    def make(**parameters) -> Arm:
        usual = {"limits__first_step": 0.2, "execution__armed": False}
        return Arm(make_robot(**usual | parameters).start(), monkeypatch)

    return make


@pytest.mark.parametrize("mode", [{}, STREAM], ids=["chunk", "stream"])
def test_until_it_is_armed_controllers_get_nothing(make_arm, mode):
    arm = make_arm(**mode)
    real = arm.commands if mode else arm.trajectories
    arm.more(arm.previews, 5)
    assert not real
    assert not any(chunk.armed for chunk in arm.chunks)
    arm.run(lambda: "not armed: ros2 service call /arm" in arm.commands_to(), "diagnostics")
    assert arm.ask("arm", True).success
    assert arm.node.get_parameter("execution.armed").value
    arm.more(real)
    shown = len(arm.previews)
    arm.more(real)
    assert len(arm.previews) == shown
    assert arm.chunks[-1].armed
    assert arm.peer.heard["scene_change"][-1].armed
    assert arm.ask("arm", False).success
    arm.settle()
    count = len(real)
    arm.more(arm.previews)
    assert len(real) == count
    if not mode:  # the last one is the end of what was being executed
        assert len(arm.trajectories[-1].points) == 1
        assert not any(arm.trajectories[-1].points[0].velocities)


def test_each_preview_begins_where_the_arm_is(make_arm):
    """Nobody follows it: it must not run away, nor be refused for having done so."""
    arm = make_arm(**STREAM)
    arm.wanted = moved(HERE, 0.15)
    arm.more(arm.previews, 40)
    farthest = max(message.data[0] for message in arm.previews)
    assert not arm.node._output.follows  # nothing for the next chunk to go on from
    arm.at[0] = 0.5  # by hand
    arm.wanted = moved(arm.at, 0.15)
    arm.settle()
    arm.more(arm.previews, 20)
    assert HERE[0] + 0.01 < farthest < HERE[0] + 0.16
    assert all(0.49 < message.data[0] < 0.66 for message in arm.previews[-10:])


def test_an_arm_that_the_policy_does_not_know_is_not_armed(make_arm):
    arm = make_arm()
    arm.at[1] = 50.0  # degrees, where the dataset has radians
    arm.wanted = np.array(arm.at)
    arm.more(arm.previews)
    answer = arm.ask("arm", True)
    assert not answer.success
    assert "'elbow' is at 50" in answer.message
    assert "execution.preflight" in answer.message
    assert not arm.node.get_parameter("execution.armed").value
    assert arm.robot.set("execution.preflight", False).successful
    assert arm.ask("arm", True).success
    arm.more(arm.trajectories)


def test_one_that_was_to_be_armed_is_looked_at_first(make_robot, monkeypatch):
    robot = make_robot(execution__armed=True, limits__first_step=0.0).start()
    arm = Arm(robot, monkeypatch)
    arm.at[1] = 50.0
    armed = arm.node.get_parameter
    arm.run(lambda: not armed("execution.armed").value, "disarmed")
    arm.more(arm.chunks)
    assert not arm.trajectories
    arm.run(lambda: "'elbow' is at 50" in arm.commands_to(), "diagnostics")


@pytest.mark.parametrize("mode", [{}, STREAM], ids=["chunk", "stream"])
def test_who_takes_the_arm_has_it(make_arm, mode):
    arm = make_arm(execution__armed=True, **mode)
    real = arm.commands if mode else arm.trajectories
    arm.more(real)
    assert arm.ask("takeover", True).success
    arm.settle()
    count = len(real)
    arm.at[0] += 0.8  # by the teleoperator
    arm.wanted = moved(arm.at, 0.1)
    arm.more(arm.chunks)
    assert len(real) == count
    chunk, change = arm.chunks[-1], arm.peer.heard["scene_change"][-1]
    for message in (chunk, change):
        assert message.taken_over
        assert not message.armed
    assert arm.ask("takeover", False).success
    arm.more(real)
    if mode:
        assert real[count].data[0] == pytest.approx(HERE[0] + 0.8, abs=0.05)
    assert arm.chunks[-1].armed
    assert not arm.chunks[-1].taken_over


def test_a_joystick_has_the_arm_while_its_button_is_down(make_arm):
    joystick = {"takeover__topic": "joy", "takeover__button": 1, "takeover__fresh_s": 0.3}
    arm = make_arm(execution__armed=True, **joystick, **STREAM)
    joy = arm.peer.create_publisher(Joy, "joy", 10)
    arm.robot.wait_until(joy.get_subscription_count, "the node hears it")
    arm.more(arm.commands)

    def has_arm(buttons: list[int]) -> bool:
        begin = time.monotonic()
        while time.monotonic() - begin < 0.6:
            joy.publish(Joy(buttons=buttons))
            arm.settle()
        return arm.node._commander.authority.is_taken_over

    assert not has_arm([1, 0])
    assert not has_arm([])
    assert has_arm([0, 1])
    arm.settle()
    arm.settle()
    arm.more(arm.commands)
    assert not arm.node._commander.authority.is_taken_over


@pytest.mark.parametrize("mode", [{}, STREAM], ids=["chunk", "stream"])
def test_a_joint_that_does_not_follow_ends_it(make_arm, mode):
    following = {"limits__following_error": [0.1, 0.1, 0.1], "limits__following_error_s": 0.4}
    arm = make_arm(execution__armed=True, **following, **mode)
    real = arm.commands if mode else arm.trajectories
    arm.wanted = moved(HERE, 0.15)  # and it stays where it is
    arm.run(lambda: not arm.node.get_parameter("execution.armed").value, "disarmed")
    arm.settle()
    if not mode:  # it shall stay where it is, and not push on
        stop = arm.trajectories[-1]
        assert len(stop.points) == 1
        np.testing.assert_allclose(stop.points[0].positions, HERE, atol=1e-6)
    arm.run(lambda: "'shoulder' does not follow" in arm.commands_to(), "diagnostics")
    count = len(real)
    arm.more(arm.chunks)
    assert len(real) == count


def test_takeover_of_no_such_type_is_said_at_configure(make_robot):
    robot = make_robot(takeover__topic="joy", takeover__type="no_such_msgs/msg/Joy")
    robot.node.trigger_configure()
    said = robot.node._reporter.health.why_holding
    assert "takeover.type is 'no_such_msgs/msg/Joy'" in said
