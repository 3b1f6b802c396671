"""What the rules of reuse look at in an observation."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from cls_vla_ros.inference.observation import Observation
from cls_vla_ros.inference.reuse.frame_guard import Thumbnail
from cls_vla_ros.inference.reuse.glance_look import GlanceLook, Look


@dataclass(frozen=True)
class Seen:
    """See above.

    Attributes:
        stamp_s: when it was taken.
        task: the instruction.
        cameras: all pictures in it, by feature name.
        pictures: those that the frame guard looks at, (height, width, 3) uint8.
        thumbnails: of these.
        state: (S,) the robot's, in the policy's units.
        look: the glance's at `pictures`; None without glance.
    """

    stamp_s: float
    task: str
    cameras: frozenset[str]
    pictures: dict[str, np.ndarray]
    thumbnails: dict[str, Thumbnail]
    state: np.ndarray
    look: Look | None = None

    @classmethod
    def of(
        cls,
        observation: Observation,
        guarded: Collection[str],
        glance: GlanceLook | None = None,
        state: Tensor | None = None,
    ) -> "Seen":
        """Look at an observation.

        Args:
            observation: that of an inference.
            guarded: features of the pictures that glance and frame guard look at.
            glance: the policy's, if it has one.
            state: (S,) for it, normalised.
        """
        pictures = {name: i for name, i in observation.images.items() if name in guarded}
        return cls(
            observation.stamp_s,
            observation.task,
            frozenset(observation.images),
            pictures,
            {name: Thumbnail.of(image) for name, image in pictures.items()},
            observation.state,
            glance.look(pictures, state) if glance else None,
        )
