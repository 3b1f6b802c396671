"""From a loaded policy to the engine's weights.

What does not depend on an observation is computed here, once: the product of two linear layers
without anything between them, the scale of each RMS norm into the matrix behind it, the constant
part of the time's embedding.
"""

import copy

import torch
from torch import Tensor, nn

from cls_vla_ros.engine.weights.weights import (
    Affine,
    DecoderLayer,
    Sizes,
    TimeEmbedding,
    VisionLayer,
    Weights,
)
from cls_vla_ros.policy.cls_adapter import CLSAdapter
from cls_vla_ros.policy.modeling_cls_smolvla import CLSSmolVLAPolicy


def read_sizes(policy: CLSSmolVLAPolicy) -> Sizes:
    """The numbers of a policy's architecture that its weights' shapes do not tell."""
    config = policy.model.vlm_with_expert.config
    text, vision = config.text_config, config.vision_config
    return Sizes(
        query_heads=text.num_attention_heads,
        key_heads=text.num_key_value_heads,
        head_dim=text.head_dim,
        rms_eps=text.rms_norm_eps,
        vision_heads=vision.num_attention_heads,
        vision_eps=vision.layer_norm_eps,
        shuffle=config.scale_factor,
        patch=vision.patch_size,
    )


class WeightReader:
    """Takes the weights out of a policy. The policy is the same afterwards."""

    def __init__(self, policy: CLSSmolVLAPolicy, device: torch.device, dtype: torch.dtype) -> None:
        """Look at the policy.

        Args:
            policy: loaded.
            device: where the weights shall be.
            dtype: which they shall have.
        """
        self._policy = policy
        self._model = policy.model
        self._device, self._dtype = device, dtype

    @torch.no_grad()
    def read(self, picture_side: int) -> Weights:
        """Take all.

        Args:
            picture_side: of the squares that the vision model gets, in pixels.

        Raises:
            ValueError: the policy has a part that the engine does not know.
        """
        model = self._model
        vlm = model.vlm_with_expert.get_vlm_model()
        expert = model.vlm_with_expert.lm_expert
        vision, text = vlm.vision_model, vlm.text_model
        text_layers, expert_layers = model.vlm_with_expert.get_model_layers([text, expert])
        self_attends = [self._attends_to_itself(index) for index in range(len(text_layers))]
        cross_layers = [
            i for i, layer in enumerate(expert_layers) if layer and not self_attends[i]
        ]
        start, end = self._special_tokens(text)
        for_action, for_time = model.action_time_mlp_in.weight.double().chunk(2, dim=1)  # (E, E)
        return Weights(
            sizes=read_sizes(self._policy),
            patch_embedding=self._to(vision.embeddings.patch_embedding.weight.flatten(1)),
            patch_bias=self._patch_bias(vision, picture_side),
            vision_layers=[self._vision_layer(layer) for layer in vision.encoder.layers],
            post_norm=self._affine(vision.post_layernorm),
            connector=self._to(vlm.connector.modality_projection.proj.weight),
            picture_start=start,
            picture_end=end,
            embedding=self._to(text.embed_tokens.weight),
            state=self._affine(model.state_proj, torch.float32),
            cls=self._to(model.pre_cls_param[0]) if model.config.use_cls_head else None,
            cls_adapter=self._cls_adapter(),
            text_layers=[self._decoder_layer(layer, True) for layer in text_layers],
            text_norm=self._to(text.norm.weight),
            expert_layers=[
                self._decoder_layer(layer, self_attends[i]) if layer else None
                for i, layer in enumerate(expert_layers)
            ],
            cross=self._cross([expert_layers[i].self_attn for i in cross_layers]),
            cross_layers=cross_layers,
            noise_in=self._to(for_action @ model.action_in_proj.weight.double()),
            time=self._time_embedding(for_action, for_time),
            time_out=self._affine(model.action_time_mlp_out),
            action_out=self._affine_after(expert.norm, model.action_out_proj),
        )

    def _patch_bias(self, vision: nn.Module, side: int) -> Tensor:
        """Bias and position of each patch of a picture, (patches, V).

        The vision model itself is asked, because how it numbers the patches is its own affair.
        """
        embeddings, patch = vision.embeddings, vision.embeddings.patch_size
        weight = embeddings.patch_embedding.weight
        nothing = torch.zeros(1, 3, side, side, device=weight.device, dtype=weight.dtype)
        all_of_it = nothing.new_ones(1, side // patch, side // patch, dtype=torch.bool)
        return self._to(embeddings(nothing, all_of_it)[0])

    def _attends_to_itself(self, index: int) -> bool:
        every = self._model.config.self_attn_every_n_layers
        is_cross = "cross" in self._model.config.attention_mode
        return not is_cross or (every > 0 and index % every == 0)

    def _time_embedding(self, for_action: Tensor, for_time: Tensor) -> TimeEmbedding:
        model = self._model
        constant = for_action @ model.action_in_proj.bias.double()
        constant = constant + model.action_time_mlp_in.bias.double()
        wide = torch.float64
        return TimeEmbedding(
            self._to(for_time, wide),
            self._to(constant, wide),
            model.config.min_period,
            model.config.max_period,
        )

    def _cls_adapter(self) -> CLSAdapter | None:
        config = self._model.config
        if not config.use_cls_head or not config.cls_adapter_width:
            return None
        adapter = copy.deepcopy(self._model.cls_adapter)
        return adapter.to(self._device, torch.float32).requires_grad_(False)

    def _special_tokens(self, text: nn.Module) -> tuple[Tensor | None, Tensor | None]:
        model = self._model
        if not model.add_image_special_tokens:
            return None, None
        table = text.embed_tokens.weight
        return (
            self._to(table[model.global_image_start_token.to(table.device)]),
            self._to(table[model.image_end_token.to(table.device)]),
        )

    def _vision_layer(self, layer: nn.Module) -> VisionLayer:
        attention = layer.self_attn
        qkv = (attention.q_proj, attention.k_proj, attention.v_proj)
        return VisionLayer(
            norm1=self._affine(layer.layer_norm1),
            qkv=Affine(
                self._to(torch.cat([part.weight for part in qkv])),
                self._to(torch.cat([part.bias for part in qkv])),
            ),
            out=self._affine(attention.out_proj),
            norm2=self._affine(layer.layer_norm2),
            fc1=self._affine(layer.mlp.fc1),
            fc2=self._affine(layer.mlp.fc2),
        )

    def _decoder_layer(self, layer: nn.Module, attends_to_itself: bool) -> DecoderLayer:
        attention, mlp = layer.self_attn, layer.mlp
        parts = [attention.q_proj]
        if attends_to_itself:
            parts += [attention.k_proj, attention.v_proj]
        for part in (*parts, attention.o_proj, mlp.gate_proj, mlp.up_proj, mlp.down_proj):
            if part.bias is not None:
                raise ValueError("the engine knows Llama layers without bias only; this one has")
        before_attention = layer.input_layernorm.weight.double()
        before_mlp = layer.post_attention_layernorm.weight.double()
        heads = torch.cat([part.weight.double() for part in parts])
        gate_up = torch.cat([mlp.gate_proj.weight.double(), mlp.up_proj.weight.double()])
        return DecoderLayer(
            heads=self._to(heads * before_attention),
            out=self._to(attention.o_proj.weight),
            gate_up=self._to(gate_up * before_mlp),
            down=self._to(mlp.down_proj.weight),
            attends_to_itself=attends_to_itself,
        )

    def _cross(self, attentions: list[nn.Module]) -> Tensor | None:
        if not attentions:
            return None
        matrices = [a.k_proj.weight for a in attentions] + [a.v_proj.weight for a in attentions]
        return self._to(torch.stack(matrices))

    def _affine_after(self, norm: nn.Module, layer: nn.Linear) -> Affine:
        weight = layer.weight.double() * norm.weight.double()
        return Affine(self._to(weight), layer.bias.to(self._device, torch.float32))

    def _affine(self, layer: nn.Module, dtype: torch.dtype | None = None) -> Affine:
        return Affine(self._to(layer.weight, dtype), self._to(layer.bias, dtype))

    def _to(self, tensor: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        return tensor.detach().to(self._device, dtype or self._dtype).contiguous()
