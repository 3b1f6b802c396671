"""What a picture may do without the scene having changed, and what does change a scene.

formulas, jpeg: what cameras and light do, one function for each. strengths: all of them at random,
for training. named: each alone at a fixed strength, for calibration, evaluation and simulation.
patches, changes: something is pasted into a picture, or the camera turns: another scene.
"""

from cls_vla_ros.policy.training.nuisances.changes import Change, draw_changes
from cls_vla_ros.policy.training.nuisances.named import NAMED, Nuisance
from cls_vla_ros.policy.training.nuisances.patches import (
    VISIBLE,
    Patch,
    draw_patches,
)
from cls_vla_ros.policy.training.nuisances.strengths import Strengths, disturb, draw_strengths

__all__ = [
    "NAMED",
    "VISIBLE",
    "Change",
    "Nuisance",
    "Patch",
    "Strengths",
    "disturb",
    "draw_changes",
    "draw_patches",
    "draw_strengths",
]
