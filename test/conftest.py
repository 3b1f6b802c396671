"""For all tests: a tiny checkpoint, observations for it, and no network but this machine."""

import gc
import os
from pathlib import Path

os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ["ROS_DOMAIN_ID"] = str(150 + os.getpid() % 50)
os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import pytest
import torch
from faults.table import write_table

from cls_vla_ros.inference import Observation
from cls_vla_ros.policy.checkpoint.random_checkpoint import make_random_checkpoint

pytest_plugins = ["fixtures.policies", "fixtures.recordings", "fixtures.served"]

CAMERAS = {"observation.images.front": (48, 64), "observation.images.wrist": (60, 60)}
STATE_DIM, ACTION_DIM = 3, 3
STATS = {
    "observation.state": {
        "mean": torch.tensor([0.1, 0.2, 0.3]),
        "std": torch.tensor([1.0, 2.0, 0.5]),
    },
    "action": {"mean": torch.tensor([1.0, -1.0, 0.0]), "std": torch.tensor([0.5, 0.5, 2.0])},
}

torch.set_num_threads(1)

gc.freeze()  # as the node's process does: each policy that is closed collects garbage


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """A cls_smolvla checkpoint with the bidirectional layout; read it, do not write to it."""
    return make_random_checkpoint(tmp_path_factory.mktemp("checkpoints") / "tiny", CAMERAS, STATS)


@pytest.fixture
def make_observation():
    def make(seed: int = 0, task: str = "open the drawer", stamp_s: float = 0.0) -> Observation:
        random = np.random.default_rng(seed)
        images = {
            name: random.integers(0, 256, (*size, 3), dtype=np.uint8)
            for name, size in CAMERAS.items()
        }
        state = random.normal(size=STATE_DIM).astype(np.float32)
        return Observation(images, state, task, stamp_s)

    return make


def pytest_addoption(parser):
    parser.addoption("--faults-table", metavar="FILE", help="write docs/faults.md's table there")


def pytest_terminal_summary(terminalreporter, config):
    if path := config.getoption("--faults-table"):
        write_table(Path(path), terminalreporter.getreports("passed"))
