"""What an output gets on a hold, and while there is something to command."""

import numpy as np
import pytest

from cls_vla_ros.node.output.outlet import Outlet
from cls_vla_ros.robot.action.trajectory import Path
from cls_vla_ros.robot.parameters.params_file import FileParameters

S = 10**9
NOWHERE = np.full(2, np.nan)


class Sender:
    def __init__(self) -> None:
        self.sent = []

    def publish(self, message) -> None:
        self.sent.append(message)


def outlet(sender: Sender, mode: str = "stream", **output) -> Outlet:
    values = {
        "policy.path": "somewhere",
        "cameras": ["front"],
        "action.names": ["x", "turn"],
        "action.dt_s": 0.1,
        "action.outputs": ["base"],
        "execution.mode": mode,
        "output.base.names": ["x", "turn"],
    } | {f"output.base.{name}": value for name, value in output.items()}
    return Outlet(FileParameters(values).read(), 0, sender)


def base(sender: Sender, **more) -> Outlet:
    return outlet(sender, type="twist", rename=["linear.x", "angular.z"], **more)


def test_a_base_gets_zeros_for_half_a_second_and_then_nothing():
    sender = Sender()
    made = base(sender)
    made.hold(None, None, S)
    assert not sender.sent  # it never moved
    made.command(np.array([1.0, 2.0]), 2 * S)
    assert (sender.sent[-1].linear.x, sender.sent[-1].angular.z) == (1.0, 2.0)
    for tick in range(100):
        made.hold(np.array([1.0, 2.0]), None, 3 * S + tick * S // 50)
    assert len(sender.sent) == 1 + 26  # 0 to 0.5 s, at 50 Hz
    assert {message.linear.x for message in sender.sent[1:]} == {0.0}


def test_a_clock_that_goes_back_does_not_make_zeros_for_an_hour():
    sender = Sender()
    made = base(sender)
    made.command(np.array([1.0, 2.0]), 3600 * S)
    made.hold(None, None, 3600 * S)
    count = len(sender.sent)
    made.hold(None, None, S)
    assert len(sender.sent) == count == 2


def test_relative_values_are_played_as_velocities():
    sender = Sender()
    base(sender, kind="relative").command(np.array([0.02, -0.01]), S)
    assert sender.sent[-1].linear.x == pytest.approx(0.2)
    assert sender.sent[-1].angular.z == pytest.approx(-0.1)


def test_positions_are_repeated_as_long_as_they_may_be_or_not_at_all():
    sender = Sender()
    made = outlet(sender, type="float64_multi_array")
    made.hold(np.array([1.0, 2.0]), None, S)
    assert list(sender.sent[-1].data) == [1.0, 2.0]
    made.hold(None, None, S)
    stops = outlet(sender, type="float64_multi_array", hold="stop")
    stops.command(np.array([1.0, 2.0]), S)
    stops.hold(np.array([1.0, 2.0]), None, S)
    assert len(sender.sent) == 2


def test_what_brakes_is_told_to_positions_whatever_their_hold_is_and_never_to_a_base():
    sender = Sender()
    outlet(sender, type="float64_multi_array", hold="stop").brake(np.array([1.0, 2.0]), S)
    assert list(sender.sent[-1].data) == [1.0, 2.0]
    made = base(sender)
    made.command(np.array([1.0, 2.0]), S)
    made.brake(np.array([0.9, 1.8]), S)
    assert sender.sent[-1].linear.x == 0.0


def path(*positions, begins_s=1.0) -> Path:
    times_ns = S * np.arange(len(positions)) + round(begins_s * S)
    return Path(times_ns, np.array(positions, float), np.zeros((len(positions), 2)))


HERE = np.array([0.1, 0.2])


@pytest.mark.parametrize(
    ("hold", "here", "stops"),
    [
        ("stop", HERE, True),
        ("stop", NOWHERE, False),
        ("auto", HERE, True),
        ("repeat", HERE, False),
    ],
)
def test_a_trajectory_is_ended_as_it_is_told_to(hold, here, stops):
    sender = Sender()
    made = outlet(sender, "chunk", hold=hold)
    stop = path(here, here, begins_s=2.0)
    assert not made.hold(None, stop, S).any()
    assert not sender.sent  # nothing to end
    made.path(S, path(*np.ones((5, 2))))
    assert len(sender.sent[0].points) == 4
    assert made.hold(None, stop, 2 * S).tolist() == [stops] * 2
    assert not made.hold(None, stop, 3 * S).any()
    assert [list(m.points[0].positions) for m in sender.sent[1:]] == [[0.1, 0.2]] * stops
    assert all(list(m.points[0].velocities) == [0.0, 0.0] for m in sender.sent[1:])
