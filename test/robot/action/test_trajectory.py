import math

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from cls_vla_ros.robot.action.chunk_player import Chunk
from cls_vla_ros.robot.action.trajectory import FROM_REST, LEAD_S, point_velocities, reachable_from

ANY = np.full(2, np.inf)
UNKNOWN = np.full(2, np.nan)


def test_they_begin_as_the_joint_moves_follow_the_chunk_and_end_at_rest():
    times = np.arange(20)[:, None] * 0.05
    actions = np.hstack([np.sin(times), 3 * times])  # (T, A)
    got = point_velocities(actions, 0.05, np.array([0.7, np.nan]), ANY)
    np.testing.assert_allclose(got[1:-1, 0], np.cos(times[1:-1, 0]), atol=1e-3)
    np.testing.assert_allclose(got[1:-1, 1], 3.0)
    np.testing.assert_allclose(got[0], [0.7, 3.0])
    np.testing.assert_allclose(got[-1], 0.0)


def test_none_is_faster_than_its_limit():
    actions = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]])
    got = point_velocities(actions, 0.1, np.array([-50.0, 0.0]), np.array([4.0, np.inf]))
    np.testing.assert_allclose(got, [[-4.0, 0.0], [4.0, 10.0], [0.0, 0.0]])


def test_one_point_is_a_place_to_stay():
    got = point_velocities(np.ones((1, 2)), 0.1, UNKNOWN, ANY)
    np.testing.assert_allclose(got, [[0.0, 0.0]])


def chunk(values, stamp_s=0.0) -> Chunk:
    return Chunk(np.array(values, float)[:, None], round(stamp_s * 1e9), 0.1)


@pytest.mark.parametrize(
    ("start", "velocity", "now_s", "expected"),
    [
        (0.0, np.inf, 0.0, (1, 0)),  # 0.1 s ahead, and not the one that is due now
        (0.0, np.inf, 0.25, (4, 0)),
        (0.0, 1.0, 0.0, (1, 0)),
        (0.4, 1.0, 0.0, (3, 0)),  # back by 0.2 in 0.2 s is as fast as it may be, but it turns
        (2.0, 1.0, 0.0, (7, 1_250_000_000)),  # 1.3 away from the last: 1.95 s, not 0.7
        (np.nan, 0.1, 0.0, (1, 0)),  # it may go anywhere
    ],
)
def test_no_point_is_due_before_it_can_be_reached(start, velocity, now_s, expected):
    got = reachable_from(
        chunk(np.arange(8) * 0.1), np.array([start]), np.array([velocity]), round(now_s * 1e9)
    )
    assert got == pytest.approx(expected, abs=1000)


@given(
    st.lists(st.floats(-2, 2), min_size=1, max_size=12),
    st.floats(-2, 2),
    st.floats(0.1, 5),
    st.floats(-0.2, 2.0),
)
def test_whatever_comes_nothing_is_faster_than_the_limit(values, start, velocity, now_s):
    of, now_ns = chunk(values), round(now_s * 1e9)
    first, late_ns = reachable_from(of, np.array([start]), np.array([velocity]), now_ns)
    left_s = (round(first * 0.1 * 1e9) + late_ns - now_ns) / 1e9
    assert left_s >= LEAD_S - 1e-5
    assert abs(values[first] - start) <= velocity * left_s + 1e-5
    if late_ns:
        assert first == len(values) - 1
        assert abs(values[first] - start) * FROM_REST <= velocity * left_s + 1e-5


def test_a_chunk_that_goes_on_at_its_limit_is_no_hurry():
    of = chunk(np.arange(20) * 0.1)  # 1 rad/s
    for late_s in (0.0, 0.03, 0.31):
        here = np.array([late_s])  # where the chunk is by now
        first, late_ns = reachable_from(of, here, np.array([1.0]), round(late_s * 1e9))
        assert (first, late_ns) == (math.ceil((late_s + LEAD_S) * 10 - 1e-9), 0)
