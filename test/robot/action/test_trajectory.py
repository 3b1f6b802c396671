import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from cls_vla_ros.robot.action.chunk import Chunk
from cls_vla_ros.robot.action.shaping import MotionLimits
from cls_vla_ros.robot.action.trajectory import (
    ARRIVES_S,
    LEAD_S,
    Path,
    lead_s,
    to_chunk,
    to_rest,
)

S, DT_S = 10**9, 0.1
ZERO = np.zeros(1)


def limits(velocity=np.inf, acceleration=np.inf, lower=-np.inf, upper=np.inf) -> MotionLimits:
    return MotionLimits(*(np.array([v]) for v in (velocity, acceleration, lower, upper)))


def chunk(values, stamp_s=0.0) -> Chunk:
    return Chunk(np.array(values, float)[:, None], round(stamp_s * S), DT_S)


def begins(position=0.0, velocity=0.0, at_s=0.0) -> Path:
    """Goes on for LEAD_S."""
    times_ns = np.array([round(at_s * S), round((at_s + LEAD_S) * S)])
    positions = np.array([[position], [position + velocity * LEAD_S]])
    return Path(times_ns, positions, np.full((2, 1), velocity))


def sampled(path: Path, every_s=0.001) -> tuple[np.ndarray, np.ndarray]:
    """Positions, and accelerations by differences of the cubics' own speeds."""
    times_ns = np.arange(path.times_ns[0], path.times_ns[-1], round(every_s * S))
    both = [path.at(int(t)) for t in times_ns]
    return np.array([p[0] for p, _ in both]), np.array([v[0] for _, v in both])


