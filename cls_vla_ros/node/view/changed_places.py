"""Where, in each picture, something looks changed: what glance or frame guard saw, made anew.

The node publishes one number of each; here is the map behind it, from the same pictures.
"""

from dataclasses import dataclass

import numpy as np
import torch
from safetensors import safe_open

from cls_vla_ros.inference import Observation
from cls_vla_ros.inference.preprocessing import Preprocessor
from cls_vla_ros.inference.reuse.frame_guard import Thumbnail, differences
from cls_vla_ros.inference.reuse.glance_look import GlanceLook, Look
from cls_vla_ros.policy.checkpoint.load_policy import load_all_but_weights
from cls_vla_ros.policy.checkpoint.location import weight_files
from cls_vla_ros.policy.glance import Glance
from cls_vla_ros.robot.demo_policy import resolve_policy_path
from cls_vla_ros.robot.settings import CameraSettings

GLANCE = "model.glance."


@dataclass(frozen=True)
class Places:
    """Of one camera.

    Attributes:
        values: (rows, columns) float32: the glance's score in [0, 1], or the guard's difference.
        threshold: above which a place counts.
        what: "glance" or "guard".
    """

    values: np.ndarray
    threshold: float
    what: str


class GlanceMaps:
    """The glance of a checkpoint, without the rest of the policy: its weights are 0.1 % of it."""

    def __init__(self, look: GlanceLook, preprocessor: Preprocessor) -> None:
        """Take both from the same checkpoint."""
        self._look, self._preprocessor = look, preprocessor

    @classmethod
    def of_checkpoint(cls, policy_path: str) -> "GlanceMaps | None":
        """Read it; None where the checkpoint has none, or an untrained one.

        Raises:
            FileNotFoundError: there is no such checkpoint.
            ValueError: it cannot be used.
        """
        folder, config, before, _ = load_all_but_weights(resolve_policy_path(policy_path), "cpu")
        if not (config.glance_width and config.glance_trained):
            return None
        weights = {}
        for file in weight_files(folder):
            with safe_open(file, "pt") as tensors:
                names = [name for name in tensors.keys() if name.startswith(GLANCE)]  # noqa: SIM118
                weights |= {n.removeprefix(GLANCE): tensors.get_tensor(n).float() for n in names}
        state = config.robot_state_feature
        cameras = list(config.image_features)
        glance = Glance(state.shape[0] if state else 0, len(cameras), config.glance_width)
        glance.load_state_dict(weights)
        return cls(GlanceLook(glance, cameras), Preprocessor(before, config))

    def look(self, observation: Observation) -> Look:
        """See `GlanceLook.look`."""
        state = torch.as_tensor(self._preprocessor(observation).state)
        return self._look.look(observation.images, state)

    def places(self, then: Look, now: Look) -> dict[str, np.ndarray]:
        """See `GlanceLook.places`."""
        return self._look.places(then, now)


class ChangedPlaces:
    """Compares each inference's pictures with those of the prefix that was cached then."""

    def __init__(
        self, cameras: list[CameraSettings], guard_threshold: float, glance: GlanceMaps | None
    ) -> None:
        """Start without a cached prefix.

        Args:
            cameras: those with `guard` are looked at.
            guard_threshold: of the frame guard.
            glance: where the policy has one, the guard does not look, as in the node.
        """
        self._guarded = {c.feature: c.name for c in cameras if c.guard}
        self._threshold, self._glance = guard_threshold, glance
        self._then: Look | dict[str, Thumbnail] | None = None
        self._episode: int | None = None

    def look(self, observation: Observation, message) -> dict[str, Places]:
        """What changed since the newest cached prefix, by camera name; empty without one.

        Args:
            observation: that of the inference.
            message: its SceneChange.
        """
        if message.episode != self._episode:
            self._then, self._episode = None, message.episode
        images = {f: p for f, p in observation.images.items() if f in self._guarded}
        if self._glance:
            seen = Observation(images, observation.state, observation.task, observation.stamp_s)
            now = self._glance.look(seen)
        else:
            now = {feature: Thumbnail.of(image) for feature, image in images.items()}
        then = self._then
        if not message.prefix_reused:
            self._then = now
        return {} if then is None else self._compare(then, now, message)

    def _compare(self, then, now, message) -> dict[str, Places]:
        if self._glance:
            return {
                self._guarded[feature]: Places(values, message.glance_threshold, "glance")
                for feature, values in self._glance.places(then, now).items()
            }
        return {
            self._guarded[f]: Places(differences(now[f], then[f]), self._threshold, "guard")
            for f in now
            if f in then
        }
