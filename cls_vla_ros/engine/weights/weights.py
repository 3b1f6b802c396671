"""The weights of a policy, as the engine wants them: fused, folded, in one dtype."""

from dataclasses import dataclass

import torch
from lerobot.policies.common.vla_utils import create_sinusoidal_pos_embedding
from torch import Tensor

from cls_vla_ros.policy.cls_adapter import CLSAdapter


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
        cls_adapter: of the policy, in float32; None without.
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
    cls_adapter: CLSAdapter | None
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
