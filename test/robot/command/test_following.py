"""A joint that does not follow, and all that only looks so."""

import numpy as np
import pytest

from cls_vla_ros.robot.command.following import Following

NAMES = ["elbow", "gripper"]


@pytest.fixture
def following():
    return Following(NAMES, np.array([0.5, np.inf]), for_s=1.0)


def look(following, told, measured, now_s):
    return following.look(np.array(told, float), np.array(measured, float), now_s)


def test_a_joint_that_stays_behind_is_named(following):
    assert not look(following, [1.0, 0.0], [0.4, 0.0], 10.0)
    assert not look(following, [1.1, 0.0], [0.4, 0.0], 11.0)
    said = look(following, [1.1, 0.0], [0.4, 0.0], 11.1)
    assert "'elbow' does not follow: it is told 1.1 and is at 0.4, for 1.1 s" in said
    assert "at most 0.5 (limits.following_error)" in said


def test_one_that_comes_near_between_begins_anew(following):
    assert not look(following, [1.0, 0.0], [0.4, 0.0], 10.0)
    assert not look(following, [1.0, 0.0], [0.6, 0.0], 10.9)
    assert not look(following, [1.0, 0.0], [0.4, 0.0], 11.5)
    assert not look(following, [1.0, 0.0], [0.4, 0.0], 12.4)
    assert look(following, [1.0, 0.0], [0.4, 0.0], 12.6)


def test_a_gripper_may_hold_something(following):
    for now_s in range(5):
        assert not look(following, [0.0, 0.0], [0.0, 5.0], now_s)


@pytest.mark.parametrize(("told", "measured"), [(np.nan, 3.0), (3.0, np.nan)])
def test_what_nobody_told_or_measured_is_no_error(following, told, measured):
    for now_s in range(5):
        assert not look(following, [told, 0.0], [measured, 0.0], now_s)


def test_the_farthest_is_named():
    following = Following(NAMES, np.array([0.5, 0.1]), for_s=0.5)
    look(following, [1.0, 1.0], [0.0, 0.0], 0.0)
    assert "'gripper'" in look(following, [1.0, 1.0], [0.0, 0.0], 1.0)
