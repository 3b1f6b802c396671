import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cls_vla_ros.robot.action.orientation import continuous, nearest_turn, to_quaternion
from cls_vla_ros.robot.settings import ActionSettings, OutputSettings

XYZW = [f"orientation.{axis}" for axis in "xyzw"]
NONE_TURNS = np.zeros(7, bool)
RPY = [f"orientation.{angle}" for angle in ("roll", "pitch", "yaw")]


def pose(orientation) -> ActionSettings:
    names = [f"position.{axis}" for axis in "xyz"] + orientation
    output = OutputSettings("", "", "pose_stamped", names, names, "auto", "auto", [])
    return ActionSettings("other", names, [], [], [], 0.1, outputs=(output,))


@pytest.mark.parametrize("angles", [(0.3, -0.4, 2.0), (0.0, 0.0, 0.0), (-1.0, 1.2, -3.0)])
def test_roll_pitch_and_yaw_are_about_fixed_axes(angles):
    expected = Rotation.from_euler("xyz", angles).as_quat()
    got = to_quaternion(dict(zip(RPY, angles, strict=True)))
    np.testing.assert_allclose(np.abs(np.dot(got, expected)), 1.0, atol=1e-12)


def test_a_quaternion_becomes_one_of_length_1():
    got = to_quaternion(dict(zip(XYZW, [0.0, 3.0, 0.0, 4.0], strict=True)))
    np.testing.assert_allclose(got, [0.0, 0.6, 0.0, 0.8])


def test_a_quaternion_does_not_change_its_sign_on_the_way():
    q = Rotation.from_rotvec(np.outer(np.linspace(0, 2, 6), [0, 0, 1])).as_quat()
    signs = np.array([1, -1, -1, 1, -1, 1])[:, None]
    actions = np.hstack([np.zeros((6, 3)), q * signs])
    near = np.concatenate([np.zeros(3), -q[0]])
    got = continuous(actions, near, pose(XYZW), NONE_TURNS)
    np.testing.assert_allclose(got[:, 3:], -q)
    np.testing.assert_allclose(
        continuous(actions, near * np.nan, pose(XYZW), NONE_TURNS)[:, 3:], q
    )


def test_an_angle_goes_on_beyond_half_a_turn():
    yaw = np.linspace(3.0, 4.0, 5)
    actions = np.hstack([np.zeros((5, 5)), np.angle(np.exp(1j * yaw))[:, None]])
    near = np.array([0, 0, 0, 0, 0, 2.9])
    np.testing.assert_allclose(continuous(actions, near, pose(RPY), NONE_TURNS)[:, 5], yaw)
    near[5] = 2.9 - 2 * math.pi
    np.testing.assert_allclose(
        continuous(actions, near, pose(RPY), NONE_TURNS)[:, 5], yaw - 2 * math.pi
    )


def test_nothing_else_is_touched():
    actions = np.array([[3.0, -3.0]])
    settings = ActionSettings("other", ["a", "b"], [], [], [], 0.1)
    assert continuous(actions, np.zeros(2), settings, np.zeros(2, bool)) is actions


def test_a_joint_that_turns_without_end_goes_the_short_way_and_does_not_jump():
    settings = ActionSettings("other", ["a", "b"], [], [], [], 0.1)
    wrapped = np.array([[3.10, 3.10], [3.14, 3.14], [-3.14, -3.14], [-3.10, -3.10]])
    turns = np.array([True, False])
    got = continuous(wrapped, np.array([3.10, 3.10]), settings, turns)
    np.testing.assert_allclose(got[:, 0], [3.10, 3.14, 2 * math.pi - 3.14, 2 * math.pi - 3.10])
    np.testing.assert_array_equal(got[:, 1], wrapped[:, 1])
    # From where it has turned three times already.
    got = continuous(wrapped, np.array([3.10 + 6 * math.pi, 3.10]), settings, turns)
    np.testing.assert_allclose(got[0, 0], 3.10 + 6 * math.pi)


@pytest.mark.parametrize(
    ("says", "near", "expected"),
    [(-3.13, 3.14, 2 * math.pi - 3.13), (0.1, 0.2 - 4 * math.pi, 0.1 - 4 * math.pi)],
)
def test_where_a_joint_is_may_be_said_within_half_a_turn_or_not(says, near, expected):
    turns = np.array([True, False])
    got = nearest_turn(np.array([says, says]), np.array([near, near]), turns)
    np.testing.assert_allclose(got, [expected, says])
    unknown = nearest_turn(np.array([says, says]), np.full(2, np.nan), turns)
    np.testing.assert_array_equal(unknown, [says, says])
