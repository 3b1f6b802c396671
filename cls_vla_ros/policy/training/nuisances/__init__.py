"""What a picture may do without the scene having changed, and patches that do change it.

formulas, jpeg: what cameras and light do, one function for each. strengths: all of them at random,
for training. named: each alone at a fixed strength, for calibration, evaluation and simulation.
patches: what does change a scene.
"""

from cls_vla_ros.policy.training.nuisances.named import NAMED, Nuisance
from cls_vla_ros.policy.training.nuisances.patches import (
    VISIBLE,
    Patch,
    draw_patches,
    keep_some,
)
from cls_vla_ros.policy.training.nuisances.strengths import Strengths, disturb, draw_strengths

__all__ = [
    "NAMED",
    "VISIBLE",
    "Nuisance",
    "Patch",
    "Strengths",
    "disturb",
    "draw_patches",
    "draw_strengths",
    "keep_some",
]
