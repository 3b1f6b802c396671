"""The tensors that an inference reads and writes: always the same ones, for CUDA graphs."""

from dataclasses import dataclass

import torch
from torch import Tensor

from cls_vla_ros.engine.memory.layout import Layout
from cls_vla_ros.engine.weights.weights import Weights


@dataclass(frozen=True)
class Memory:
    """Legend as in layout.py; S is max_state_dim, A max_action_dim, X cross layers.

    Attributes:
        layout: which lengths they have.
        patches: (B * C, patches, 3 * patch * patch), the pictures in [-1, 1].
        tokens: (B, L) int64.
        language_mask: (B, L) bool, False for padding.
        state: (B, S) float32.
        noise: (B, T, A) float32.
        actions: (B, T, A) float32, normalised.
        target: (B, T, A) float32, what real-time chunking holds the actions to.
        hold: (B, T, 1) float32, how much at each step of the chunk: 0 is not at all.
        kv: (layers, 2, B, R, Hkv, D), the language model's K and V, after RoPE.
        cross_kv: (2, X, B, P, Hkv, D), what the expert's cross-attention layers make of them.
        visible: (B, P) bool, which tokens of the prefix count.
        obs_cls_out: (B, N, H) float32; None without CLS head.
    """

    layout: Layout
    patches: Tensor
    tokens: Tensor
    language_mask: Tensor
    state: Tensor
    noise: Tensor
    actions: Tensor
    target: Tensor
    hold: Tensor
    kv: Tensor
    cross_kv: Tensor
    visible: Tensor
    obs_cls_out: Tensor | None

    @classmethod
    def allocate(
        cls, layout: Layout, weights: Weights, patches: int, state_dim: int, action_dim: int
    ) -> "Memory":
        """Zeros, so that what nobody has written yet is at least finite.

        Args:
            layout: the lengths.
            weights: for sizes, device and dtype.
            patches: of one picture.
            state_dim: S.
            action_dim: A.
        """
        size, sizes = layout.batch_size, weights.sizes

        def zeros(*shape: int, dtype: torch.dtype = weights.dtype) -> Tensor:
            return torch.zeros(shape, dtype=dtype, device=weights.device)

        heads = (sizes.key_heads, sizes.head_dim)
        hidden = weights.embedding.shape[1]
        num_cls = layout.cls_before + layout.cls_after
        wide = torch.float32
        return cls(
            layout=layout,
            patches=zeros(size * layout.cameras, patches, weights.patch_embedding.shape[1]),
            tokens=zeros(size, layout.language, dtype=torch.int64),
            language_mask=zeros(size, layout.language, dtype=torch.bool),
            state=zeros(size, state_dim, dtype=wide),
            noise=zeros(size, layout.chunk_size, action_dim, dtype=wide),
            actions=zeros(size, layout.chunk_size, action_dim, dtype=wide),
            target=zeros(size, layout.chunk_size, action_dim, dtype=wide),
            hold=zeros(size, layout.chunk_size, 1, dtype=wide),
            kv=zeros(len(weights.text_layers), 2, size, layout.rows, *heads),
            cross_kv=zeros(2, len(weights.cross_layers), size, layout.prefix, *heads),
            visible=zeros(size, layout.prefix, dtype=torch.bool),
            obs_cls_out=zeros(size, num_cls, hidden, dtype=wide) if num_cls else None,
        )
