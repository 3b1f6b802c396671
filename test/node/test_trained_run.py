"""What lerobot-train leaves drives the robot that the dataset was recorded on.

A checkpoint of three cameras and six joints, fine-tuned on two cameras and seven joints: lerobot
leaves the three and the six in config.json.
"""

import json

import numpy as np
import pytest
import torch
from fixtures.checkpoints import statistics
from fixtures.lerobot_training import SIZE, record, train
from lerobot.configs import PreTrainedConfig
from lerobot.policies.factory import make_pre_post_processors
from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from lerobot.policies.utils import prepare_observation_for_inference

from cls_vla_ros.inference import Observation, PolicyServer, load_policy
from cls_vla_ros.policy.checkpoint.random_checkpoint import random_config

CAMERAS = [f"observation.images.camera{n}" for n in (1, 2, 3)]
JOINTS = [f"joint{n}" for n in range(1, 8)]


def write_checkpoint(folder, vlm) -> None:
    config = random_config(SmolVLAConfig, vlm, dict.fromkeys(CAMERAS, SIZE), 6, 6, num_steps=2)
    torch.manual_seed(0)
    SmolVLAPolicy(config).save_pretrained(folder)
    for processor in make_pre_post_processors(config, dataset_stats=statistics(6, 6)):
        processor.save_pretrained(folder)


@pytest.fixture(scope="module")
def run(vlm, tmp_path_factory):
    folder = tmp_path_factory.mktemp("training")
    write_checkpoint(folder / "base", vlm)
    record(folder / "data", CAMERAS[:2], 7, 7)
    return train(folder / "base", folder / "data", folder / "my_policy")


def test_it_has_what_its_ancestor_had(run):
    """Else the rest tests nothing."""
    config = json.loads((run / "checkpoints/last/pretrained_model/config.json").read_text())
    assert config["input_features"].keys() == {*CAMERAS, "observation.state"}
    assert config["input_features"]["observation.state"]["shape"] == [6]


def test_it_acts_as_in_lerobot(run):
    checkpoint = run / "checkpoints" / "last" / "pretrained_model"
    config = PreTrainedConfig.from_pretrained(checkpoint)
    stock = SmolVLAPolicy.from_pretrained(checkpoint, config=config).eval()
    before, after = make_pre_post_processors(config, str(checkpoint))
    random = np.random.default_rng(5)
    images = {n: random.integers(0, 256, (*SIZE, 3), np.uint8) for n in CAMERAS[:2]}
    state = random.normal(1.0, 0.3, 7).astype(np.float32)
    arrays = {**images, "observation.state": state.copy()}
    batch = before(prepare_observation_for_inference(arrays, torch.device("cpu"), "open"))
    noise = torch.randn((1, 50, 32), generator=torch.Generator().manual_seed(0))
    expected = after(stock.predict_action_chunk(batch, noise=noise))[0].numpy()
    server = PolicyServer(*load_policy(run, "cpu"), seed=0)
    ours = server.infer(Observation(images, state, "open", stamp_s=0.0)).actions
    np.testing.assert_allclose(ours, expected, atol=1e-3)


def test_it_drives_the_node(run, make_robot, caplog):
    caplog.set_level("INFO")
    robot = make_robot(
        policy__path=str(run),
        camera__front__feature=CAMERAS[0],
        camera__wrist__feature=CAMERAS[1],
        state__joints=JOINTS,
        action__names=JOINTS,
    ).start()
    joints = lambda: robot.peer.joint_state(JOINTS)  # noqa: E731
    heard = robot.peer.heard
    robot.peer.feed_until(lambda: heard["joint_trajectory"], "a trajectory", joints=joints())
    assert list(heard["joint_trajectory"][0].joint_names) == JOINTS
    assert np.isfinite(heard["joint_trajectory"][0].points[0].positions).all()
    for said in (
        f"{run} is a training's folder",
        "says observation.state is [6]",
        f"also has the pictures ['{CAMERAS[2]}']",
    ):
        assert caplog.text.count(said) == 1
