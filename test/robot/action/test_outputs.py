"""What may execute which action values, and how."""

import math

import numpy as np
import pytest

from cls_vla_ros.robot.action.outputs import ValueTable, check_outputs
from cls_vla_ros.robot.parameters.params_file import FileParameters

BASE = {
    "policy.path": "somewhere",
    "cameras": ["front"],
    "state.joints": ["waist", "elbow", "gripper"],
    "action.names": ["waist", "elbow", "gripper", "x", "turn"],
    "action.dt_s": 0.05,
    "limits.first_step": 0.3,
    "action.outputs": ["arm", "hand", "base"],
    "output.arm.names": ["elbow", "waist"],
    "output.arm.rename": ["j2", "j1"],
    "output.hand.type": "gripper_command",
    "output.hand.names": ["gripper"],
    "output.hand.first_step": 0.0,
    "output.base.type": "twist",
    "output.base.names": ["x", "turn"],
    "output.base.rename": ["linear.x", "angular.z"],
}


def settings(**changes):
    changed = {name.replace("__", "."): value for name, value in changes.items()}
    values = {k: v for k, v in (BASE | changed).items() if v is not None}
    return FileParameters(values).read()


def test_each_value_has_the_limits_of_its_output():
    made = settings()
    check_outputs(made)
    table = ValueTable.of(made)
    np.testing.assert_array_equal(table.first_step, [0.3, 0.3, *[math.inf] * 3])
    np.testing.assert_array_equal(table.is_position, [True, True, True, False, False])
    np.testing.assert_array_equal(table.is_played, [False, False, True, True, True])
    assert table.urdf_names == {"elbow": "j2", "waist": "j1", "gripper": "gripper"}
    topics = [output.topic for output in made.action.outputs]
    assert topics == ["arm/joint_trajectory", "hand/gripper_cmd", "cmd_vel"]


@pytest.mark.parametrize(
    ("mode", "topic", "kind"),
    [
        ("chunk", "joint_trajectory", "joint_trajectory"),
        ("stream", "joint_command", "joint_state"),
    ],
)
def test_the_short_form_is_the_same_table(mode, topic, kind):
    short = {name: None for name in BASE if name.startswith(("output.", "action.outputs"))}
    made = settings(
        **short | {"action.kind": "joint_positions", "action.names": ["elbow", "waist"]},
        execution__mode=mode,
        execution__command="joint_state",
    )
    check_outputs(made)
    (output,) = made.action.outputs
    assert (output.topic, output.type, output.rename) == (topic, kind, ["elbow", "waist"])
    assert ValueTable.of(made).first_step.tolist() == [0.3, 0.3]


@pytest.mark.parametrize(
    ("first_step", "units", "expected"),
    [
        ("auto", ["rad", "deg", "m"], [0.2, 0.2, 0.02]),
        ("auto", [], [0.2, 0.2, 0.2]),
        (0.5, [], [0.5, 0.5, 0.5]),
        ([0.1, 0.3, 0.0], [], [0.1, 0.3, math.inf]),
    ],
)
def test_each_value_has_a_first_step_in_its_own_unit(first_step, units, expected):
    made = short_form(**{"limits.first_step": first_step, "action.units": units})
    check_outputs(made)
    assert ValueTable.of(made).first_step.tolist() == expected


def short_form(**changes):
    names = ["waist", "elbow", "gripper"]
    values = {key: BASE[key] for key in ("policy.path", "cameras", "action.dt_s")}
    values |= {"state.joints": names, "action.names": names, "action.kind": "joint_positions"}
    return FileParameters(values | changes).read()


@pytest.mark.parametrize("wrong", ["much", -0.1, [0.1, 0.2], [0.1, 0.2, 101.0], True])
def test_a_first_step_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match=r"limits\.first_step"):
        short_form(**{"limits.first_step": wrong})


def test_what_nothing_executes_is_named():
    check_outputs(settings(output__base__names=["x"], action__ignored=["turn"],
                           output__base__rename=["linear.x"]))  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"output.arm.names": ["elbow", "wrist"]}, r"take \['wrist'\]"),
        ({"output.base.names": ["x", "waist"]}, r"\['waist'\] are taken by more than one"),
        ({"output.hand.names": []}, r"\['gripper'\] of action.names are taken by no output"),
        ({"output.arm.rename": ["j"]}, "output.arm: rename must have one name"),
        ({"output.arm.rename": ["j", "j"]}, "each its own"),
        ({"output.base.rename": []}, "output.base: a twist has linear.x"),
        ({"output.base.type": "pose_stamped"}, "a pose needs position.x"),
        ({"output.base.hold": "repeat"}, "would go on moving"),
        ({"output.base.kind": "position"}, "a twist takes velocities"),
        ({"output.hand.hold": "repeat"}, "would go on moving"),
        ({"output.arm.hold": "zero"}, "a position of 0 is a place"),
        ({"output.arm.kind": "velocity"}, "a joint_trajectory takes positions"),
        ({"output.arm.kind": "relative"}, "played by a twist alone"),
        ({"output.hand.topic": "cmd_vel"}, r"more than one output has the topic \['cmd_vel'\]"),
        ({"state.joints": ["waist", "elbow"], "output.hand.first_step": 0.1},
         r"output.hand.first_step compares .*\['gripper'\]"),
    ],
)  # fmt: skip
def test_an_output_that_cannot_be_is_explained(changes, said):
    with pytest.raises(ValueError, match=said):
        check_outputs(settings(**changes))


def test_both_forms_at_once_are_refused():
    with pytest.raises(ValueError, match=r"action.kind is of the short form"):
        settings(action__kind="joint_positions")
