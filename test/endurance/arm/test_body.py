import numpy as np
import pytest

from cls_vla_ros.endurance.arm.body import Body

DT_S = 0.01
ENDS = np.array([-1.0, 0.0]), np.array([1.0, 0.09])


def body() -> Body:
    return Body(np.array([0.0, 0.08]), ENDS, np.array([2.0, 0.5]), np.array([20.0, 5.0]))


def run(made: Body, command, seconds: float) -> np.ndarray:
    """(N, J) positions."""
    found = []
    for _ in range(round(seconds / DT_S)):
        made.step(np.array(command), DT_S)
        found.append(made.position.copy())
    return np.array(found)


def test_it_goes_where_it_is_told_with_inertia_and_only_so_fast():
    positions = run(body(), [0.9, 0.08], 2.0)
    speeds = np.diff(positions[:, 0]) / DT_S
    assert 1.5 < speeds.max() <= 2.0 + 1e-9
    assert np.abs(np.diff(speeds)).max() / DT_S <= 20.0 + 1e-6
    assert positions[-1, 0] == pytest.approx(0.9, abs=1e-3)


def test_a_gripper_meets_what_is_between_its_fingers():
    made = body()
    made.holds = 0.05
    assert run(made, [0.0, 0.0], 1.0)[-1, 1] == 0.05
    assert made.velocity[1] == 0.0
    made.holds = 0.0
    assert run(made, [0.0, 0.0], 1.0)[-1, 1] == pytest.approx(0.0, abs=1e-3)


def test_a_joint_that_leans_on_something_stays_and_none_goes_beyond_its_range():
    made = body()
    made.blocked[0] = True
    assert run(made, [0.9, 0.08], 1.0)[-1, 0] == 0.0
    made.blocked[0] = False
    assert run(made, [5.0, 0.08], 2.0)[-1, 0] == 1.0


def test_by_hand_it_goes_where_it_is_moved():
    made = body()
    made.move_by_hand(np.array([-0.5, 0.0]), 0.1)
    np.testing.assert_allclose(made.position, [-0.05, 0.08])
