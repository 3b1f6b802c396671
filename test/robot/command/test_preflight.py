"""Where an arm is that the policy does not know: which unit, sign or offset it may be."""

import numpy as np
import pytest

from cls_vla_ros.policy.checkpoint.dataset_stats import Seen
from cls_vla_ros.robot.command.preflight import Preflight
from cls_vla_ros.robot.parameters.params_file import parameters_of

YAML = """
/**:
  ros__parameters:
    policy: {path: demo}
    cameras: [front]
    state: {joints: [shoulder, elbow], units: [deg, deg]}
    action: {kind: joint_positions, names: [shoulder, elbow], units: [deg, deg]}
"""
SEEN = Seen(np.array([-10.0, 40.0]), np.array([10.0, 80.0]), is_exact=True)


@pytest.fixture
def settings(tmp_path):
    file = tmp_path / "robot.yaml"
    file.write_text(YAML)
    with parameters_of(file, {}) as parameters:
        return parameters.read()


def look(settings, *state, seen=SEEN):
    return Preflight(settings, {"observation.state": seen} if seen else {}).look(np.array(state))


def test_where_the_dataset_was_nothing_is_said(settings):
    assert look(settings, 5.0, 60.0) == ([], [])


@pytest.mark.parametrize(
    ("elbow", "said"),
    [
        (-60.0, "with the other sign it would be inside"),
        (np.degrees(60.0), "as if the driver published degrees"),
        (-300.0, "an offset of +360 would put it in the middle"),
    ],
)
def test_far_outside_forbids_and_says_why(settings, elbow, said):
    (bad,), doubts = look(settings, 5.0, elbow)
    assert "'elbow'" in bad
    assert said in bad
    assert not doubts


def test_a_little_outside_is_a_doubt(settings):
    bad, (doubt,) = look(settings, 25.0, 60.0)
    assert not bad
    assert "'shoulder' is at 25" in doubt


def test_a_checkpoint_that_does_not_say_forbids_nothing(settings):
    assert look(settings, 900.0, 900.0, seen=None) == ([], [])
