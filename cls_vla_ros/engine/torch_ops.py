"""The engine's operations in plain PyTorch: for every device and dtype, and to read.

`TritonOps` has the same ones as fused kernels. Legend: B batch, M tokens now, N tokens attended
to, H hidden, F feed-forward, Hq and Hkv heads of queries and of keys, D head_dim, V width of
vision.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from cls_vla_ros.engine.pictures import PictureSize, to_patches
from cls_vla_ros.engine.weights.weights import Affine

MAX_WAVELENGTH = 10_000  # of lerobot's RoPE, whatever the language model's own is


@dataclass(frozen=True)
class Rope:
    """Rotary position embedding of some tokens: cosines and sines, (B, M, D / 2) float32."""

    cos: Tensor
    sin: Tensor

    @classmethod
    def at(cls, positions: Tensor, head_dim: int) -> "Rope":
        """Of tokens at these positions, (B, M) int; RoFormer, arXiv:2104.09864, eq. 34."""
        half = torch.arange(head_dim // 2, dtype=torch.float32, device=positions.device)
        radians = positions[..., None].float() / MAX_WAVELENGTH ** (half * 2.0 / head_dim)
        return cls(radians.cos(), radians.sin())


class TorchOps:
    """Each method is one step of a transformer layer, as a whole."""

    def start(self, x: Tensor) -> Tensor:
        """The residual stream of embedded tokens, (B, M, H); what it is, only operations know."""
        return x

    def project_heads(
        self,
        x: Tensor,
        weight: Tensor,
        eps: float,
        rope: Rope,
        query_heads: int,
        kv: Tensor | None,
        row: int,
    ) -> Tensor:
        """RMS norm, Q, K and V, RoPE; K and V go into the cache.

        Args:
            x: (B, M, H), the residual stream.
            weight: ((Hq + 2 Hkv) * D, H), or (Hq * D, H) without kv; norm weight folded in.
            eps: of the norm.
            rope: of the M tokens.
            query_heads: Hq.
            kv: (2, B, R, Hkv, D); rows row..row + M are written.
            row: the first of these.

        Returns:
            Q, (B, M, Hq, D).
        """
        heads = F.linear(rms_norm(x, eps), weight).unflatten(-1, (-1, 2 * rope.cos.shape[-1]))
        if kv is None:
            return rotate(heads, rope)
        key_heads = kv.shape[3]
        q, k, v = heads.split([query_heads, key_heads, key_heads], dim=2)
        end = row + x.shape[1]
        kv[0, :, row:end] = rotate(k, rope)
        kv[1, :, row:end] = v
        return rotate(q, rope)

    def attend(self, q: Tensor, kv: Tensor, mask: Tensor) -> Tensor:
        """Attention with grouped queries.

        Args:
            q: (B, M, Hq, D).
            kv: (2, B, N, Hkv, D).
            mask: (B, M or 1, N) bool; each query sees at least one key.

        Returns:
            (B, M, Hq * D).
        """
        groups = q.shape[2] // kv.shape[3]
        keys, values = kv.transpose(2, 3).repeat_interleave(groups, dim=2)  # (B, Hq, N, D) each
        out = F.scaled_dot_product_attention(q.transpose(1, 2), keys, values, mask[:, None])
        return out.transpose(1, 2).flatten(2)

    def add_linear(self, x: Tensor, y: Tensor, weight: Tensor) -> Tensor:
        """The sum x + y W^T: back into the residual stream."""
        return x + F.linear(y, weight)

    def gated(self, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        """RMS norm, then silu(gate) * up, (B, M, F); weight (2 F, H), norm weight folded in."""
        gate, up = F.linear(rms_norm(x, eps), weight).chunk(2, dim=-1)
        return F.silu(gate) * up

    def final_norm(self, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        """(B, M, H) float32."""
        return rms_norm(x, eps).float() * weight.float()

    def embed_noise(self, noise: Tensor, weight: Tensor, time_row: Tensor, out: Affine) -> Tensor:
        """The expert's tokens of noisy actions (B, T, A) float32, at one time; starts a stream.

        Args:
            noise: the actions so far.
            weight: (E, A), see `Weights.noise_in`.
            time_row: (E,) float32, a row of `TimeEmbedding.table`.
            out: action_time_mlp_out.
        """
        hidden = F.silu(F.linear(noise.to(weight.dtype), weight).float() + time_row)
        return F.linear(hidden.to(weight.dtype), out.weight, out.bias)

    def step(self, x: Tensor, noise: Tensor, out: Affine, eps: float, dt: float) -> None:
        """An Euler step in place: noise += dt * velocity(x); noise (B, T, A) float32.

        Args:
            x: (B, T, E), the residual stream after the last layer.
            noise: the actions so far.
            out: action_out_proj with the final norm's weight folded in; its bias is float32.
            eps: of that norm.
            dt: length of the step.
        """
        noise += dt * (F.linear(rms_norm(x, eps), out.weight).float() + out.bias)

    def add_layer_norm(
        self, x: Tensor, y: Tensor, norm: Affine, eps: float
    ) -> tuple[Tensor, Tensor]:
        """The sum x + y and its layer norm, (pictures, patches, V) each; y may be (patches, V)."""
        x = x + y
        return x, F.layer_norm(x, x.shape[-1:], norm.weight, norm.bias, eps)

    def attend_all(self, qkv: Tensor, heads: int) -> Tensor:
        """Attention of all patches of a picture to each other: (C, patches, 3 V) -> (.., V)."""
        q, k, v = qkv.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)  # (C, heads, n, D) each
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)

    def linear_gelu(self, x: Tensor, layer: Affine) -> Tensor:
        """GELU in its tanh form, of a linear layer."""
        return F.gelu(F.linear(x, layer.weight, layer.bias), approximate="tanh")

    def to_patches(self, picture: Tensor, size: PictureSize, patch: int, out: Tensor) -> None:
        """A camera's pictures as patches, into `out`; see pictures.to_patches.

        Args:
            picture: (B, height, width, 3) uint8, or (B, 3, height, width) float in [0, 1].
            size: what they are brought to.
            patch: side of a patch.
            out: (B, patches, 3 * patch * patch).
        """
        out.copy_(to_patches(picture, size, patch))


def rms_norm(x: Tensor, eps: float) -> Tensor:
    """Without a weight; arXiv:1910.07467, eq. 4. In float32, then back."""
    wide = x.float()
    return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)).to(x.dtype)


def rotate(x: Tensor, rope: Rope) -> Tensor:
    """RoPE of (B, M, heads, D), with the halves of D as pairs, as in Llama."""
    first, second = x.float().chunk(2, dim=-1)
    cos, sin = rope.cos[:, :, None], rope.sin[:, :, None]
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1).to(x.dtype)
