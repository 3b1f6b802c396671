"""What a robot sees and feels at one time."""

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from cls_vla_ros.policy.pictures import picture_names

OBS_STATE = "observation.state"  # lerobot's, here for those that have no lerobot


@dataclass(frozen=True)
class Observation:
    """One observation, before any processing.

    Attributes:
        images: the pictures by feature name ("observation.images.front"), each (height, width, 3)
            uint8 RGB.
        state: (S,) float32, in the units that the policy was trained with.
        task: the instruction, in words.
        stamp_s: when it was taken, in seconds of ROS time: the age of a cached prefix is the
            difference of two of them. Without a clock, seconds of any one clock.
    """

    images: dict[str, np.ndarray]
    state: np.ndarray
    task: str
    stamp_s: float


def check_observation(
    observation: Observation, config, cameras: Collection[str] | None = None
) -> None:
    """Does an observation fit a policy?

    Args:
        observation: any.
        config: CLSSmolVLAConfig of the policy.
        cameras: the pictures that it must have; if None, any that the policy takes, at least one.

    Raises:
        ValueError: it does not; the text says what was expected and what came.
    """
    given = observation.images.keys()
    if cameras is not None:
        fits, wanted = given == set(cameras), f"the policy is run on {sorted(cameras)}"
    else:
        fits = bool(given) and given <= config.image_features.keys()
        wanted = f"the policy takes {picture_names(config)}, or some of them"
    if not fits:
        raise ValueError(f"the observation has the pictures {sorted(given)}, {wanted}")
    for name, image in observation.images.items():
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise ValueError(
                f"{name} must be (height, width, 3) uint8 RGB, got {image.shape} {image.dtype}"
            )
    shape = tuple(config.robot_state_feature.shape)
    state = observation.state
    if state.shape != shape or state.dtype != np.float32:
        raise ValueError(f"the state must be {shape} float32, got {state.shape} {state.dtype}")
    if not math.isfinite(observation.stamp_s):
        raise ValueError(f"stamp_s must be a number of seconds, got {observation.stamp_s}")
    if not np.isfinite(state).all():
        raise ValueError(f"the state holds NaN or infinity: {state.tolist()}")
