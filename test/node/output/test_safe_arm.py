"""Grasps, hand-overs and stops: what a careful engineer would not have sent."""

import threading
import time

import numpy as np
import pytest
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import Float64MultiArray, String
from std_srvs.srv import SetBool, Trigger

JOINTS = ["shoulder", "elbow", "gripper"]
STREAM = {"execution__mode": "stream", "execution__blend_s": 0.1}
OBJECT = 0.45  # between the fingers, which close to less


class Arm:
    """Follows at once, but for the gripper, which has an object between its fingers."""

    def __init__(self, robot, monkeypatch) -> None:
        self.robot, self.peer = robot, robot.peer
        self.at = np.array([0.1, 0.2, 0.6])
        self.wanted = np.array([0.1, 0.2, 0.6])  # what the policy says at every step
        self.commands: list[np.ndarray] = []
        infer = robot.node._server.infer

        def made(observation, **kwargs):
            inference = infer(observation, **kwargs)
            inference.actions[:] = self.wanted
            return inference

        monkeypatch.setattr(robot.node._server, "infer", made)
        self.peer.create_subscription(Float64MultiArray, "joint_command", self._take, 100)

    def _take(self, message) -> None:
        self.commands.append(np.array(message.data))
        self.follow(self.commands[-1])

    def follow(self, command) -> None:
        self.at = np.array([command[0], command[1], max(command[2], OBJECT)])

    @property
    def chunks(self) -> list:
        return self.peer.heard["action_chunk"]

    @property
    def trajectories(self) -> list:
        return self.peer.heard["joint_trajectory"]

    def run(self, condition, what: str) -> None:
        def fed():
            self.peer.feed(joints=self.peer.joint_state(JOINTS, self.at.tolist()))
            if self.trajectories:
                self.follow(self.trajectories[-1].points[0].positions)
            time.sleep(0.03)
            return condition()

        self.robot.wait_until(fed, what)

    def grasp(self) -> None:
        """Close the gripper to 0.05, as a policy does: a little with each chunk.

        What is told lags behind by a hand-over, so a step and the lag are below first_step.
        """
        for width in np.arange(0.5, 0.04, -0.09):
            self.wanted[2] = width
            count = len(self.chunks)
            self.run(lambda c=count: len(self.chunks) > c + 3, f"chunks at {width:.2f}")

    def call(self, kind, name: str, **request):
        client = self.peer.create_client(kind, name)
        assert client.wait_for_service(10)
        future = client.call_async(kind.Request(**request))
        self.robot.wait_until(future.done, name)
        assert future.result().success
        return future.result()


@pytest.fixture
def make_arm(make_robot, monkeypatch):
    def make(**parameters) -> Arm:
        robot = make_robot(**{"limits__first_step": 0.2} | parameters).start()
        return Arm(robot, monkeypatch)

    return make


@pytest.mark.parametrize("mode", [STREAM, {}], ids=["stream", "chunk"])
def test_a_grasp_does_not_stop_the_node(make_arm, mode):
    arm = make_arm(**mode)
    arm.grasp()
    assert arm.at[2] == OBJECT
    count = len(arm.chunks)
    arm.run(lambda: len(arm.chunks) > count + 5, "chunks around the object")
    # Nor after a hold, as long as nobody else moves the arm.
    arm.peer.create_publisher(String, "task", 10).publish(String(data="put it into the box"))
    arm.run(lambda: "put it" in arm.peer.diagnosis()[1].get("task", ""), "the task")
    count = len(arm.chunks)
    arm.run(lambda: len(arm.chunks) > count + 5, "chunks for another task")


def test_hold_and_resume_keep_the_grip(make_arm):
    arm = make_arm(**STREAM)
    arm.grasp()
    arm.run(lambda: arm.commands[-1][2] == pytest.approx(0.05), "the whole grip")
    arm.call(SetBool, "pause", data=True)
    time.sleep(0.2)
    count = len(arm.commands)
    arm.call(SetBool, "pause", data=False)
    arm.run(lambda: len(arm.commands) > count + 5, "commands again")
    assert max(command[2] for command in arm.commands[count:]) == pytest.approx(0.05)


def test_what_somebody_else_moved_meanwhile_begins_where_it_is(make_arm):
    arm = make_arm(**STREAM)
    arm.run(lambda: len(arm.commands) > 5, "commands")
    arm.call(SetBool, "pause", data=True)
    arm.at[0] += 0.15
    time.sleep(0.2)
    count = len(arm.commands)
    arm.call(SetBool, "pause", data=False)
    arm.run(lambda: len(arm.commands) > count + 5, "commands again")
    assert arm.commands[count][0] == pytest.approx(0.25, abs=0.05)  # the blend has just begun


@pytest.mark.parametrize("ends", ["deactivate", "pause"])
def test_no_old_pose_is_commanded_after_the_arm_was_moved(make_arm, ends):
    arm = make_arm(**STREAM, execution__hold_publish_s=3.0)
    arm.run(lambda: len(arm.commands) > 5, "commands")
    if ends == "deactivate":
        arm.robot.node.trigger_deactivate()
    else:
        arm.call(SetBool, "pause", data=True)
    time.sleep(0.1)
    count = len(arm.commands)
    arm.at = np.array([0.9, 0.2, 0.6])  # by hand, farther than a first step
    if ends == "deactivate":
        arm.robot.node.trigger_activate()
    else:
        arm.call(SetBool, "pause", data=False)
    arm.run(lambda: "first step may be 0.2" in arm.peer.diagnosis()[0], "the reason")
    assert len(arm.commands) == count


