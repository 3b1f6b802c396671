import numpy as np
import pytest

from cls_vla_ros.robot.action.standing import USUAL_SLACK, Standing
from cls_vla_ros.robot.action.trajectory import Path

S = 10**9
BOTH = np.ones(2, bool)
FIRST_STEP = np.array([0.2, np.inf])


def standing(told=(0.5, 1.0), measured=(0.5, 1.0)) -> Standing:
    made = Standing(FIRST_STEP)
    made.told(np.array(told), np.array(measured), BOTH)
    return made


def test_nobody_has_told_anything_then_the_joint_counts():
    np.testing.assert_array_equal(
        Standing(FIRST_STEP).start(np.array([0.3, np.nan]), S), [0.3, np.nan]
    )


@pytest.mark.parametrize(
    ("measured", "later", "begins"),
    [
        (0.45, 0.45, 0.05),  # a grip: told to close to 0.05, stopped by the object at 0.45
        (0.45, 0.2, 0.05),  # it follows, late
        (0.45, 0.0, 0.05),  # a little beyond where it was told to go
        (0.45, 0.54, 0.05),  # pressed open by a little less than half a first step
        (0.45, 0.56, 0.56),  # somebody took it
        (0.45, -0.2, -0.2),
        (0.45, np.nan, 0.05),  # it has not said; that is for others to refuse
    ],
)
def test_what_is_told_stands_until_somebody_else_moves_the_joint(measured, later, begins):
    made = standing((0.05, 1.0), (measured, 1.0))
    assert made.start(np.array([later, 1.0]), 2 * S)[0] == begins


def test_a_value_without_a_first_step_has_a_slack_too():
    made = standing()
    near, far = (np.array([0.5, 1.0 + f * USUAL_SLACK]) for f in (0.9, 1.1))
    assert made.start(near, S)[1] == 1.0
    assert made.start(far, S)[1] == far[1]


def test_after_a_takeover_nothing_stands():
    made = standing()
    made.forget(S)
    assert made.start(np.array([0.51, 1.0]), S).tolist() == [0.51, 1.0]


def test_only_what_went_out_was_told():
    made = Standing(FIRST_STEP)
    made.told(np.array([0.5, 1.0]), np.zeros(2), np.array([True, False]))
    assert made.start(np.array([0.45, 0.2]), S).tolist() == [0.5, 0.2]


def ramp() -> Path:
    """To 1 by 10 s, from 0.8 half a second before, and from 1 to 2 in a second; then it rests."""
    times_ns = (S * np.array([9.5, 10.0, 11.0, 11.1])).astype(np.int64)
    positions, velocities = np.array([0.8, 1.0, 2.0, 2.05]), np.array([0.0, 1.0, 1.0, 0.0])
    both = np.array([1.0, -1.0])
    return Path(times_ns, positions[:, None] * both, velocities[:, None] * both)


def test_of_a_chunk_that_a_controller_has_the_step_of_that_time_stands():
    made = Standing(FIRST_STEP)
    made.sent(ramp(), np.array([0.8, -0.8]), BOTH, 9 * S + S // 2)
    ends = {9.5: 0.8, 10.0: 1.0, 10.45: 1.45, 11.0: 2.0, 60.0: 2.05}
    for seconds, value in ends.items():
        np.testing.assert_allclose(made.at(round(seconds * S)), [value, -value])


def test_an_arm_may_be_anywhere_on_the_way_that_a_chunk_has_gone():
    made = Standing(FIRST_STEP)
    made.sent(ramp(), np.array([0.8, -0.8]), BOTH, 9 * S + S // 2)
    for late in (0.75, 1.2, 1.5):
        np.testing.assert_allclose(
            made.start(np.array([late, -late]), 10 * S + S // 2), [1.5, -1.5]
        )
    elsewhere = np.array([0.6, -1.8])
    np.testing.assert_allclose(made.start(elsewhere, 10 * S + S // 2), elsewhere)


def test_who_is_told_something_while_nobody_has_said_where_he_is_may_be_where_he_was():
    made = standing((0.05, 1.0), (0.45, 1.0))
    made.told(np.array([0.05, 1.0]), np.full(2, np.nan), BOTH)  # after a reset
    assert made.start(np.array([0.45, 1.0]), S)[0] == 0.05


def test_a_stop_takes_the_place_of_the_chunk():
    made = Standing(FIRST_STEP)
    made.sent(ramp(), np.array([1.0, -1.0]), BOTH, 10 * S)
    here = made.start(np.array([1.2, -1.2]), 10 * S + S // 2)
    made.told(here, np.array([1.2, -1.2]), BOTH)
    np.testing.assert_allclose(made.at(12 * S), [1.5, -1.5])


def test_what_is_commanded_goes_on_as_it_was_sent_but_for_joints_that_others_moved():
    made = Standing(FIRST_STEP)
    made.sent(ramp(), np.array([0.8, -0.8]), BOTH, 9 * S + S // 2)
    start = made.start(np.array([1.5, 0.7]), 10 * S + S // 2)
    ahead = made.ahead(start, 10 * S + S // 2, 0.55)
    np.testing.assert_allclose(ahead.times_ns / S, [10.5, 11.0, 11.05])
    np.testing.assert_allclose(
        ahead.positions[:, 0], [1.5, 2.0, ramp().at(11050 * S // 1000)[0][0]]
    )
    np.testing.assert_allclose(ahead.velocities[:2, 0], 1.0)
    np.testing.assert_array_equal(ahead.positions[:, 1], 0.7)
    np.testing.assert_array_equal(ahead.velocities[:, 1], 0.0)


def test_a_first_point_that_was_put_off_is_not_overtaken():
    made = Standing(FIRST_STEP)
    made.sent(ramp(), np.array([0.8, -0.8]), BOTH, 9 * S + S // 2)
    now_ns = 9 * S + 7 * S // 10
    ahead = made.ahead(made.at(now_ns), now_ns, 0.1)
    assert ahead.times_ns[-1] == 10 * S


def test_what_controllers_were_told_is_known_until_they_have_come_to_something_else():
    made = Standing(FIRST_STEP)
    made.is_followed = True
    made.sent(ramp(), np.array([0.8, -0.8]), BOTH, 9 * S + S // 2)
    assert made.former(10 * S)[0] == []
    made.forget(10 * S)
    former, speed = made.former(10 * S)
    np.testing.assert_allclose(former, [[1.0, -1.0], [2.05, -2.05]])
    np.testing.assert_allclose(speed, 1.0)
    begin = np.array([0.5, -0.5])
    rests = Path(S * np.array([12, 13]), np.stack([begin, begin]), np.zeros((2, 2)))
    made.sent(rests, begin, BOTH, 12 * S)
    assert len(made.former(12 * S + S // 2)[0]) == 2
    assert made.former(13 * S)[0] == []


def test_a_preview_is_followed_by_nobody():
    made = Standing(FIRST_STEP)
    made.sent(ramp(), np.array([0.8, -0.8]), BOTH, 9 * S + S // 2)
    made.forget(10 * S)
    assert made.former(10 * S)[0] == []
