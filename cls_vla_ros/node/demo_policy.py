"""policy.path 'demo': a random policy that fits the demo's recording."""

import hashlib
import json
import os
from pathlib import Path

import lerobot
import torch

from cls_vla_ros.node.share import share
from cls_vla_ros.policy.random_checkpoint import make_random_checkpoint

DEMO = "demo"
CAMERAS = {
    "observation.images.front": (120, 160),
    "observation.images.wrist": (240, 320),
}  # height, width


def resolve_policy_path(path: str) -> str:
    """The checkpoint that a policy.path means.

    Args:
        path: a directory, a hub id, or "demo": that policy is made in the user's cache folder
            where it is not yet. Its weights are random; its normalisation is that of the demo's
            recording.
    """
    if path != DEMO:
        return path
    labels = share("bags", "demo.labels.json").read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    # Whatever the checkpoint is made from: another version must not find an old one.
    made_from = (labels, repr(CAMERAS), share("package.xml").read_bytes(), lerobot.__version__)
    version = hashlib.sha256(repr(made_from).encode()).hexdigest()[:12]
    stats = {
        feature: {name: torch.tensor(values) for name, values in of_feature.items()}
        for feature, of_feature in json.loads(labels)["stats"].items()
    }
    return str(
        make_random_checkpoint(cache / "cls_vla_ros" / f"demo_policy_{version}", CAMERAS, stats)
    )
