import math

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays

from cls_vla_ros.robot.action.action_limits import check_chunk
from cls_vla_ros.robot.action.joint_limits import JointLimits

NAMES = ["shoulder", "elbow", "gripper"]
LIMITS = JointLimits.of(
    NAMES,
    ["rad", "rad", ""],
    lower={"shoulder": -1.5, "elbow": -1.57},
    upper={"shoulder": 1.5, "elbow": 1.57},
    velocity={"shoulder": 2.0, "gripper": 1.0},
)
HERE = np.zeros(3)


def still(steps: int = 20) -> np.ndarray:
    return np.zeros((steps, 3))


def check(actions, **more):
    return check_chunk(actions, 0.1, LIMITS, **{"positions_now": HERE, "first_step": 0.2} | more)


def one(actions, **more):
    checked = check(actions, **more)
    assert checked.actions is None
    (violation,) = checked.violations
    return violation


def test_a_chunk_within_the_limits_passes_as_it_is():
    actions = still()
    checked = check(actions)
    assert checked.actions is actions
    assert checked.text == ""


def test_what_is_on_a_limit_is_within_it():
    actions = still()
    actions[0, :2] = 0.2
    actions[1:, 0] = 0.4
    actions[1:, 1] = 1.57
    assert check(actions).actions is actions


def test_a_position_beyond_its_limit_is_named_with_the_step_where_it_is_worst():
    actions = still()
    actions[11:14, 1] = 1.9, 2.1, 2.0
    violation = one(actions)
    assert violation.text == "'elbow' at step 12: 2.1 rad is above its upper limit 1.57"
    assert (violation.kind, violation.joint, violation.step) == ("upper", "elbow", 12)
    assert (violation.value, violation.limit) == (2.1, 1.57)


def test_a_position_below_its_limit_is_refused():
    actions = still()
    actions[5, 1] = -1.58
    assert one(actions).text == "'elbow' at step 5: -1.58 rad is below its lower limit -1.57"


def test_a_step_that_is_too_fast_is_refused():
    actions = still()
    actions[8:, 2] = -0.5
    said = "'gripper' at step 8: 5 per second is faster than its limit 1"
    assert one(actions).text == said
    actions[8:, 2], actions[8:, 0] = 0, 0.5
    assert one(actions).text == "'shoulder' at step 8: 5 rad/s is faster than its limit 2"


def test_a_first_step_far_from_the_joint_is_refused():
    violation = one(still(), positions_now=np.array([0.0, 0.5, 0.0]))
    assert violation.text == (
        "'elbow' at step 0: 0.5 rad from where it is; its first step may be 0.2"
    )


def test_the_first_step_is_the_one_that_comes_next():
    actions = still()
    actions[:, 1] = np.linspace(0, 1, 20)
    there = np.array([0.0, actions[12, 1], 0.0])
    assert check(actions, first_index=12, positions_now=there).actions is actions
    assert one(actions, positions_now=there).kind == "first_step"
    assert one(actions, first_index=12).step == 12


def test_each_joint_may_have_a_first_step_of_its_own():
    there = np.array([0.0, 0.5, 0.0])
    assert not check(still(), positions_now=there, first_step=np.array([0.1, 0.6, 0.1])).text
    assert one(still(), positions_now=there, first_step=np.array([9, 0.4, 9])).limit == 0.4


def test_without_a_first_step_nobody_asks_where_the_joints_are():
    assert check(still() + 1, first_step=None, positions_now=None).actions is not None


