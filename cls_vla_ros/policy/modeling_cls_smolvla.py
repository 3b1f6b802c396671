"""The policy `cls_smolvla`: lerobot's SmolVLAPolicy with a CLS head and the guide's call forms."""

from dataclasses import replace
from pathlib import Path
from weakref import ref

import torch
from lerobot.configs import PreTrainedConfig
from lerobot.policies.pretrained import PreTrainedPolicy
from lerobot.utils.constants import (
    OBS_LANGUAGE_ATTENTION_MASK,
    OBS_LANGUAGE_TOKENS,
    OBS_STATE,
)
from lerobot.utils.device_utils import resolve_safetensors_device
from torch import Tensor

from cls_vla_ros.policy.batch import check_action_context, check_head, check_keys, own_state
from cls_vla_ros.policy.checkpoint.files import load_config, save_vlm_beside
from cls_vla_ros.policy.checkpoint.location import HUB_KWARGS, base_of, is_adapter, locate
from cls_vla_ros.policy.checkpoint.normalisation import keep_normalisation
from cls_vla_ros.policy.checkpoint.weights import (
    as_stored,
    explain_missing_weights,
    in_bfloat16_as_stored,
    load_weights,
    merge_adapter,
    stored_dtypes,
)
from cls_vla_ros.policy.cls_flow_matching import CLSVLAFlowMatching
from cls_vla_ros.policy.configuration_cls_smolvla import CLSSmolVLAConfig
from cls_vla_ros.policy.prefix import Origin, Prefix, check_masks, check_prefix
from cls_vla_ros.policy.scene_gate import GateDecision, SceneGate
from cls_vla_ros.policy.training.cls_training import CLSTraining


