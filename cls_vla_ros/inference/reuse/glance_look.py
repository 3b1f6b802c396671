"""Looking with the policy's glance: at every observation, before anything is computed."""

import copy
import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cls_vla_ros.policy.glance import Glance, shrink
from cls_vla_ros.policy.modeling_cls_smolvla import CLSSmolVLAPolicy


@dataclass(frozen=True)
class Look:
    """What the glance keeps of an observation.

    Attributes:
        pictures: (3, 48, 64) float32 each, standardised, by feature name.
        state: (S,), normalised.
    """

    pictures: dict[str, Tensor]
    state: Tensor


class GlanceLook:
    """The glance of a policy, on the host: done before a picture would have been uploaded."""

    def __init__(self, glance: Glance, cameras: Collection[str]) -> None:
        """Take a copy.

        Args:
            glance: trained.
            cameras: the policy's, by feature name, in its order.
        """
        # Not the policy's own, which may be on a GPU, in bfloat16, or be trained on.
        self._glance = copy.deepcopy(glance).float().cpu().eval().requires_grad_(False)
        self._glance.to(memory_format=torch.channels_last)  # a tenth faster on a CPU core
        self._number = {name: number for number, name in enumerate(cameras)}

    @classmethod
    def of(cls, policy: CLSSmolVLAPolicy) -> "GlanceLook | None":
        """That of a policy; None if it has none, or an untrained one."""
        config = policy.config
        if not (config.glance_width and config.glance_trained):
            return None
        return cls(policy.model.glance, config.image_features)

    def look(self, images: dict[str, np.ndarray], state: Tensor) -> Look:
        """Look at an observation.

        Args:
            images: (height, width, 3) uint8 RGB, of cameras of the policy.
            state: (S,), normalised.
        """
        pictures = {name: shrink(image) for name, image in images.items() if name in self._number}
        return Look(pictures, state.float())

    def score(self, then: Look, now: Look) -> float:
        """How likely the scene changed between two looks, in [0, 1]; NaN without a common picture.

        That of the place that looks most like it, in any camera.

        Args:
            then: of the cached prefix's observation.
            now: of the present one.
        """
        places = self.places(then, now)
        return max((float(of_camera.max()) for of_camera in places.values()), default=math.nan)

    @torch.inference_mode()
    def places(self, then: Look, now: Look) -> dict[str, np.ndarray]:
        """How likely each place shows something that changed between two looks.

        Args:
            then: of the cached prefix's observation.
            now: of the present one.

        Returns:
            (12, 16) float32 in [0, 1], by feature name, of the pictures that both have.
        """
        names = [name for name in now.pictures if name in then.pictures]
        if not names:
            return {}
        before, after = (
            torch.stack([look.pictures[name] for name in names])[None] for look in (then, now)
        )
        numbers = [self._number[name] for name in names]
        logits = self._glance(before, after, then.state[None], now.state[None], numbers)
        return dict(zip(names, logits[0].sigmoid().numpy(), strict=True))
