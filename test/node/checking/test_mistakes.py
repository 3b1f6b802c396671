"""The mistakes that people make most: each is answered with its cause and what to do."""

import json
import shutil

import pytest
import torch
import yaml
from fixtures.recordings import ACTIONS, JOINTS, PARAMETERS
from node.checking.conftest import RECORDED

from cls_vla_ros.policy.checkpoint.random_checkpoint import make_random_checkpoint

STATE, ACTION, CAMERA = RECORDED["state"], RECORDED["action"], PARAMETERS["camera"]


def front(**changes) -> dict:
    return {"camera": CAMERA | {"front": CAMERA["front"] | changes}}


def state(**changes) -> dict:
    return {"state": STATE | changes}


def action(**changes) -> dict:
    return {"action": ACTION | changes}


MISTAKES = {
    "a camera's topic with a typo": (front(topic="fornt"), ["no topic fornt", "it has command"]),
    "raw for a compressed camera": (
        {"camera": {"front": CAMERA["front"], "wrist": {"topic": "wrist"}}},
        ["wrist is recorded as sensor_msgs/msg/CompressedImage", "transport"],
    ),
    "the dataset calls the camera otherwise": (
        front(feature="observation.images.top"),
        ["the policy takes the pictures", "observation.images.front", "camera.<name>.feature"],
    ),
    "a camera too many": (
        {"cameras": ["front", "wrist", "side"]},
        ["the policy takes the pictures", "observation.images.side"],
    ),
    "a camera that is not listed": (
        {"cameras": ["front"]},
        ["camera.wrist", "`cameras` names ['front'], and not 'wrist'"],
    ),
    "no cameras": ({"cameras": []}, ["cameras is empty", "config/template.yaml"]),
    "a parameter with a typo": (
        {"limits": {"velocty": [1.0] * 3}},
        ["limits.velocty is no parameter", "nearest one is limits.velocity"],
    ),
    "a joint with a typo": (
        state(joints=[*JOINTS[:2], "griper"]),
        ["lacks the joints ['griper']", "it has ['shoulder', 'elbow', 'gripper']"],
    ),
    "a joint too few": (
        state(joints=JOINTS[:2], units=["rad"] * 2),
        ["observation.state has 3 values, but state.joints names 2"],
    ),
    "a joint twice": (
        state(joints=[*JOINTS[:2], "elbow"]),
        ["state.joints names something more than once"],
    ),
    "an action too many": (
        action(names=[*ACTIONS, "grip"], units=[""] * 4),
        ["the policy's action has 3 values, but action.names names 4"],
    ),
    "fewer units than joints": (
        state(units=["rad"]),
        ["state.units: there are 3 names but 1 units: give each name its unit"],
    ),
    "a unit that is none": (
        state(units=["degrees"] * 3),
        ["state.units: unknown unit 'degrees'", "'deg'", "'percent'"],
    ),
    "percent without ranges": (
        state(units=["rad", "rad", "percent"]),
        ["state.lower and upper", "need the range of each joint, 3 values each"],
    ),
    "degrees for a dataset in radians": (
        state(units=["deg"] * 3),
        ["all of ['shoulder', 'elbow', 'gripper'] stay within", "is it rad? See state.units"],
    ),
    "limits for some joints only": (
        {"limits": {"lower": [-1.0]}},
        ["limits.lower has 1 values, action.names 3", "give each of them one"],
    ),
    "no checkpoint there": (
        {"policy": {"path": "outputs/none/at/all"}},
        ["the checkpoint outputs/none/at/all does not exist", "expected a directory with config"],
    ),
    "no GPU": (
        {"policy": {"device": "cuda:7"}},
        ["the device 'cuda:7' is not here", "Use device 'auto' or 'cpu'"],
    ),
    "a value out of range": ({"rate_hz": 0.0}, ["rate_hz", "0.01"]),
    "an output that is of another type": (
        action(outputs=["arm"]) | {"output": {"arm": {"type": "trajectory", "names": ACTIONS}}},
        ["output.arm.type", "joint_trajectory"],
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_answered_with_its_cause_and_mend(check, make_bag, mistake):
    changes, words = MISTAKES[mistake]
    code, said = check("--bag", make_bag(frames=6).path, **changes)
    assert code == 1
    for word in words:
        assert word in said, said[-1500:]
    assert "Traceback" not in said


TEXTS = {
    "no ros__parameters": ("cameras: [front]\n", ["expected YAML as /**: ros__parameters"]),
    "for another node": (
        yaml.dump({"smolvla": {"ros__parameters": RECORDED}}),
        ["has nothing for the node 'cls_vla_policy'", "but for ['smolvla']"],
    ),
    "no YAML": ("/**: {ros__parameters: [\n", ["is no params file"]),
    "a tab": ("/**:\n\tros__parameters:\n", ["is no params file", "line 2"]),
}


@pytest.mark.parametrize("mistake", TEXTS)
def test_a_file_that_is_none_is_said(check, make_bag, mistake):
    text, words = TEXTS[mistake]
    code, said = check("--bag", make_bag(frames=2).path, text=text)
    assert code == 1
    for word in words:
        assert word in said, said


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda p: (p / "model.safetensors").unlink(), ["has no model.safetensors"]),
        (lambda p: (p / "model.safetensors").rename(p / "model.bin"), ["a pickle", "Convert it"]),
        (lambda p: (p / "policy_preprocessor.json").unlink(),
         ["has no policy_preprocessor.json", "add_statistics"]),
        (lambda p: (p / "config.json").write_text(
            json.dumps({"type": "act", "input_features": {}, "output_features": {}})),
         ["is of the policy type 'act'", "expected 'cls_smolvla' or 'smolvla'"]),
    ],
    ids=["no weights", "a pickle", "an old lerobot's", "another policy"],
)  # fmt: skip
def test_a_checkpoint_that_is_none_is_said(check, make_bag, checkpoint, tmp_path, damage, words):
    copy = shutil.copytree(checkpoint, tmp_path / "copy")
    damage(copy)
    code, said = check("--bag", make_bag(frames=2).path, policy={"path": str(copy)})
    assert code == 1
    for word in words:
        assert word in said, said[-1500:]


def test_swapped_units_of_state_and_action(check, make_bag, tmp_path):
    same = {"mean": torch.zeros(3), "std": torch.full((3,), 0.5)}
    stats = {"observation.state": same, "action": same}
    cameras = {"observation.images.front": (48, 64), "observation.images.wrist": (60, 60)}
    policy = make_random_checkpoint(tmp_path / "policy", cameras, stats)
    units = {"names": JOINTS, "units": ["rad", "deg", "rad"], "kind": "joint_positions"}
    code, said = check(
        "--bag", make_bag(frames=6).path, action=units, policy={"path": str(policy)}
    )
    assert code == 1
    assert "'elbow' has the unit rad in the state and deg in the action" in said


def test_an_arm_that_the_first_chunk_would_throw(check, make_bag):
    changes = {
        "action": {"names": JOINTS, "units": ["rad"] * 3, "kind": "joint_positions"},
        "limits": {"first_step": 0.001},
    }
    code, said = check("--bag", make_bag(frames=6).path, "--infer", **changes)
    assert code == 1
    assert "the first chunk would not be commanded: the chunk is refused" in said
    assert "The first chunk, which was not published" in said  # to see what is wrong with it