@pytest.mark.parametrize("mode", ["refuse", "clamp"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_refused_in_both_modes(mode, value):
    actions = still()
    actions[3:, 1] = value
    actions[2, 0] = 99
    violation = one(actions, mode=mode, first_index=5)
    assert violation.text == f"'elbow' at step 3: {value} is not finite"


@pytest.mark.parametrize("mode", ["refuse", "clamp"])
def test_an_unknown_position_is_refused_in_both_modes(mode):
    violation = one(still(), mode=mode, positions_now=np.array([0, math.nan, 0]))
    assert violation.text.startswith("'elbow': its position is unknown")
    checked = check(still(), mode=mode, positions_now=None)
    assert checked.actions is None
    assert [v.joint for v in checked.violations] == NAMES


@pytest.mark.parametrize("mode", ["refuse", "clamp"])
def test_a_chunk_that_is_past_is_refused_in_both_modes(mode):
    assert check(still(), mode=mode, first_index=19).actions is not None
    assert "its last step, 19, is in the past" in one(still(), mode=mode, first_index=20).text


@pytest.mark.parametrize(("sign", "limit"), [(1, 1.57), (-1, -1.57)])
@pytest.mark.parametrize("mode", ["refuse", "clamp"])
def test_a_joint_too_far_outside_its_limits_is_left_to_a_human(mode, sign, limit):
    violation = one(still(), mode=mode, positions_now=np.array([0, 1.8 * sign, 0]))
    assert f"'elbow' is at {1.8 * sign}, beyond its limit {limit}" in violation.text
    assert violation.kind == "outside"


def test_a_joint_a_little_outside_its_limits_may_come_back():
    actions = still()
    actions[:, 1] = 1.5
    assert check(actions, positions_now=np.array([0, 1.6, 0])).actions is actions


def test_the_worst_comes_first_and_the_text_stays_short():
    actions = still()
    actions[1:, :] = 3.0, 2.0, 9.0
    actions[0] = -2.0
    checked = check(actions)
    kinds = [violation.kind for violation in checked.violations]
    assert kinds == ["first_step"] * 3 + ["lower"] * 2 + ["upper"] * 2 + ["velocity"] * 2
    assert [v.joint for v in checked.violations[5:7]] == ["shoulder", "elbow"]
    assert checked.text.startswith("the chunk is refused: 'shoulder' at step 0: 2 rad from where")
    assert checked.text.count("' at step") == 4
    assert checked.text.endswith(
        "'shoulder' at step 0: -2 rad is below its lower limit -1.5; and 5 more"
    )


def test_clamping_moves_only_what_it_must_and_says_so():
    actions = still()
    actions[1:, 0], actions[1:, 1] = 0.3, 2.0
    checked = check(actions, mode="clamp")
    np.testing.assert_allclose(checked.actions[:, 0], [0, 0.2] + [0.3] * 18)
    np.testing.assert_array_equal(checked.actions[:, 1], [0] + [1.57] * 19)
    np.testing.assert_array_equal(checked.actions[:, 2], 0)
    assert checked.text.startswith("the chunk was clamped: 'elbow' at step 1: 2 rad is above")
    assert "'shoulder' at step 1: 3 rad/s" in checked.text
    assert actions[1, 1] == 2.0, "the caller's actions are not touched"


def test_past_steps_are_clamped_towards_where_it_begins():
    actions = still()
    actions[:, 2] = 1.0
    checked = check(actions, mode="clamp", first_index=2)
    np.testing.assert_allclose(checked.actions[:5, 2], [0.4, 0.3, 0.2, 0.3, 0.4])


@given(
    actions=arrays(np.float64, (12, 3), elements=st.floats(-1e6, 1e6) | st.floats(-2, 2)),
    now=arrays(np.float64, 3, elements=st.floats(-1.7, 1.7)),
    first_step=st.floats(1e-3, 1) | st.none(),
    first_index=st.integers(0, 11),
    dt_s=st.floats(1e-3, 1),
)
def test_after_clamping_no_violation_remains(actions, now, first_step, first_index, dt_s):
    more = {"positions_now": now, "first_step": first_step, "first_index": first_index}
    checked = check_chunk(actions, dt_s, LIMITS, mode="clamp", **more)
    if checked.actions is None:
        assert {violation.kind for violation in checked.violations} == {"outside"}
        return
    assert not check_chunk(checked.actions, dt_s, LIMITS, **more).violations
    # the same by hand, so that check and clamp cannot be wrong together
    assert (checked.actions[:, 0] >= -1.5).all()
    assert (checked.actions[:, 0] <= 1.5).all()
    assert (np.abs(np.diff(checked.actions[:, 2])) <= 1.0 * dt_s + 1e-9).all()
    if first_step is not None:
        assert (np.abs(checked.actions[first_index] - now) <= first_step + 1e-9).all()
    if not check_chunk(actions, dt_s, LIMITS, **more).violations:
        assert checked.actions is actions


def test_what_float64_cannot_clamp_is_refused():
    actions = still()
    actions[:, 2] = 1e15  # where the next number is 0.125 away
    actions[1, 2] += 1
    checked = check(actions, mode="clamp", first_step=None)
    assert checked.actions is None
    assert [violation.kind for violation in checked.violations] == ["velocity"]


def test_a_huge_action_is_a_violation_and_no_overflow():
    actions = still()
    actions[3], actions[4] = 1.7e308, -1.7e308
    assert {v.kind for v in check(actions).violations} == {"lower", "upper", "velocity"}


@pytest.mark.parametrize(
    ("actions", "more", "said"),
    [
        (np.zeros((5, 2)), {}, r"expected actions of \(T, 3\)"),
        (np.zeros((0, 3)), {}, r"got \(0, 3\)"),
        (np.zeros(3), {}, r"got \(3,\)"),
        (still(), {"mode": "ignore"}, "'ignore': expected one of 'refuse', 'clamp'"),
        (still(), {"first_step": math.nan}, "first_step must be above 0"),
        (still(), {"first_step": 0.0}, "first_step must be above 0"),
        (still(), {"first_index": -1}, "first_index must not be negative"),
        (still(), {"positions_now": np.zeros(2)}, "broadcast"),
    ],
)
def test_a_call_that_makes_no_sense_is_explained(actions, more, said):
    with pytest.raises(ValueError, match=said):
        check(actions, **more)


@pytest.mark.parametrize("dt_s", [0.0, -1.0, math.nan, math.inf])
def test_a_step_time_that_is_none_is_refused(dt_s):
    with pytest.raises(ValueError, match="dt_s must be above 0"):
        check_chunk(still(), dt_s, LIMITS)


def limits_of_one() -> JointLimits:
    return JointLimits.of(["j"], ["rad"], lower={}, upper={}, velocity={})


def test_a_step_within_a_chunk_has_a_limit_too():
    actions = np.zeros((12, 1))
    actions[8:] = 2.0
    checked = check_chunk(actions, 1 / 30, limits_of_one(), step=0.2)
    assert "'j' at step 8: 2 rad from the step before it; limits.step allows 0.2" in checked.text
    assert checked.actions is None
    clamped = check_chunk(actions, 1 / 30, limits_of_one(), step=0.2, mode="clamp")
    assert np.abs(np.diff(clamped.actions[:, 0])).max() <= 0.2 + 1e-9
    with pytest.raises(ValueError, match="step must be above 0"):
        check_chunk(actions, 1 / 30, limits_of_one(), step=0.0)


@pytest.mark.parametrize(
    ("begins", "passes"), [(0.05, True), (0.3, True), (0.45, True), (0.6, True), (0.7, False)]
)
def test_a_grip_may_be_opened_from_where_the_joint_is_or_from_what_it_was_told(begins, passes):
    checked = check_chunk(
        np.full((5, 1), begins),
        1 / 30,
        limits_of_one(),
        positions_now=np.array([0.05]),
        measured=np.array([0.45]),
        first_step=0.2,
    )
    assert (checked.actions is not None) == passes
