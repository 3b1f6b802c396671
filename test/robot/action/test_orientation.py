import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cls_vla_ros.robot.action.orientation import continuous, to_quaternion
from cls_vla_ros.robot.settings import ActionSettings, OutputSettings

XYZW = [f"orientation.{axis}" for axis in "xyzw"]
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
    got = continuous(actions, near, pose(XYZW))
    np.testing.assert_allclose(got[:, 3:], -q)
    np.testing.assert_allclose(continuous(actions, near * np.nan, pose(XYZW))[:, 3:], q)


def test_an_angle_goes_on_beyond_half_a_turn():
    yaw = np.linspace(3.0, 4.0, 5)
    actions = np.hstack([np.zeros((5, 5)), np.angle(np.exp(1j * yaw))[:, None]])
    near = np.array([0, 0, 0, 0, 0, 2.9])
    np.testing.assert_allclose(continuous(actions, near, pose(RPY))[:, 5], yaw)
    near[5] = 2.9 - 2 * math.pi
    np.testing.assert_allclose(continuous(actions, near, pose(RPY))[:, 5], yaw - 2 * math.pi)


def test_nothing_else_is_touched():
    actions = np.array([[3.0, -3.0]])
    settings = ActionSettings("other", ["a", "b"], [], [], [], 0.1)
    assert continuous(actions, np.zeros(2), settings) is actions