@pytest.mark.parametrize("ends", ["pause", "stop", "reset", "deactivate", "stale"])
def test_what_a_controller_is_executing_ends(make_arm, ends):
    arm = make_arm(action__dt_s=0.1, observation__max_age_s=0.4)  # chunks of 5 s
    arm.wanted[:2] = 0.2, 0.1
    arm.run(lambda: len(arm.trajectories) > 3, "trajectories")
    moving = len(arm.trajectories)
    if ends == "deactivate":
        assert arm.robot.node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
    elif ends == "pause":
        arm.call(SetBool, "pause", data=True)
    elif ends != "stale":
        arm.call(Trigger, ends)
    arm.robot.wait_until(lambda: len(arm.trajectories) > moving, "a stop")
    arm.robot.wait_until(lambda: len(arm.trajectories[-1].points) == 1, "a stop")
    (point,) = arm.trajectories[-1].points
    np.testing.assert_allclose(point.positions, [0.2, 0.1, 0.6], atol=0.11)
    assert list(point.velocities) == [0.0] * 3
    assert point.time_from_start.nanosec <= 100_000_000
    if ends in ("pause", "stop", "deactivate"):
        time.sleep(0.3)
        assert len(arm.trajectories[-1].points) == 1  # and nothing comes behind it


def test_a_hung_inference_delays_deactivate_by_its_timeout_and_the_stop_by_nothing(
    make_arm, monkeypatch
):
    arm = make_arm(action__dt_s=0.1, inference__timeout_s=1.0)
    arm.run(lambda: len(arm.trajectories) > 3, "trajectories")
    began, go_on = threading.Event(), threading.Event()
    engine = arm.robot.node._server.engine
    denoise = engine.denoise
    monkeypatch.setattr(
        engine, "denoise", lambda *a, **k: (began.set(), go_on.wait(30), denoise(*a, **k))[2]
    )
    arm.run(began.is_set, "an inference under way")
    count, started = len(arm.trajectories), time.monotonic()
    threading.Thread(target=lambda: (time.sleep(0.5), stops.append(len(arm.trajectories)))).start()
    stops: list[int] = []
    assert arm.robot.node.trigger_deactivate() == TransitionCallbackReturn.ERROR
    assert 0.9 < time.monotonic() - started < 3.0
    assert stops[0] > count  # long before deactivate has returned
    go_on.set()
    time.sleep(0.3)
    assert len(arm.trajectories[-1].points) == 1


def guides_of(arm, monkeypatch) -> list:
    heard, engine = [], arm.robot.node._server.engine
    denoise = engine.denoise
    monkeypatch.setattr(
        engine, "denoise", lambda *a, **k: heard.extend(k["guides"]) or denoise(*a, **k)
    )
    return heard


def test_no_chunk_goes_on_from_one_that_is_not_executed(make_arm, monkeypatch):
    arm = make_arm(**STREAM, action__dt_s=0.1)
    guides = guides_of(arm, monkeypatch)
    arm.run(lambda: guides and guides[-1] is not None, "a guide")
    arm.call(SetBool, "pause", data=True)
    time.sleep(0.2)
    count = len(guides)
    arm.call(SetBool, "pause", data=False)
    arm.run(lambda: len(guides) > count + 2, "inferences")
    assert guides[count] is None
    assert guides[count + 2] is not None
    arm.wanted = np.array([3.0, 0.2, 0.6])  # refused: too far
    arm.run(lambda: "first step" in arm.peer.diagnosis()[0], "a refusal")
    count = len(guides)
    arm.run(lambda: len(guides) > count + 2, "inferences")
    assert guides[count + 1 :] == [None] * (len(guides) - count - 1)


def test_a_pause_outlives_the_policy(make_arm, monkeypatch):
    arm = make_arm()
    arm.run(lambda: len(arm.chunks) > 2, "chunks")
    assert "pause" in arm.call(Trigger, "stop").message
    node, count = arm.robot.node, len(arm.chunks)
    node.trigger_deactivate(), node.trigger_cleanup()
    node.trigger_configure(), node.trigger_activate()
    arm.run(lambda: "paused" in arm.peer.diagnosis()[0], "the reason")
    assert len(arm.chunks) == count
    arm.call(SetBool, "pause", data=False)
    again = Arm(arm.robot, monkeypatch)
    again.run(lambda: len(again.chunks) > count + 2, "chunks again")


def test_without_a_task_nothing_is_done_and_a_latched_one_is_heard(make_arm):
    arm = make_arm(task=" ")
    arm.run(lambda: "there is no task" in arm.peer.diagnosis()[0], "the reason")
    assert not arm.chunks
    node = arm.robot.node
    node.trigger_deactivate(), node.trigger_cleanup()
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    arm.peer.create_publisher(String, "task", latched).publish(String(data="open the drawer"))
    node.trigger_configure(), node.trigger_activate()
    arm.run(lambda: arm.peer.diagnosis()[1].get("task") == "open the drawer", "the task")


def test_no_chunk_goes_out_when_the_joints_fell_silent_during_the_inference(make_arm, monkeypatch):
    arm = make_arm(action__dt_s=0.1, observation__max_age_s=0.4)
    arm.run(lambda: len(arm.chunks) > 2, "chunks")
    infer = arm.robot.node._server.infer
    slow = threading.Event()

    def late(observation, **kwargs):
        inference = infer(observation, **kwargs)
        slow.set()
        time.sleep(0.8)
        return inference

    monkeypatch.setattr(arm.robot.node._server, "infer", late)
    arm.run(slow.is_set, "a slow inference")
    count = len(arm.chunks)
    time.sleep(1.2)  # nothing is fed
    assert len(arm.chunks) == count
