"""The ranges of the training data come out of the processors, without weights."""

import shutil

import numpy as np
import pytest
import torch

from cls_vla_ros.policy.checkpoint.dataset_stats import read_seen
from cls_vla_ros.policy.checkpoint.random_checkpoint import make_random_checkpoint


def test_mean_and_std_where_there_is_no_more(checkpoint):
    seen = read_seen(checkpoint)
    assert set(seen) == {"observation.state", "action"}
    assert np.allclose(seen["observation.state"].lower, [-2.9, -5.8, -1.2])
    assert np.allclose(seen["action"].upper, [2.5, 0.5, 6.0])
    assert not seen["action"].is_exact


def test_minimum_and_maximum_where_they_are(tmp_path):
    numbers = {"mean": 0.0, "std": 1.0, "min": -0.5, "max": 2.0}
    stats = {name: {k: torch.full((2,), v) for k, v in numbers.items()}
             for name in ("observation.state", "action")}  # fmt: skip
    path = make_random_checkpoint(tmp_path / "c", {"observation.images.front": (48, 64)}, stats)
    seen = read_seen(path)["action"]
    assert seen.is_exact
    assert seen.lower.tolist() == [-0.5, -0.5]
    assert seen.upper.tolist() == [2.0, 2.0]


def test_a_damaged_file_is_named(checkpoint, tmp_path):
    copy = shutil.copytree(checkpoint, tmp_path / "copy")
    (file,) = copy.glob("*preprocessor*normalizer*.safetensors")
    file.write_bytes(b"nothing")
    with pytest.raises(ValueError, match=f"{file.name} of the checkpoint .* is damaged"):
        read_seen(copy)
    file.unlink()
    with pytest.raises(FileNotFoundError, match=file.name):
        read_seen(copy)
