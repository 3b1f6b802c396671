"""Checkpoints as lerobot writes them, to be spoiled."""

import shutil

import pytest
import torch
from fixtures.checkpoints import statistics
from fixtures.policies import ACTION_DIM, STATE_DIM
from lerobot.policies.factory import make_pre_post_processors
from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy

from cls_vla_ros.policy.checkpoint.random_checkpoint import random_config


@pytest.fixture(scope="session")
def _whole(vlm, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stock") / "whole"
    cameras = {"observation.images.front": (48, 64), "observation.images.wrist": (60, 60)}
    config = random_config(SmolVLAConfig, vlm, cameras, STATE_DIM, ACTION_DIM)
    torch.manual_seed(0)
    SmolVLAPolicy(config).save_pretrained(folder)
    for processor in make_pre_post_processors(config, dataset_stats=statistics()):
        processor.save_pretrained(folder)
    return folder


@pytest.fixture
def whole(_whole, tmp_path):
    """A stock `smolvla` checkpoint with processors, a copy."""
    return shutil.copytree(_whole, tmp_path / "whole")


@pytest.fixture
def make_whole(vlm, make_config, tmp_path):
    """One with statistics of one's own."""

    def make(stats, name="own", **overrides):
        config = make_config(SmolVLAConfig, **overrides)
        torch.manual_seed(0)
        SmolVLAPolicy(config).save_pretrained(tmp_path / name)
        for processor in make_pre_post_processors(config, dataset_stats=stats):
            processor.save_pretrained(tmp_path / name)
        return tmp_path / name

    return make
