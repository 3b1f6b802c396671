"""The policy `cls_smolvla`: lerobot's SmolVLAPolicy with a CLS head and the guide's call forms."""

from pathlib import Path

import torch
from lerobot.configs import PreTrainedConfig
from lerobot.policies.pretrained import PreTrainedPolicy
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from lerobot.utils.constants import (
    OBS_IMAGES,
    OBS_LANGUAGE_ATTENTION_MASK,
    OBS_LANGUAGE_TOKENS,
    OBS_STATE,
)
from lerobot.utils.device_utils import resolve_safetensors_device
from safetensors.torch import load_model
from torch import Tensor

from cls_vla_ros.policy.checkpoint import explain_missing_weights, load_config, save_vlm_beside
from cls_vla_ros.policy.cls_flow_matching import CLSVLAFlowMatching, Prefix
from cls_vla_ros.policy.configuration_cls_smolvla import CLSSmolVLAConfig
from cls_vla_ros.policy.scene_gate import GateDecision, SceneGate


class CLSSmolVLAPolicy(SmolVLAPolicy):
    """SmolVLA that also says whether the scene is as its previous inference predicted.

    `gate` is the history of whoever calls `predict_action_chunk(..., compute_cls_similarity=True)`
    on this object; `last_decision` is what it decided last, None after `reset`. Who serves several
    robots calls `encode_prefix` and `denoise` with a gate of their own for each.
    """

    config_class = CLSSmolVLAConfig
    name = "cls_smolvla"

    def __init__(self, config: CLSSmolVLAConfig, **kwargs) -> None:
        # Not SmolVLAPolicy.__init__: it would build the stock model first, and loading would take
        # twice as long.
        PreTrainedPolicy.__init__(self, config)
        config.validate_features()
        self.gate = SceneGate(config.cls_similarity_threshold)
        self.last_decision: GateDecision | None = None
        self.init_rtc_processor()
        self.model = CLSVLAFlowMatching(config, rtc_processor=self.rtc_processor)
        self.reset()

    @classmethod
    def from_pretrained(
        cls,
        pretrained_name_or_path: str | Path,
        *,
        config: PreTrainedConfig | None = None,
        **kwargs,
    ) -> "CLSSmolVLAPolicy":
        """Load a checkpoint of type `cls_smolvla`, or a stock one of type `smolvla`.

        A stock checkpoint has no CLS weights. It gets untrained ones in the layout "readout",
        which leaves its actions as they were; that its similarity means nothing yet is said once.

        Args:
            pretrained_name_or_path: a directory with config.json and model.safetensors, or a hub
                id.
            config: overrides the checkpoint's configuration.
            kwargs: lerobot's (revision, cache_dir, local_files_only, ...).

        Raises:
            FileNotFoundError: there is no such checkpoint.
            ValueError: it is of another policy type, or lacks weights that the actions depend on.
        """
        config = load_config(pretrained_name_or_path, config=config, **kwargs)
        return super().from_pretrained(pretrained_name_or_path, config=config, **kwargs)

    @classmethod
    def _load_as_safetensor(cls, model, model_file, map_location, strict):
        missing, unexpected = load_model(
            model, model_file, strict=strict, device=resolve_safetensors_device(map_location)
        )
        explain_missing_weights(model.config, Path(model_file).parent, missing, unexpected)
        return model

    def _save_pretrained(self, save_directory, state_dict=None):
        super()._save_pretrained(save_directory, state_dict=state_dict)
        save_vlm_beside(self.config, Path(save_directory))

    def reset(self) -> None:
        """Forget the episode: the action queue and the CLS history."""
        super().reset()
        self.gate.reset()
        self.last_decision = None

    @torch.no_grad()
    def encode_prefix(self, batch: dict[str, Tensor]) -> Prefix:
        """Run the vision-language model over a preprocessed batch.

        Args:
            batch: lerobot's keys: observation.images.* (B, 3, height, width) in [0, 1],
                observation.state (B, S), observation.language.tokens and .attention_mask (B, L).

        Raises:
            ValueError: the batch has no picture, or keys in the guide's spelling.
        """
        self.eval()
        _check_keys(batch)
        batch = self._prepare_batch(_own(batch))
        images, img_masks = self.prepare_images(batch)
        return self.model.encode_prefix(
            images,
            img_masks,
            batch[OBS_LANGUAGE_TOKENS],
            batch[OBS_LANGUAGE_ATTENTION_MASK],
            self.prepare_state(batch),
        )

    @torch.no_grad()
    def denoise(self, prefix: Prefix, noise: Tensor | None = None, **rtc_kwargs) -> Tensor:
        """Make the actions of a computed prefix.

        Args:
            prefix: as `encode_prefix` returned it.
            noise: (B, T, max_action_dim) float32; drawn from torch's generator if None.
            rtc_kwargs: lerobot's real-time chunking arguments.

        Returns:
            Normalised actions, (B, T, A) float32.
        """
        if noise is None:
            shape = (prefix.pad_masks.shape[0], self.config.chunk_size, self.config.max_action_dim)
            noise = self.model.sample_noise(shape, prefix.pad_masks.device)
        actions = self.model.denoise(prefix, noise, **rtc_kwargs)[
            ..., : self.config.action_feature.shape[0]
        ]
        if self.config.adapt_to_pi_aloha:
            actions = self._pi_aloha_encode_actions(actions)
        return actions

    @torch.no_grad()
    def predict_action_chunk(
        self,
        batch: dict[str, Tensor],
        noise: Tensor | None = None,
        *,
        compute_cls_similarity: bool = False,
        **rtc_kwargs,
    ) -> Tensor | tuple[Tensor, Tensor, bool]:
        """Predict a chunk of actions, and on request whether the scene is as predicted.

        Args:
            batch: preprocessed observation, see `encode_prefix`.
            noise: (B, T, max_action_dim) float32; drawn if None.
            compute_cls_similarity: compare with the previous call that asked for it, and become
                the history of the next. Ignored without CLS head.
            rtc_kwargs: lerobot's real-time chunking arguments.

        Returns:
            Normalised actions (B, T, A); with compute_cls_similarity and a CLS head the tuple
            (actions, obs_cls_out (B, N, H), should_cache). `last_decision` then holds the
            similarity.
        """
        if not compute_cls_similarity or not self.config.use_cls_head:
            _check_keys(batch)
            return super().predict_action_chunk(_own(batch), noise, **rtc_kwargs)
        prefix = self.encode_prefix(batch)
        decision = self.gate.evaluate(prefix.obs_cls_out)
        actions = self.denoise(prefix, noise, **rtc_kwargs)
        self.gate.commit(prefix.obs_cls_out)
        self.last_decision = decision
        return actions, prefix.obs_cls_out, decision.should_cache


def _own(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """A batch whose state may be written in place, as lerobot's _prepare_batch does for Aloha."""
    return {**batch, OBS_STATE: batch[OBS_STATE].clone()}


def _check_keys(batch: dict[str, Tensor]) -> None:
    """Say which key to use, where the guide's spelling or nothing was given."""
    for key in batch:
        if key.startswith("obs."):
            raise ValueError(
                f"the batch has the key {key!r}; lerobot's name for it is "
                f"'observation.{key.removeprefix('obs.')}'"
            )
    needed = (OBS_STATE, OBS_LANGUAGE_TOKENS, OBS_LANGUAGE_ATTENTION_MASK)
    missing = [key for key in needed if key not in batch]
    if missing:
        raise ValueError(
            f"the batch lacks {missing}; it has {sorted(batch)}. Expected are {list(needed)} and "
            f"{OBS_IMAGES}.*, "
            f"as the checkpoint's preprocessor makes them from an observation and its 'task'"
        )