class CLSSmolVLAPolicy(CLSTraining):
    """SmolVLA that also says whether the scene is as its previous inference predicted.

    `gate` is the history of whoever calls `predict_action_chunk(..., compute_cls_similarity=True)`
    on this object; `last_decision` is what it decided last, None after `reset`. Who serves several
    robots calls `encode_prefix` and `denoise` with a gate of their own for each.
    """

    config_class = CLSSmolVLAConfig
    name = "cls_smolvla"

    def __init__(self, config: CLSSmolVLAConfig, *, dataset_meta=None, **kwargs) -> None:
        # Not SmolVLAPolicy.__init__: it would build the stock model first, and loading would take
        # twice as long.
        PreTrainedPolicy.__init__(self, config)
        config.validate_features()
        self.gate = SceneGate(config.cls_similarity_threshold)
        self.last_decision: GateDecision | None = None
        # Of predict_action_chunk: resets, full inferences, and the last of them that the gate saw.
        self._episode = self._number = self._judged_number = 0
        self.init_rtc_processor()
        self._start_training(dataset_meta)
        self._stored_dtypes = {}  # of the checkpoint that it was loaded from
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
            pretrained_name_or_path: a directory with config.json and model.safetensors, one that
                lerobot-train made, an adapter's of peft, or a hub id.
            config: overrides the checkpoint's configuration.
            kwargs: lerobot's: revision, cache_dir, local_files_only, ..., and dataset_meta where
                lerobot-train goes on from a checkpoint.

        Raises:
            FileNotFoundError: there is no such checkpoint.
            ValueError: it is of another policy type, or lacks weights that the actions depend on.
        """
        meta = kwargs.get("dataset_meta")
        hub_kwargs = {key: kwargs[key] for key in HUB_KWARGS if key in kwargs}
        folder = locate(pretrained_name_or_path, **hub_kwargs)
        config = load_config(folder, config=config)
        if is_adapter(folder):
            base = cls.from_pretrained(base_of(folder), config=config, **kwargs)
            return merge_adapter(base, folder)
        # The checkpoint's weights hold the VLM's: it would read those of a hub, to overwrite them.
        asks_for_vlm, config.load_vlm_weights = config.load_vlm_weights, False
        try:
            policy = super().from_pretrained(folder, config=config, **kwargs)
        finally:
            config.load_vlm_weights = asks_for_vlm
        if asks_for_vlm:  # lerobot has the VLM in bfloat16 then
            in_bfloat16_as_stored(policy, policy._stored_dtypes)
        if meta is not None and (config.train_cls_only or config.distill_from):
            keep_normalisation(folder, config, meta.stats)
        return policy

    @classmethod
    def _load_as_safetensor(cls, model, model_file, map_location, strict):
        folder = Path(model_file).parent
        missing, unexpected = load_weights(model, folder, resolve_safetensors_device(map_location))
        explain_missing_weights(model.config, folder, missing, unexpected)
        model._stored_dtypes = stored_dtypes(folder)
        return model

    def _save_pretrained(self, save_directory, state_dict=None):
        self._record_provenance()
        if self.config.train_cls_only and self._stored_dtypes:
            state_dict = as_stored(state_dict or self.state_dict(), self._stored_dtypes)
        super()._save_pretrained(save_directory, state_dict=state_dict)
        save_vlm_beside(self.config, Path(save_directory))

    def reset(self) -> None:
        """Forget the episode: the action queue and the CLS history."""
        super().reset()
        self.gate.reset()
        self.last_decision = None
        self._episode += 1

    @property
    def _prev_obs_cls_out(self) -> Tensor | None:
        """The guide's name for what `gate` compares with: (B, N, H); None without history."""
        return self.gate.history

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
        check_head(self.config, self.model)
        check_keys(batch)
        batch = self._prepare_batch(own_state(batch))
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
    def refresh_state(self, prefix: Prefix, batch: dict[str, Tensor]) -> Prefix:
        """A computed prefix with the batch's state instead of its own: one token through the VLM.

        Args:
            prefix: as `encode_prefix` returned it, for a batch of the same size.
            batch: only its observation.state (B, S) is looked at.

        Raises:
            ValueError: the prefix is of another batch size, dtype or device.
        """
        self._check_fits(prefix, batch[OBS_STATE])
        return self.model.refresh_state(
            prefix, self.prepare_state(self._prepare_batch(own_state(batch)))
        )

    @torch.no_grad()
    def predict_action_chunk(
        self,
        batch: dict[str, Tensor],
        noise: Tensor | None = None,
        *,
        compute_cls_similarity: bool = False,
        cal_cache: bool = False,
        action_context: Tensor | None = None,
        past_key_values: Prefix | None = None,
        prefix_pad_masks: Tensor | None = None,
        refresh_state: bool = True,
        **rtc_kwargs,
    ) -> Tensor | tuple:
        """Predict a chunk of actions; compute, or reuse, a prefix; say whether the scene changed.

        Args:
            batch: preprocessed observation, see `encode_prefix`.
            noise: (B, T, max_action_dim) float32; drawn if None.
            compute_cls_similarity: compare with the previous full inference that was asked for it,
                and become the history of the next. Ignored without CLS head.
            cal_cache: only compute the prefix, for `past_key_values` of a later call.
            action_context: (B, T, A), with cal_cache: for the delta expert that the guide
                mentions. There is none, so only its shape is looked at.
            past_key_values: a prefix that a call with cal_cache returned: it is not computed
                again, only the batch's state is run over it.
            prefix_pad_masks: the masks that came with it.
            refresh_state: False leaves the old state in the reused prefix. For comparison only:
                the arm would be steered by where it was.
            rtc_kwargs: lerobot's real-time chunking arguments.

        Returns:
            Normalised actions (B, T, A); with compute_cls_similarity and a CLS head the tuple
            (actions, obs_cls_out (B, N, H), should_cache), for a reused prefix too: obs_cls_out is
            the one it was computed with. `last_decision` then holds the similarity. With cal_cache
            the tuple (past_key_values, prefix_pad_masks, None).

        Raises:
            ValueError: the batch lacks something, or prefix and batch or masks do not belong
                together. Nothing has changed then.
        """
        check_head(self.config, self.model)
        check_keys(batch)
        if cal_cache:
            check_action_context(action_context, batch[OBS_STATE].shape[0], self.config)
            prefix = replace(self.encode_prefix(batch), origin=self._origin(batch))
            return prefix, prefix.pad_masks, None
        with_gate = compute_cls_similarity and self.config.use_cls_head
        if past_key_values is None and not with_gate:
            return super().predict_action_chunk(own_state(batch), noise, **rtc_kwargs)

        if past_key_values is None:
            prefix = used = self.encode_prefix(batch)
            origin = self._origin(batch)
        else:
            prefix, origin = past_key_values, self._check_prefix(past_key_values, batch)
            check_masks(prefix, prefix_pad_masks)
            used = self.refresh_state(prefix, batch) if refresh_state else prefix
        if not with_gate:
            return self.denoise(used, noise, **rtc_kwargs)
        # A prefix that was judged before, or is older than one that was, is not judged: it was not
        # run now, and comparing it with a later prediction would say nothing about the scene.
        is_new = origin.number > self._judged_number
        self.gate.threshold = self.config.cls_similarity_threshold  # the guide's programs move it
        decision = self.gate.evaluate(prefix.obs_cls_out) if is_new else self.last_decision
        actions = self.denoise(used, noise, **rtc_kwargs)
        if is_new:
            self.gate.commit(prefix.obs_cls_out)
            self.last_decision, self._judged_number = decision, origin.number
        return actions, prefix.obs_cls_out, decision.should_cache

    def _origin(self, batch: dict[str, Tensor]) -> Origin:
        self._number += 1
        tokens, mask = batch[OBS_LANGUAGE_TOKENS], batch[OBS_LANGUAGE_ATTENTION_MASK]
        return Origin(ref(self), self._episode, self._number, tokens.clone(), mask.clone())

    def _check_prefix(self, prefix: Prefix, batch: dict[str, Tensor]) -> Origin:
        """Does a cached prefix belong to this policy, this episode, this batch?"""
        self._check_fits(prefix, batch[OBS_STATE])
        origin = prefix.origin
        if origin is None or not origin.is_of(self):
            raise ValueError("past_key_values are of another policy, or lack cal_cache=True")
        if origin.episode != self._episode:
            raise ValueError(
                "past_key_values are of an earlier episode: reset() was called since. Compute "
                "them anew with cal_cache=True"
            )
        tokens, mask = batch[OBS_LANGUAGE_TOKENS], batch[OBS_LANGUAGE_ATTENTION_MASK]
        if not torch.equal(origin.mask, mask) or not torch.equal(
            origin.tokens * mask, tokens * mask
        ):
            raise ValueError(
                f"past_key_values were computed for the instruction {origin.tokens.tolist()}, the "
                f"batch has {tokens.tolist()} (tokens): compute them anew with cal_cache=True"
            )
        return origin

    def _check_fits(self, prefix: Prefix, state: Tensor) -> None:
        text_model = self.model.vlm_with_expert.get_vlm_model().text_model
        check_prefix(
            prefix,
            batch_size=state.shape[0],
            weight=text_model.layers[0].self_attn.k_proj.weight,
            has_cls_head=self.config.use_cls_head,
        )
