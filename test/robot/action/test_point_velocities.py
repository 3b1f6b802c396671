import numpy as np

from cls_vla_ros.robot.action.point_velocities import point_velocities

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
