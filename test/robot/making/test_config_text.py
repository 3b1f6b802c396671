"""The files that make_config writes are read by the node, and keep what was not replaced."""

import numpy as np
import pytest
import torch

from cls_vla_ros.console.share import share
from cls_vla_ros.policy.checkpoint.dataset_stats import Seen
from cls_vla_ros.policy.checkpoint.random_checkpoint import make_random_checkpoint
from cls_vla_ros.robot.making.around import Around, Controller
from cls_vla_ros.robot.making.cameras import camera_sections
from cls_vla_ros.robot.making.config_text import config_text, robots
from cls_vla_ros.robot.making.joints import action_sections, units_of
from cls_vla_ros.robot.making.sections import Sections
from cls_vla_ros.robot.parameters.params_file import parameters_of


def read(text: str, path):
    path.write_text(text)
    with parameters_of(path, {}) as parameters:
        return parameters.read()


def test_the_template_is_a_params_file():
    with parameters_of(share("config", "template.yaml"), {"policy.path": "x"}) as parameters:
        assert parameters.read().state.joints == ["joint1"]


def test_a_replaced_section_leaves_the_comments_of_the_others():
    text = "# top\n/**:\n  ros__parameters:\n    # of a\n    a: 1\n    b:\n      c: 2  # why\n"
    sections = Sections(text)
    sections.replace("a", ["a:", "  d: 3"])
    assert str(sections) == text.replace("    a: 1\n", "    a:\n      d: 3\n")
    sections.replace("a", [])
    sections.title(["new"])
    assert str(sections) == "# new\n" + text.partition("\n")[2].replace("    a: 1\n", "")


@pytest.mark.parametrize("robot", robots())
def test_each_robots_file_with_a_checkpoint_of_its_sizes(robot, tmp_path):
    with parameters_of(share("config", "robots", f"{robot}.yaml"), {"policy.path": "x"}) as p:
        known = p.read()
    sizes = {"observation.state": len(known.state.joints), "action": len(known.action.names)}
    stats = {n: {"mean": torch.zeros(s), "std": torch.ones(s)} for n, s in sizes.items()}
    cameras = {"observation.images.top": (48, 64), "observation.images.hand_cam": (48, 64)}
    path = make_random_checkpoint(tmp_path / "policy", cameras, stats)
    text = config_text(str(path), robot, 'say "go"', Around())
    assert "# ?? Are order, units, offset, sign" in text
    made = read(text, tmp_path / "made.yaml")
    assert made.policy_path == str(path)
    assert {c.feature: c.guard for c in made.cameras} == {
        "observation.images.top": True,
        "observation.images.hand_cam": False,
    }
    assert (made.state, made.action, made.limits) == (known.state, known.action, known.limits)


def test_a_checkpoint_of_another_robot_is_refused(checkpoint):
    with pytest.raises(ValueError, match="3 values of state and 3 of action, and so101 has 6"):
        config_text(str(checkpoint), "so101", "", Around())


def test_without_a_robot_the_sizes_fit_and_what_is_unknown_is_marked(checkpoint, tmp_path):
    text = config_text(str(checkpoint), None, "", Around())
    made = read(text, tmp_path / "made.yaml")
    assert len(made.state.joints) == len(made.action.names) == 3
    marked = [line.split(":")[0].strip() for line in text.splitlines() if "# ??" in line]
    for name in ("task", "topic", "joints", "names", "units", "kind", "dt_s", "velocity"):
        assert name in marked
    # The dataset's actions, of a standard deviation of 0.5 round 1.0, and a tenth more.
    assert np.allclose(made.limits.lower, [-0.8, -2.8, -7.2], atol=1e-3)


def test_cameras_are_found_by_name_the_raw_topic_first():
    around = Around({"cam/front/image_raw/compressed": "compressed", "cam/front/image_raw": "raw",
                     "wrist_cam/jpeg": "compressed"})  # fmt: skip
    _, lines = camera_sections(["observation.images.front", "observation.images.wrist"], around)
    text = "\n".join(lines)
    assert "topic: cam/front/image_raw\n    transport: raw" in text
    assert "topic: wrist_cam/jpeg\n    transport: compressed" in text
    assert "??" not in text
    _, lines = camera_sections(["observation.images.camera1"], Around({"usb": "raw"}))
    assert "    topic: usb  # ?? there are: usb" in lines


def test_units_are_what_the_ranges_suggest():
    seen = Seen(np.array([-1.0, -90.0, 0.0]), np.array([1.0, 95.0, 99.0]), is_exact=True)
    units, said = units_of(seen, 3)
    assert units == ["rad", "deg", "percent"]
    assert "-90…95" in said


def test_of_controllers_of_the_same_joints_one_is_taken_and_the_gripper_gets_the_rest():
    around = Around(controllers=[
        Controller("forward", "forward/commands", "float64_multi_array", ["a", "b"]),
        Controller("grip", "grip/gripper_cmd", "gripper_command", []),
        Controller("arm", "arm/joint_trajectory", "joint_trajectory", ["a", "b"]),
        Controller("other", "other/commands", "float64_multi_array", ["z"]),
    ])  # fmt: skip
    made = action_sections(3, None, ["a", "b", "c"], around)
    assert "  outputs: [arm, grip]" in made["action"]
    assert "    names: [c]" in made["output"]
    assert not [line for line in made["action"] if "ignored" in line]
