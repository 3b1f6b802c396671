import numpy as np
import pytest

from cls_vla_ros.robot.action.chunk import Chunk
from cls_vla_ros.robot.action.planner import Planner
from cls_vla_ros.robot.action.shaping import MotionLimits
from cls_vla_ros.robot.action.standing import Standing
from cls_vla_ros.robot.action.trajectory import LEAD_S

S, DT_S = 10**9, 0.1
ZERO = np.zeros(2)
ARM = np.array([True, False])  # the second value is played, and no trajectory's


def planner(acceleration=5.0) -> Planner:
    standing = Standing(np.full(2, 0.2))
    standing.is_followed = True
    made = Planner(standing, ARM, DT_S)
    endless = np.full(2, np.inf)
    made.limits = MotionLimits(np.ones(2), np.full(2, acceleration), -endless, endless)
    made.standing = standing
    return made


def ramp(stamp_s: float, start=0.0, speed=0.5) -> Chunk:
    values = start + speed * DT_S * np.arange(20)
    return Chunk(np.stack([values, 9 + values], axis=1), round(stamp_s * S), DT_S)


def test_a_chunk_goes_on_from_what_is_being_executed_whoever_made_it():
    made = planner()
    first = made.to_chunk(ramp(0.0), ZERO, ZERO, 0)
    now_ns = S
    start = made.standing.start(np.array([0.4, 0.0]), now_ns)
    second = made.to_chunk(ramp(1.0, 0.7, -0.5), start, np.array([0.4, 0.0]), now_ns)
    for late_s in (0.0, 0.03, LEAD_S):
        t = now_ns + round(late_s * S)
        np.testing.assert_allclose(second.at(t)[0][0], first.at(t)[0][0])


def test_a_stop_brakes_from_there_and_what_follows_begins_at_its_end():
    made = planner()
    made.to_chunk(ramp(0.0), ZERO, ZERO, 0)
    stop = made.stop(np.array([0.4, 0.0]), S)
    assert stop.at(S)[1][0] == pytest.approx(0.5, abs=1e-6)
    assert not stop.velocities[-1, 0]
    assert stop.positions[-1, 0] > stop.positions[0, 0]
    made.standing.sent(stop, np.array([0.4, 0.0]), ARM, S)
    start = made.standing.start(np.array([0.45, 0.0]), 2 * S)
    assert start[0] == stop.positions[-1, 0]


def test_a_joint_that_was_moved_by_hand_while_nothing_was_told_is_where_it_begins():
    made = planner()
    made.to_chunk(ramp(0.0), ZERO, ZERO, 0)
    stop = made.stop(np.array([0.4, 0.0]), S)
    made.standing.sent(stop, np.array([0.4, 0.0]), ARM, S)
    moved = np.array([1.5, 0.0])
    path = made.to_chunk(ramp(3.0, 1.5), made.standing.start(moved, 3 * S), moved, 3 * S)
    assert path.positions[0, 0] == 1.5


def test_after_a_takeover_it_waits_until_a_controller_that_kept_its_place_has_come():
    made = planner()
    made.to_chunk(ramp(0.0), ZERO, ZERO, 0)
    made.standing.forget(S)
    here = np.zeros(2)  # it had come to 0.45
    path = made.to_chunk(ramp(2.0), made.standing.start(here, 2 * S), here, 2 * S)
    assert path.times_ns[1] - 2 * S > 0.7 * S
    assert path.positions[1, 0] == 0.0
