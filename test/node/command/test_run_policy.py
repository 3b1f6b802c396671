"""The action run_policy: whoever asks for a run gets it, sees it, and can end it."""

import time

import pytest
from action_msgs.msg import GoalStatus
from rclpy.action import ActionClient
from std_srvs.srv import SetBool, Trigger

from cls_vla_ros.action import RunPolicy

Result = RunPolicy.Result


class Client:
    def __init__(self, robot) -> None:
        self.robot, self.peer = robot, robot.peer
        self.client = ActionClient(robot.peer, RunPolicy, "run_policy")
        assert self.client.wait_for_server(10)
        self.feedback: list[RunPolicy.Feedback] = []

    @property
    def trajectories(self) -> list:
        return self.peer.heard["joint_trajectory"]

    def feed_until(self, condition, what: str) -> None:
        self.peer.feed_until(condition, what)

    def send(self, **goal):
        taken = self.client.send_goal_async(
            RunPolicy.Goal(**goal), lambda m: self.feedback.append(m.feedback)
        )
        self.feed_until(taken.done, "an answer")
        return taken.result()

    def result(self, goal):
        future = goal.get_result_async()
        self.feed_until(future.done, "the result")
        return future.result()

    def call(self, kind, name: str, **request) -> None:
        client = self.peer.create_client(kind, name)
        assert client.wait_for_service(10)
        self.robot.wait_until(client.call_async(kind.Request(**request)).done, name)

    def is_quiet(self) -> bool:
        """Whether controllers get nothing, though cameras and joints go on."""
        time.sleep(0.2)
        count = len(self.trajectories)
        for _ in range(10):
            self.peer.feed()
            time.sleep(0.03)
        return len(self.trajectories) == count


@pytest.fixture
def run(make_robot):
    client = Client(make_robot(execution__armed=False).start())
    yield client
    client.client.destroy()


def test_as_many_inferences_as_were_asked_for(run):
    episode = run.robot.node._session.episode
    goal = run.send(task="close the box", max_inferences=5)
    assert goal.accepted
    answer = run.result(goal)
    assert answer.status == GoalStatus.STATUS_SUCCEEDED
    assert answer.result.outcome == Result.OUTCOME_MAX_INFERENCES
    assert answer.result.inferences >= 5
    assert run.trajectories  # it was armed
    assert run.is_quiet()  # and is no longer
    assert run.robot.node.get_parameter("task").value == "close the box"
    assert run.robot.node._session.episode == episode + 1
    assert run.feedback[-1].inferences >= 5
    assert any(seen.hold == "" for seen in run.feedback)


def test_a_time(run):
    answer = run.result(run.send(timeout_s=0.5))
    assert answer.status == GoalStatus.STATUS_SUCCEEDED
    assert answer.result.outcome == Result.OUTCOME_TIMEOUT
    assert 0.5 <= answer.result.elapsed_s < 2.0
    assert "0.5 s" in answer.result.reason


def test_cancelling_stops_the_arm_at_once(run):
    goal = run.send(timeout_s=60.0)
    run.feed_until(lambda: len(run.trajectories) > 3, "trajectories")
    cancelled = goal.cancel_goal_async()
    run.robot.wait_until(cancelled.done, "cancelled")
    answer = run.result(goal)
    assert answer.status == GoalStatus.STATUS_CANCELED
    assert answer.result.outcome == Result.OUTCOME_CANCELED
    assert run.is_quiet()
    assert len(run.trajectories[-1].points) == 1


@pytest.mark.parametrize(
    ("kind", "name", "request_", "said"),
    [
        (Trigger, "stop", {}, "paused"),
        (SetBool, "takeover", {"data": True}, "taken over"),
        (SetBool, "arm", {"data": False}, "not armed"),
    ],
)
def test_what_else_ends_it_is_said(run, kind, name, request_, said):
    goal = run.send(timeout_s=60.0)
    run.feed_until(lambda: len(run.trajectories) > 3, "trajectories")
    run.call(kind, name, **request_)
    answer = run.result(goal)
    assert answer.status == GoalStatus.STATUS_ABORTED
    assert answer.result.outcome == Result.OUTCOME_STOPPED
    assert said in answer.result.reason
    assert run.is_quiet()
    assert not run.robot.node.get_parameter("execution.armed").value


def test_the_arm_stands_after_a_run_also_where_it_was_armed_before(run):
    run.call(SetBool, "arm", data=True)
    run.feed_until(lambda: run.trajectories, "trajectories")
    run.result(run.send(max_inferences=3))
    assert not run.robot.node.get_parameter("execution.armed").value
    assert run.is_quiet()
    assert len(run.trajectories[-1].points) == 1


def test_a_hold_is_in_the_feedback(run):
    goal = run.send(timeout_s=60.0)
    run.robot.set("task", "")
    run.feed_until(
        lambda: run.feedback and "there is no task" in run.feedback[-1].hold, "the reason"
    )
    goal.cancel_goal_async()
    run.result(goal)


@pytest.mark.parametrize(
    "goal", [{}, {"timeout_s": -1.0}, {"timeout_s": float("nan"), "max_inferences": 3}]
)
def test_what_would_never_end_is_rejected(run, goal):
    assert not run.send(**goal).accepted


def test_one_at_a_time_and_none_while_paused_or_inactive(run):
    goal = run.send(timeout_s=60.0)
    run.feed_until(lambda: run.feedback, "the first runs")
    assert not run.send(timeout_s=1.0).accepted
    goal.cancel_goal_async()
    run.result(goal)
    run.call(Trigger, "stop")
    assert not run.send(timeout_s=1.0).accepted
    run.call(SetBool, "pause", data=False)
    run.robot.node.trigger_deactivate()
    assert not run.send(timeout_s=1.0).accepted


def test_deactivate_ends_it(run):
    goal = run.send(timeout_s=60.0)
    run.feed_until(lambda: len(run.trajectories) > 2, "trajectories")
    run.robot.node.trigger_deactivate()
    answer = run.result(goal)
    assert answer.status == GoalStatus.STATUS_ABORTED
    assert "deactivated" in answer.result.reason
