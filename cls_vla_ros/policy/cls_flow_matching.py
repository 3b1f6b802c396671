"""SmolVLA's model with CLS tokens, and its inference cut in two: prefix and denoising."""

from typing import TYPE_CHECKING

import torch
from lerobot.policies.common.flow_matching import euler_integrate
from lerobot.policies.common.vla_utils import clone_past_key_values, make_att_2d_masks
from lerobot.policies.smolvla.modeling_smolvla import VLAFlowMatching
from torch import Tensor, nn

from cls_vla_ros.policy.cls_adapter import CLSAdapter
from cls_vla_ros.policy.configuration_cls_smolvla import CLSSmolVLAConfig
from cls_vla_ros.policy.glance import Glance
from cls_vla_ros.policy.prefix import Prefix
from cls_vla_ros.policy.training.cls_objective import INITIAL_LOG_SCALE
from cls_vla_ros.policy.training.few_steps import shifted

if TYPE_CHECKING:
    from lerobot.policies.rtc.modeling_rtc import RTCProcessor
    from transformers import DynamicCache

CLS_PARTS = ("pre_cls_param", "cls_log_scale", "cls_adapter.", "glance.")
CLS_INIT_STD = 0.02  # SmolVLM's initializer_range, with which its own embeddings start


class CLSVLAFlowMatching(VLAFlowMatching):
    """lerobot's VLAFlowMatching with `num_cls_prefix` learnable tokens.

    bidirectional: the prefix is [CLS, images, language, state], and the CLS tokens share the
        attention block of images and language.
    readout: the prefix is stock SmolVLA's; the CLS tokens are run afterwards over its cached KV,
        at the positions -N..-1 (with RoPE only distances count, so these are the distances of the
        other layout).
    """

    def __init__(
        self, config: CLSSmolVLAConfig, rtc_processor: "RTCProcessor | None" = None
    ) -> None:
        super().__init__(config, rtc_processor=rtc_processor)
        if config.use_cls_head:
            hidden = self.vlm_with_expert.config.text_config.hidden_size
            self.pre_cls_param = nn.Parameter(torch.empty(1, config.num_cls_prefix, hidden))
            nn.init.normal_(self.pre_cls_param, std=CLS_INIT_STD)
            # Of the contrastive objectives, as CLIP's logit scale. Inference has no use for it.
            self.cls_log_scale = nn.Parameter(torch.tensor(INITIAL_LOG_SCALE))
            if config.cls_adapter_width:
                self.cls_adapter = CLSAdapter(
                    hidden,
                    len(config.image_features) * self._tokens_per_picture(),
                    config.cls_adapter_width,
                    config.num_cls_prefix,
                )
        if config.glance_width:
            state, cameras = config.robot_state_feature, len(config.image_features)
            self.glance = Glance(state.shape[0] if state else 0, cameras, config.glance_width)
        if config.trains_cls:
            self._choose_what_is_trained()

    def _choose_what_is_trained(self) -> None:
        """What lerobot freezes, corrected for a loss that looks at the language model's output."""
        if self.config.train_cls_only:
            for name, parameter in self.named_parameters():
                parameter.requires_grad_(name.startswith(CLS_PARTS))
        elif not self.config.train_expert_only:
            # Nothing but the CLS tokens reads what the last layer makes, so lerobot leaves it, and
            # the norm after it, as they were drawn.
            text_model = self.vlm_with_expert.get_vlm_model().text_model
            text_model.layers[-1].requires_grad_(True)
            text_model.norm.requires_grad_(True)

    def _tokens_per_picture(self) -> int:
        vlm, resize_to = self.vlm_with_expert.config, self.config.resize_imgs_with_padding
        # Where they are not resized, those of all cameras are of one size.
        width, height = resize_to or next(iter(self.config.image_features.values())).shape[1:]
        patch = vlm.vision_config.patch_size
        return (width // patch) * (height // patch) // vlm.scale_factor**2

    @property
    def _cls_in_prefix(self) -> bool:
        return self.config.use_cls_head and self.config.cls_attention == "bidirectional"

    def sample_time(self, bsize: int, device: torch.device) -> Tensor:
        """Times of flow matching in training, (bsize,): lerobot's, nearer to the noise."""
        return shifted(super().sample_time(bsize, device), self.config.time_shift)

    def embed_prefix(self, images, img_masks, lang_tokens, lang_masks, state=None):
        """Stock SmolVLA's prefix, with the CLS tokens before it if the layout is bidirectional.

        Returns:
            Embeddings (B, P, H), pad masks (B, P) bool, and attention-block starts (B, P) bool.
        """
        embs, pad_masks, att_masks = super().embed_prefix(
            images, img_masks, lang_tokens, lang_masks, state
        )
        if not self._cls_in_prefix:
            return embs, pad_masks, att_masks
        batch_size, num_cls = embs.shape[0], self.config.num_cls_prefix
        cls = self.pre_cls_param.to(embs.dtype).expand(batch_size, -1, -1)  # (B, N, H)
        seen = pad_masks.new_ones(batch_size, num_cls)  # (B, N)
        first_block = att_masks.new_zeros(batch_size, num_cls)  # (B, N)
        return (
            torch.cat([cls, embs], dim=1),
            torch.cat([seen, pad_masks], dim=1),
            torch.cat([first_block, att_masks], dim=1),
        )

    def encode_prefix(self, images, img_masks, lang_tokens, lang_masks, state) -> Prefix:
        """Run the vision-language model over the observation.

        Args:
            images: C pictures, each (B, 3, height, width) in [-1, 1].
            img_masks: C masks, each (B,) bool, False for an absent camera.
            lang_tokens: (B, L) int, the tokenised instruction.
            lang_masks: (B, L) bool, False for padding.
            state: (B, max_state_dim).
        """
        embs, pad_masks, att_masks = self.embed_prefix(
            images, img_masks, lang_tokens, lang_masks, state
        )
        (prefix_out, _), past_key_values = self.vlm_with_expert.forward(
            attention_mask=make_att_2d_masks(pad_masks, att_masks),
            position_ids=torch.cumsum(pad_masks, dim=1) - 1,
            past_key_values=None,
            inputs_embeds=[embs, None],
            use_cache=True,
        )
        obs_cls_out = None
        if self._cls_in_prefix:
            obs_cls_out = prefix_out[:, : self.config.num_cls_prefix].float()
        elif self.config.use_cls_head:
            images_and_language = pad_masks & (
                torch.cumsum(att_masks, dim=1) == 0
            )  # (B, P), without the state
            obs_cls_out = self._read_out(past_key_values, images_and_language).float()
        if obs_cls_out is not None and self.config.cls_adapter_width:
            pictures, present = self._picture_tokens(embs, pad_masks, len(images))
            obs_cls_out = obs_cls_out + self.cls_adapter(pictures, present)
        # The state is the last token, or, where prefix_length pads, the only one of its block.
        length = pad_masks.shape[1]
        padded = self.prefix_length > 0
        state_index = int(att_masks[0].int().argmax()) if padded else length - 1
        if obs_cls_out is not None:
            obs_cls_out = obs_cls_out.clone()  # a view would keep the whole prefix in memory
        return Prefix(past_key_values, pad_masks, obs_cls_out, state_index)

    def _picture_tokens(
        self, embs: Tensor, pad_masks: Tensor, cameras: int
    ) -> tuple[Tensor, Tensor]:
        """The pictures' tokens in a prefix, without the special ones around them.

        Args:
            embs: (B, P, H).
            pad_masks: (B, P) bool.
            cameras: C.

        Returns:
            (B, C * tokens, H), and (B, C * tokens) bool, False for an absent camera.
        """
        start = self.config.num_cls_prefix if self._cls_in_prefix else 0
        before = len(self.global_image_start_token) if self.add_image_special_tokens else 0
        after = len(self.image_end_token) if self.add_image_special_tokens else 0
        tokens = self._tokens_per_picture()
        each = before + tokens + after
        columns = torch.arange(start, start + cameras * each, device=embs.device)
        columns = columns.view(cameras, each)[:, before : before + tokens].flatten()
        return embs[:, columns], pad_masks[:, columns]

    def refresh_state(self, prefix: Prefix, state: Tensor) -> Prefix:
        """The prefix of the same pictures and instruction with another state.

        The state is the prefix's last token and an attention block of its own: no other token
        attends to it. So everything else may stay, and one token is run: with unchanged pictures
        and instruction this is a full recompute, but for the last bits.

        Args:
            prefix: as `encode_prefix` returned it; it is the same afterwards.
            state: (B, max_state_dim).

        Returns:
            A prefix of state_index + 1 tokens that shares obs_cls_out with the given one.
        """
        before = prefix.pad_masks[:, : prefix.state_index]  # (B, P - 1)
        itself = before.new_ones(prefix.batch_size, 1)
        pad_masks = torch.cat([before, itself], dim=1)  # (B, P)
        past_key_values = prefix.before(prefix.state_index)
        self._extend_prefix(
            self.state_proj(state)[:, None],  # (B, 1, H)
            before.sum(dim=1, keepdim=True),  # (B, 1), the place behind the tokens that count
            pad_masks[:, None],  # (B, 1, P)
            past_key_values,
        )
        return Prefix(past_key_values, pad_masks, prefix.obs_cls_out, prefix.state_index)

    def denoise(self, prefix: Prefix, noise: Tensor, **rtc_kwargs) -> Tensor:
        """Integrate the action expert's flow from noise to actions on a computed prefix.

        Args:
            prefix: as `encode_prefix` returned it; it is the same afterwards.
            noise: (B, T, max_action_dim) float32, standard normal.
            rtc_kwargs: inference_delay, prev_chunk_left_over, execution_horizon of lerobot's
                real-time chunking.

        Returns:
            Normalised actions, (B, T, max_action_dim) float32.
        """
        # Denoising appends to the cache and crops it again: what it leaves are views on larger
        # tensors, and after an exception more tokens than there were.
        past_key_values = prefix.before(prefix.pad_masks.shape[1])
        return euler_integrate(
            lambda x_t, time: self.denoise_step(
                prefix_pad_masks=prefix.pad_masks,
                past_key_values=past_key_values,
                x_t=x_t,
                timestep=time,
            ),
            noise,
            self.config.num_steps,
            rtc_processor=self.rtc_processor,
            rtc_enabled=self._rtc_enabled(),
            **rtc_kwargs,
        )

    def _read_out(self, past_key_values: "DynamicCache", visible: Tensor) -> Tensor:
        """Run the CLS tokens over a computed prefix that never sees them.

        The prefix is run before and without them, not in one pass under a mask, because another
        sequence length makes other matrix products, whose last bits differ: so a stock policy's
        actions stay what they were.

        Args:
            past_key_values: the prefix's KV; it is the same afterwards.
            visible: (B, P) bool, the tokens that the CLS tokens may attend to.

        Returns:
            (B, N, H), after the final norm.
        """
        batch_size, num_cls = visible.shape[0], self.config.num_cls_prefix
        positions = torch.arange(-num_cls, 0, device=visible.device).expand(
            batch_size, -1
        )  # (B, N)
        among_themselves = visible.new_ones(batch_size, num_cls)
        mask = torch.cat([visible, among_themselves], dim=1)[:, None].expand(
            -1, num_cls, -1
        )  # (B, N, P + N)
        cls = self.pre_cls_param.expand(batch_size, -1, -1)  # (B, N, H)
        return self._extend_prefix(cls, positions, mask, clone_past_key_values(past_key_values))

    def _extend_prefix(
        self, embs: Tensor, position_ids: Tensor, mask: Tensor, past_key_values: "DynamicCache"
    ) -> Tensor:
        """Run further tokens through the VLM's layers on top of cached KV.

        Args:
            embs: (B, M, H), the further tokens.
            position_ids: (B, M) int.
            mask: (B, M, P + M) bool, what each of them attends to.
            past_key_values: KV of P tokens; of P + M afterwards.

        Returns:
            (B, M, H), after the final norm.
        """
        vlm = self.vlm_with_expert
        text_model = vlm.get_vlm_model().text_model
        hidden = embs
        for index, layer in enumerate(text_model.layers):
            (attended,), _ = vlm.forward_attn_layer(
                [text_model.layers],
                [hidden],
                index,
                position_ids,
                mask,
                batch_size=embs.shape[0],
                head_dim=vlm.config.text_config.head_dim,
                use_cache=True,
                past_key_values=past_key_values,
            )
            out = layer.self_attn.o_proj(attended.to(layer.self_attn.o_proj.weight.dtype))
            out += hidden  # in place, as in lerobot: the sum has the weights' dtype
            hidden = out + layer.mlp(layer.post_attention_layernorm(out))
        return text_model.norm(hidden)
