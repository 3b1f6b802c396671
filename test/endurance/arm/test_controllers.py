"""The simulated controllers do what those of ros2_control are known to do."""

import numpy as np
import pytest
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from cls_vla_ros.endurance.arm.controllers import PositionController, TrajectoryController
from cls_vla_ros.node.output.stamps import to_duration, to_time

S, CYCLE_S = 10**9, 0.01
JOINTS = ["a", "b"]
T0 = 100 * S


def trajectory(*points, stamp_s: float | None = 0.0, names=JOINTS) -> JointTrajectory:
    """Of (seconds, positions, velocities, accelerations); stamp None is 0."""
    message = JointTrajectory(joint_names=names)
    if stamp_s is not None:
        message.header.stamp = to_time(T0 + round(stamp_s * S))
    fields = ("positions", "velocities", "accelerations")
    message.points = [
        JointTrajectoryPoint(
            time_from_start=to_duration(at_s),
            **{k: [float(v), -float(v)] for k, v in zip(fields, values, strict=False)},
        )
        for at_s, *values in points
    ]
    return message


def controller(position=(0.0, 0.0), **more) -> TrajectoryController:
    return TrajectoryController(
        JOINTS, np.array(position), CYCLE_S, **{"from_desired": True} | more
    )


def run(made: TrajectoryController, begin_s: float, end_s: float, measured=(0.0, 0.0)) -> dict:
    """The setpoint of `a` by the time that it is for, in ms."""
    found = {}
    for cycle in range(round(begin_s / CYCLE_S), round(end_s / CYCLE_S)):
        made.update(T0 + cycle * S // 100, np.array(measured), np.zeros(2))
        found[(cycle + 1) * 10] = made.command[0]
        assert made.command[1] == pytest.approx(-made.command[0])
    return found


def test_between_points_without_velocities_it_goes_in_straight_lines():
    made = controller()
    made.take(trajectory((0.1, 1.0), (0.3, 0.0)), T0)
    found = run(made, 0.0, 0.5)
    np.testing.assert_allclose([found[t] for t in (50, 100, 200, 300, 500)], [0.5, 1, 0.5, 0, 0])


def test_with_velocities_by_cubics_and_with_accelerations_by_quintics():
    made = controller()
    made.take(trajectory((1.0, 1.0, 0.0)), T0)
    cubic = run(made, 0.0, 1.0)
    x = 0.25
    assert cubic[250] == pytest.approx(3 * x**2 - 2 * x**3)
    made = controller()
    made.take(trajectory((1.0, 1.0, 0.0, 0.0)), T0)
    quintic = run(made, 0.0, 1.0)
    assert quintic[250] == pytest.approx(10 * x**3 - 15 * x**4 + 6 * x**5)


def test_a_point_without_velocities_makes_its_segment_a_line():
    made = controller()
    made.take(trajectory((0.5, 1.0), (1.0, 2.0, 0.0)), T0)
    found = run(made, 0.0, 1.0)
    np.testing.assert_allclose([found[250], found[750]], [0.5, 1.5])


@pytest.mark.parametrize(("from_desired", "begins"), [(True, 0.5), (False, 0.4)])
def test_what_takes_its_place_begins_where_it_was_or_where_the_joints_are(from_desired, begins):
    made = controller(from_desired=from_desired)
    made.take(trajectory((1.0, 1.0)), T0)
    run(made, 0.0, 0.5)
    made.take(trajectory((1.0, 0.0), stamp_s=0.5), T0)
    found = run(made, 0.5, 1.5, measured=(0.4, -0.4))
    np.testing.assert_allclose([found[510], found[1000]], [begins * 0.99, begins * 0.5])


def test_it_keeps_its_speed_where_it_begins_as_it_was():
    made = controller()
    made.take(trajectory((1.0, 1.0)), T0)
    before = run(made, 0.0, 0.5)
    made.take(trajectory((0.5, 1.0, 0.0), stamp_s=0.5), T0)
    after = run(made, 0.5, 0.6)
    assert after[510] - before[500] == pytest.approx(before[500] - before[490], rel=0.1)


def test_of_a_trajectory_that_began_in_the_past_it_is_where_that_is_now():
    made = controller()
    made.take(trajectory((0.1, 1.0), (0.3, 0.0)), T0 + S // 5)
    assert run(made, 0.2, 0.3)[250] == pytest.approx(0.25)


def test_one_that_begins_in_the_future_is_waited_for_on_the_way_to_its_first_point():
    made = controller()
    made.take(trajectory((0.1, 1.0), stamp_s=0.9), T0)
    assert run(made, 0.0, 1.0)[500] == pytest.approx(0.5)


def test_without_a_stamp_it_begins_when_it_comes():
    made = controller()
    made.take(trajectory((0.2, 1.0), stamp_s=None), T0 + S)
    assert run(made, 1.0, 1.2)[1100] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (trajectory((0.1, 1.0), names=["a", "c"]), "joints"),
        (trajectory(), "0 points"),
        (trajectory((0.2, 1.0), (0.2, 2.0)), "do not rise"),
        (trajectory((0.2, 1.0), stamp_s=-1.0), "in the past"),
        (trajectory((0.2, 1.0, 0.5)), "ends in motion"),
        (trajectory((0.2, np.nan, 0.0)), "NaN"),
    ],
)
def test_what_the_real_one_refuses_it_refuses_and_goes_on_as_before(message, said):
    made = controller()
    made.take(trajectory((1.0, 1.0)), T0)
    made.take(message, T0)
    assert said in made.refused[0]
    assert run(made, 0.0, 0.5)[500] == pytest.approx(0.5)


def test_who_is_started_again_holds_where_the_joints_are():
    made = controller()
    made.take(trajectory((1.0, 1.0)), T0)
    run(made, 0.0, 0.5)
    made.is_active = False
    made.take(trajectory((1.0, 2.0)), T0)
    made.activate(np.array([0.2, -0.2]))
    assert set(run(made, 0.5, 0.6).values()) == {0.2}


def test_a_position_controller_has_what_came_last_by_name_or_in_its_order():
    made = PositionController(JOINTS, np.zeros(2))
    made.take(Float64MultiArray(data=[1.0, 2.0]), T0)
    assert made.command.tolist() == [1.0, 2.0]
    made.take(JointState(name=["b", "a"], position=[3.0, 4.0]), T0)
    assert made.command.tolist() == [4.0, 3.0]
    made.is_active = False
    made.take(Float64MultiArray(data=[9.0, 9.0]), T0)
    assert made.command.tolist() == [4.0, 3.0]
