import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from cls_vla_ros.robot.action.shaping import MotionLimits, braking_ends_at, follow

DT_S = 0.02
ENDLESS = np.array([np.inf])


def limits(velocity=np.inf, acceleration=np.inf, lower=-np.inf, upper=np.inf) -> MotionLimits:
    return MotionLimits(*(np.array([v]) for v in (velocity, acceleration, lower, upper)))


def followed(targets, of: MotionLimits, dts_s=None, position=0.0) -> tuple[np.ndarray, np.ndarray]:
    """Positions and speeds, each before the first step and after each."""
    p, v, before = np.array([position]), np.zeros(1), np.array([position])
    positions, speeds = [p], [v]
    for number, target in enumerate(targets):
        dt_s = DT_S if dts_s is None else dts_s[number]
        aim = np.array([float(target)])
        p, v = follow(p, v, aim, (aim - before) / dt_s, dt_s, of)
        before = aim
        positions.append(p)
        speeds.append(v)
    return np.concatenate(positions), np.concatenate(speeds)


def test_without_limits_it_is_where_the_target_is():
    positions, _ = followed([1.0, -3.0, 2.0], limits())
    np.testing.assert_array_equal(positions, [0.0, 1.0, -3.0, 2.0])


def test_with_a_velocity_alone_it_goes_straight():
    positions, speeds = followed([1.0] * 30, limits(velocity=2.0))
    np.testing.assert_allclose(positions[:4], [0.0, 0.04, 0.08, 0.12])
    assert positions[-1] == 1.0
    assert np.abs(speeds).max() <= 2.0 + 1e-9


def test_from_rest_to_rest_it_takes_hardly_longer_than_it_must():
    # 1 m at 5 m/s² and 1 m/s: 0.2 s faster, 0.8 s as fast, 0.2 s slower.
    positions, speeds = followed([1.0] * 70, limits(1.0, 5.0))
    assert np.abs(np.diff(speeds)).max() <= 5.0 * DT_S + 1e-9
    assert positions.max() <= 1.0 + 1e-9
    arrived = int(np.argmax(np.abs(positions - 1.0) < 1e-6)) * DT_S
    assert 1.2 <= arrived <= 1.3
    np.testing.assert_allclose([positions[-1], speeds[-1]], [1.0, 0.0], atol=1e-9)


def test_a_target_at_constant_speed_is_caught_up_with_and_then_followed_exactly():
    targets = 0.5 * DT_S * np.arange(1, 200)
    positions, speeds = followed(targets, limits(1.0, 5.0))
    np.testing.assert_allclose(positions[-50:], targets[-50:], atol=1e-9)
    np.testing.assert_allclose(speeds[-50:], 0.5, atol=1e-9)


def test_noise_does_not_make_it_ring():
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.001, 400)
    positions, _ = followed(noise, limits(1.0, 20.0))
    assert positions.std() < 2 * noise.std()


@given(
    st.lists(st.floats(-1, 1), min_size=1, max_size=60),
    st.lists(st.floats(0.005, 0.06), min_size=60, max_size=60),
    st.floats(0.05, 5),
    st.floats(0.5, 50),
)
def test_whatever_it_follows_its_limits_hold_and_its_range_too(targets, dts_s, velocity, most):
    of = limits(velocity, most, -1.0, 1.0)
    positions, speeds = followed(targets, of, dts_s)
    dts_s = np.array(dts_s[: len(targets)])
    assert np.abs(speeds).max() <= velocity + 1e-9
    assert (np.abs(np.diff(speeds)) <= most * dts_s + 1e-9).all()
    # The acceleration is constant within a step, so the positions follow from the speeds.
    np.testing.assert_allclose(
        np.diff(positions), (speeds[1:] + speeds[:-1]) / 2 * dts_s, atol=1e-9
    )
    assert np.abs(positions).max() <= 1.0 + 1e-3


def test_at_the_end_of_the_range_it_does_not_bounce():
    of = limits(0.6, 36.0, lower=0.0, upper=0.1)
    positions, _ = followed([0.0] * 100, of, position=0.05)
    assert (np.diff(positions) <= 1e-12).all()
    assert positions[-1] == pytest.approx(0.0, abs=1e-9)


def test_where_it_comes_to_rest():
    of = MotionLimits(ENDLESS, np.array([5.0]), -ENDLESS, ENDLESS)
    np.testing.assert_allclose(braking_ends_at(np.zeros(1), np.array([-1.0]), of), [-0.1])
    np.testing.assert_allclose(braking_ends_at(np.ones(1), np.array([-1.0]), limits()), [1.0])
    short = limits(acceleration=5.0, lower=-0.05)
    np.testing.assert_allclose(braking_ends_at(np.zeros(1), np.array([-1.0]), short), [-0.05])


def test_steps_of_constant_acceleration_may_turn_a_velocity_round_within_one():
    made = limits(velocity=2.0).with_steps(0.1)
    np.testing.assert_allclose(made.acceleration, [40.0])
    np.testing.assert_allclose(limits(2.0, 5.0).with_steps(0.1).acceleration, [5.0])
    assert np.isinf(limits().with_steps(0.1).acceleration).all()
