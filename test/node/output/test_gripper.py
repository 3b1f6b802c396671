"""Goals of a gripper: few on the way, and the last one exact."""

from types import SimpleNamespace

import numpy as np
import pytest

from cls_vla_ros.node.output import gripper


class Client:
    def __init__(self, *_) -> None:
        self.goals: list[float] = []

    def server_is_ready(self) -> bool:
        return True

    def send_goal_async(self, goal):
        self.goals.append(goal.command.position)
        return SimpleNamespace(add_done_callback=lambda _: None)


@pytest.fixture
def rig(monkeypatch):
    now = SimpleNamespace(s=100.0)
    monkeypatch.setattr(gripper, "ActionClient", Client)
    monkeypatch.setattr(gripper.time, "monotonic", lambda: now.s)
    output = SimpleNamespace(topic="gripper_cmd", name="gripper", goal_step=0.01)
    goals = gripper.GripperGoals(None, None, output, lambda *_: None)

    def command(*values: float) -> list[float]:
        """Ask for each, 50 times a second."""
        for value in values:
            goals.publish(SimpleNamespace(command=SimpleNamespace(position=value)))
            now.s += 0.02
        return goals._client.goals

    return command


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