def test_between_its_knots_a_path_is_a_cubic_and_after_them_it_rests():
    path = Path(np.array([0, S]), np.array([[0.0], [1.0]]), np.array([[0.0], [0.0]]))
    np.testing.assert_allclose(path.at(S // 2), [[0.5], [1.5]])
    np.testing.assert_allclose(path.at(-S), [[0.0], [0.0]])
    np.testing.assert_allclose(path.at(2 * S), [[1.0], [0.0]])


def test_what_is_left_of_a_path_is_the_same_path():
    path = to_chunk(begins(), chunk(np.sin(np.arange(20) * 0.4)), limits())
    left = path.between(S // 3, S)
    assert (left.times_ns[0], left.times_ns[-1]) == (S // 3, S)
    for t in (S // 3, S // 2, 7 * S // 10, S):
        np.testing.assert_allclose(left.at(t), path.at(t), atol=1e-9)
    assert len(path.between(S, S).times_ns) == 1


def test_within_the_limits_a_chunk_is_passed_exactly_and_at_its_own_speed():
    values = np.sin(np.arange(20) * 0.2)
    path = to_chunk(begins(), chunk(values, stamp_s=0.2), limits(velocity=5.0, acceleration=50.0))
    np.testing.assert_array_equal(path.positions[3:21, 0], values[1:19])
    np.testing.assert_allclose(path.positions[-1], values[-1])
    speeds = np.gradient(values, DT_S)
    np.testing.assert_allclose(path.velocities[3:21, 0], speeds[1:19])
    assert path.velocities[-1] == 0.0  # the controller refuses another end


def test_it_begins_with_what_is_left_of_the_one_before_it():
    before = to_chunk(begins(), chunk(np.sin(np.arange(20) * 0.4)), limits(3.0, 20.0))
    ahead = before.between(S // 2, S // 2 + round(LEAD_S * S))
    path = to_chunk(ahead, chunk(np.cos(np.arange(20) * 0.4) / 2, 0.4), limits(3.0, 20.0))
    for late_s in (0.0, 0.004, 0.05, LEAD_S):  # whenever it arrives
        t = S // 2 + round(late_s * S)
        np.testing.assert_allclose(path.at(t), before.at(t), atol=1e-9)


def test_steps_that_are_due_too_soon_are_left_out():
    path = to_chunk(begins(at_s=0.55), chunk(np.arange(20) * 0.01), limits())
    assert path.times_ns[2] == pytest.approx(0.7 * S, abs=2)  # 0.65 is where it begins


def test_after_a_chunk_that_cannot_be_reached_in_time_it_goes_on_to_its_end():
    path = to_chunk(begins(), chunk([0.0, 2.0, 2.0]), limits(velocity=1.0))
    assert path.positions[-1] == 2.0
    assert 2.0 <= path.times_ns[-1] / S < 2.5
    assert np.abs(sampled(path)[1]).max() <= 1.0 + 1e-6


@settings(deadline=None)  # they are sampled finely
@given(
    st.lists(st.floats(-2, 2), min_size=1, max_size=15),
    st.floats(-0.5, 0.5),
    st.floats(-0.3, 0.3),
    st.floats(0.3, 5),
    st.floats(1.0, 50),
    st.floats(-1.0, 0.2),
)
def test_whatever_comes_nothing_is_faster_than_its_limits(
    values, position, velocity, fastest, most, stamp_s
):
    of = limits(fastest, most, -2.0, 2.0)
    path = to_chunk(begins(position, velocity), chunk(values, stamp_s), of)
    positions, speeds = sampled(path)
    assert np.abs(speeds).max() <= fastest + 1e-5
    assert np.abs(np.diff(speeds)).max() <= (most + 1e-3) * 0.001 + 1e-6
    assert np.abs(positions).max() <= 2.0 + 1e-3
    assert (np.diff(path.times_ns) > 0).all()
    assert not path.velocities[-1].any()


@settings(deadline=None)  # they are sampled finely
@given(st.lists(st.floats(-2, 2), min_size=2, max_size=15), st.floats(0.3, 5))
def test_without_an_acceleration_the_velocity_holds_between_the_points_too(values, fastest):
    _, speeds = sampled(to_chunk(begins(), chunk(values, 0.2), limits(fastest)))
    assert np.abs(speeds).max() <= fastest + 1e-5


def test_a_stop_is_one_point_where_nothing_limits_it():
    here = Path(np.array([0]), np.array([[0.5]]), np.array([[1.0]]))
    path = to_rest(here, DT_S, limits(velocity=2.0))
    np.testing.assert_allclose(path.points.positions, [[0.5]])
    assert path.points.times_ns.tolist() == [round(LEAD_S * S)]
    np.testing.assert_array_equal(path.points.velocities, [[0.0]])


def test_a_stop_near_the_end_of_the_range_does_not_leave_it():
    here = Path(np.array([0]), np.array([[0.005]]), np.array([[-0.5]]))
    path = to_rest(here, DT_S, limits(velocity=2.0, lower=0.0))
    assert sampled(path)[0].min() >= -1e-9


def test_a_stop_brakes_no_harder_than_the_acceleration_allows():
    path = to_rest(begins(0.5, 1.0), DT_S, limits(velocity=2.0, acceleration=5.0))
    positions, speeds = sampled(path)
    assert np.abs(np.diff(speeds)).max() <= 5.0 * 0.001 + 1e-6
    assert positions[-1] == pytest.approx(0.5 + LEAD_S + 0.1, abs=0.01)
    assert path.times_ns[-1] < round(0.6 * S)


@pytest.mark.parametrize(
    ("elsewhere", "speed", "of", "expected"),
    [
        (0.5, 0.0, limits(), LEAD_S),
        (0.5, 0.0, limits(velocity=1.0), ARRIVES_S + 0.75),  # a cubic's peak is 1.5 of its mean
        (0.5, 0.0, limits(acceleration=3.0), ARRIVES_S + 1.0),  # 6 d / a
        (np.nan, 0.0, limits(velocity=1.0, acceleration=3.0), LEAD_S),
        (0.5, 1.0, limits(acceleration=3.0), ARRIVES_S + 1.8932),  # it is on its way elsewhere
    ],
)
def test_from_rest_it_waits_for_a_controller_that_is_elsewhere(elsewhere, speed, of, expected):
    here = Path.resting(ZERO, 0)
    got = lead_s(here, [np.array([elsewhere]), ZERO], np.array([speed]), of)
    assert got == pytest.approx(expected, abs=1e-3)
    # And so it comes there within the limits.
    if np.isfinite(elsewhere):
        ends = np.array([[elsewhere], [0.0]])
        times_ns = np.array([0, round((got - ARRIVES_S) * S)])
        cubic = Path(times_ns, ends, np.array([[speed], [0.0]]))
        _, speeds = sampled(cubic)
        assert np.abs(speeds).max() <= max(of.velocity[0], speed) + 1e-6
        assert np.abs(np.diff(speeds)).max() <= of.acceleration[0] * 0.001 * 1.001 + 1e-9


def test_in_motion_the_lead_is_the_usual_one():
    moving = Path(np.array([0]), ZERO[None], np.ones((1, 1)))
    assert lead_s(moving, [np.ones(1)], ZERO, limits(velocity=0.1)) == LEAD_S
