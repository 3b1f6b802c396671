"""The weights of a loaded policy, as the engine wants them: fused, folded, in one dtype.

What does not depend on an observation is computed here, once: the product of two linear layers
without anything between them, the scale of each RMS norm into the matrix behind it, the embedding
of the times at which the flow is evaluated.
"""

from dataclasses import dataclass

import torch
from lerobot.policies.common.vla_utils import create_sinusoidal_pos_embedding
from torch import Tensor, nn

from cls_vla_ros.policy.modeling_cls_smolvla import CLSSmolVLAPolicy


@dataclass(frozen=True)
class Affine:
    """y = x W^T + b; or a layer norm, whose weight is a vector."""

    weight: Tensor
    bias: Tensor | None


@dataclass(frozen=True)
class VisionLayer:
    """One layer of SigLIP, width V."""

    norm1: Affine
    qkv: Affine  # (3 V, V)
    out: Affine  # (V, V)
    norm2: Affine
    fc1: Affine
    fc2: Affine


@dataclass(frozen=True)
class DecoderLayer:
    """One Llama layer of the language model or of the action expert, without the norms' weights.

    Attributes:
        heads: (heads * D, H): Q, K and V stacked; only Q where the layer attends to the prefix.
        out: (H, Hq * D).
        gate_up: (2 F, H), gate and up stacked.
        down: (H, F).
        attends_to_itself: whether it has K and V of its own tokens; else it looks at the projected
            KV of the prefix only.
    """

    heads: Tensor
    out: Tensor
    gate_up: Tensor
    down: Tensor
    attends_to_itself: bool


@dataclass(frozen=True)
class Sizes:
    """Numbers of the architecture that the weights' shapes do not tell.

    Attributes:
        query_heads: Hq, of language model and expert alike.
        key_heads: Hkv.
        head_dim: D.
        rms_eps: of their norms.
        vision_heads: of the vision model.
        vision_eps: of its norms.
        shuffle: side of the squares of patches that become one token.
        patch: side of a patch in pixels.
    """

    query_heads: int
    key_heads: int
    head_dim: int
    rms_eps: float
    vision_heads: int
    vision_eps: float
    shuffle: int
    patch: int


@dataclass(frozen=True)
class TimeEmbedding:
    """What the time adds to the embedded noise: all that does not depend on the noise.

    action_time_mlp_in(concat(action_in_proj(x), time)) is noise_in x plus a row of `table`, since
    nothing but a concatenation is between the two layers.

    Attributes:
        weight: (E, E) float64, the time's half of action_time_mlp_in.
        constant: (E,) float64, from the biases of both layers.
        min_period: of the sinusoidal embedding.
        max_period: likewise.
    """

    weight: Tensor
    constant: Tensor
    min_period: float
    max_period: float

    def table(self, num_steps: int) -> Tensor:
        """For the times 1, 1 - 1/num_steps, ... of Euler's method: (num_steps, E) float32."""
        dt = -1.0 / num_steps
        times = torch.tensor([1.0 + step * dt for step in range(num_steps)])
        embedded = create_sinusoidal_pos_embedding(
            times.to(self.weight.device),
            self.weight.shape[1],
            self.min_period,
            self.max_period,
            device=self.weight.device,
        )
        return (embedded.double() @ self.weight.T + self.constant).float()


@dataclass(frozen=True)
class Weights:
    """All of it, on one device and in one dtype, but for what is float32 by name.

    Attributes:
        sizes: what their shapes do not tell.
        patch_embedding: (V, 3 * patch * patch), of a picture cut into patches.
        patch_bias: (patches, V), bias and position of each.
        post_norm: after the last vision layer.
        connector: (H, scale^2 * V).
        picture_start, picture_end: (tokens, H), around each picture; None without special tokens.
        embedding: (vocabulary, H).
        state: of the state's projection, float32.
        cls: (N, H); None without CLS head.
        text_layers: of the language model.
        text_norm: (H,), the final norm's weight.
        expert_layers: by index of the language layer; None where the expert has none.
        cross: (2 X, Hkv * D, Hkv * D): the matrices that make the expert's K, then V, from the
            language model's, for each of the X layers in `cross_layers`.
        cross_layers: indices of these.
        noise_in: (E, A), action_in_proj and the action's half of action_time_mlp_in in one.
        time: what is added to that at each step.
        time_out: action_time_mlp_out.
        action_out: (A, E), with the final norm's weight folded in.
    """

    sizes: Sizes
    patch_embedding: Tensor
    patch_bias: Tensor
    vision_layers: list[VisionLayer]
    post_norm: Affine
    connector: Tensor
    picture_start: Tensor | None
    picture_end: Tensor | None
    embedding: Tensor
    state: Affine
    cls: Tensor | None
    text_layers: list[DecoderLayer]
    text_norm: Tensor
    expert_layers: list[DecoderLayer | None]
    cross: Tensor | None
    cross_layers: list[int]
    noise_in: Tensor
    time: TimeEmbedding
    time_out: Affine
    action_out: Affine

    @property
    def device(self) -> torch.device:
        return self.embedding.device

    @property
    def dtype(self) -> torch.dtype:
        return self.embedding.dtype


class WeightReader:
    """Takes the weights out of a policy. The policy is the same afterwards."""

    def __init__(self, policy: CLSSmolVLAPolicy, device: torch.device, dtype: torch.dtype) -> None:
        """Look at the policy.

        Args:
            policy: loaded.
            device: where the weights shall be.
            dtype: which they shall have.
        """
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
            sizes=self._sizes(),
            patch_embedding=self._to(vision.embeddings.patch_embedding.weight.flatten(1)),
            patch_bias=self._patch_bias(vision, picture_side),
            vision_layers=[self._vision_layer(layer) for layer in vision.encoder.layers],
            post_norm=self._affine(vision.post_layernorm),
            connector=self._to(vlm.connector.modality_projection.proj.weight),
            picture_start=start,
            picture_end=end,
            embedding=self._to(text.embed_tokens.weight),
            state=self._affine(model.state_proj, torch.float32),
            cls=self._to(model.pre_cls_param[0]) if hasattr(model, "pre_cls_param") else None,
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

    def _sizes(self) -> Sizes:
        config = self._model.vlm_with_expert.config
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
