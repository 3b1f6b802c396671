"""Commands as messages."""

import numpy as np
import pytest

from cls_vla_ros.node.output.messages import to_command, to_joint_trajectory
from cls_vla_ros.robot.settings import OutputSettings


def command(of: str, rename: list[str], values: list[float], **more):
    fields = {"kind": "auto", "hold": "auto", "first_step": [0.0]} | more
    output = OutputSettings("o", "t", of, rename, rename, **fields)
    return to_command(output, np.array(values), 1_500_000_000, 50.0)


def test_a_twist_has_what_is_named_and_zeros():
    twist = command("twist", ["angular.z", "linear.y"], [0.5, -2.0])
    assert (twist.angular.z, twist.linear.y, twist.linear.x) == (0.5, -2.0, 0.0)
    stamped = command("twist_stamped", ["linear.x"], [1.0], frame_id="base_link")
    assert (stamped.twist.linear.x, stamped.header.frame_id) == (1.0, "base_link")
    assert (stamped.header.stamp.sec, stamped.header.stamp.nanosec) == (1, 500_000_000)


def test_a_pose_has_a_unit_quaternion_and_its_frame():
    names = [f"position.{a}" for a in "xyz"] + [f"orientation.{a}" for a in "xyzw"]
    pose = command("pose_stamped", names, [1, 2, 3, 0, 0, 0, 2], frame_id="base")
    assert (pose.pose.position.z, pose.pose.orientation.w) == (3.0, 1.0)
    assert pose.header.frame_id == "base"
    names[3:] = [f"orientation.{a}" for a in ("roll", "pitch", "yaw")]
    pose = command("pose_stamped", names, [1, 2, 3, 0, 0, np.pi])
    assert (pose.pose.position.x, pose.pose.orientation.z) == (1.0, pytest.approx(1.0))


def test_joints_have_the_controllers_names_and_velocities_where_they_are_that():
    assert list(command("joint_state", ["j2", "j1"], [1, 2]).position) == [1.0, 2.0]
    fast = command("joint_state", ["j2", "j1"], [1, 2], kind="velocity")
    assert (list(fast.name), list(fast.velocity), list(fast.position)) == (
        ["j2", "j1"], [1.0, 2.0], [])  # fmt: skip
    trajectory = command("joint_trajectory", ["j1"], [0.5])
    assert trajectory.points[0].time_from_start.nanosec == 20_000_000


def test_the_points_of_a_trajectory_are_timed_from_its_stamp():
    times_ns = np.array([1_300_000_000, 2_400_000_000])
    positions, velocities = np.array([[2.0], [3.0]]), np.array([[7.0], [0.0]])
    message = to_joint_trajectory(10**9, ["j"], times_ns, positions, velocities)
    assert [list(p.positions) + list(p.velocities) for p in message.points] == [[2, 7], [3, 0]]
    times = [(p.time_from_start.sec, p.time_from_start.nanosec) for p in message.points]
    assert times == [(0, 300_000_000), (1, 400_000_000)]
