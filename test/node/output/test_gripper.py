"""Goals of a gripper: few on the way, and the last one exact."""

from types import SimpleNamespace

import numpy as np
import pytest

from cls_vla_ros.node.output.gripper import GripperGoals


class Rig:
    """A client of the action, and its server."""

    def __init__(self) -> None:
        self.goals: list[float] = []
        self.said: list[str] = []
        self.is_there = self.accepts = True
        self.now_s = 100.0
        output = SimpleNamespace(topic="gripper_cmd", name="gripper", goal_step=0.01)
        self._goals = GripperGoals(
            self, output, lambda _, text: self.said.append(text), lambda: self.now_s
        )

    def server_is_ready(self) -> bool:
        return self.is_there

    def send_goal_async(self, goal):
        self.goals.append(goal.command.position)
        future = SimpleNamespace(
            cancelled=lambda: False,
            exception=lambda: None,
            result=lambda: SimpleNamespace(accepted=self.accepts),
        )
        return SimpleNamespace(add_done_callback=lambda call: call(future))

    def __call__(self, *values: float) -> list[float]:
        """Ask for each, 50 times a second."""
        for value in values:
            self._goals.publish(SimpleNamespace(command=SimpleNamespace(position=value)))
            self.now_s += 0.02
        return self.goals


@pytest.fixture
def rig():
    return Rig()


def test_where_a_command_ends_is_reached_exactly(rig):
    ramp = np.linspace(0.0, 0.5, 51)
    sent = rig(*ramp, *[0.5] * 20, *[0.505] * 20)
    assert sent[-1] == 0.505
    assert len(sent) < 14  # one each 0.1 s on the way, and the end
    count = len(sent)
    assert len(rig(*[0.505] * 100)) == count


def test_noise_below_the_step_is_no_goal(rig):
    sent = rig(*(0.3 + 0.004 * np.random.default_rng(0).standard_normal(200).clip(-1, 1)))
    assert len(sent) == 1


def test_a_controller_that_is_started_again_gets_the_goal_again(rig):
    rig(*[0.3] * 20)
    rig.is_there = False
    assert len(rig(*[0.3] * 20)) == 1
    assert "no controller offers this action" in rig.said[-1]
    rig.is_there = True
    assert rig(*[0.3] * 20) == [0.3, 0.3]


def test_after_a_hold_in_which_others_may_have_had_it_the_goal_is_sent_again(rig):
    rig(*[0.3] * 20)
    rig.now_s += 0.2
    assert rig(*[0.3] * 20) == [0.3, 0.3]


def test_a_goal_that_is_refused_is_tried_again_but_not_with_each_command(rig):
    rig.accepts = False
    assert 3 <= len(rig(*[0.3] * 20)) <= 5
    assert "rejected the goal [0.3]" in rig.said[-1]
    rig.accepts = True
    count = len(rig(*[0.3] * 20))
    assert len(rig(*[0.3] * 20)) == count
