"""How far the robot has moved: the view that a cached prefix holds is of where it was then."""

import numpy as np
from lerobot.processor import NormalizerProcessorStep, PolicyProcessorPipeline
from lerobot.utils.constants import OBS_STATE


def motion_of(then: np.ndarray, now: np.ndarray, std: np.ndarray) -> float:
    """Norm of a change of state, each value in its standard deviations of the dataset.

    Args:
        then: (S,), in the policy's units.
        now: (S,), likewise.
        std: (S,), see `state_std`.
    """
    change = (np.asarray(now, np.float64) - np.asarray(then, np.float64)) / std
    return float(np.linalg.norm(change))


def state_std(preprocessor: PolicyProcessorPipeline, size: int) -> np.ndarray:
    """What one is for each value of observation.state, (S,) float64, in the policy's units.

    The standard deviation of the dataset, which lerobot keeps beside whatever a checkpoint
    normalises by. A value that never varied there, or of which nothing is known, counts in its own
    units.

    Args:
        preprocessor: the checkpoint's.
        size: S.
    """
    for step in preprocessor.steps:
        if isinstance(step, NormalizerProcessorStep):
            std = (step.stats or {}).get(OBS_STATE, {}).get("std")
            if std is not None and np.size(std) == size:
                found = np.array(std, np.float64).reshape(size)
                return np.where(np.isfinite(found) & (found > 0), found, 1.0)
    return np.ones(size)
