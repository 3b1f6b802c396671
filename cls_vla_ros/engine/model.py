"""SmolVLA's inference with static shapes: prefix, state refresh, denoising.

This is what the policy computes, laid out to be read. It differs from the policy's own modules in
the order of some sums only. It allocates nothing that outlives a call: everything is read from and
written to a `Memory`, so that each of the three can be captured as a CUDA graph.

Legend: B batch, C cameras, P prefix, R rows of KV, N CLS tokens, T chunk, M tokens now, H hidden,
E hidden of the expert, V width of vision, D head_dim.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from cls_vla_ros.engine.memory.memory import Memory
from cls_vla_ros.engine.torch_ops import Rope, TorchOps
from cls_vla_ros.engine.weights.weights import DecoderLayer, Weights


class Model:
    """The weights, and what to do with them."""

    def __init__(self, weights: Weights, ops: TorchOps) -> None:
        """Take weights and operations.

        Args:
            weights: of a policy.
            ops: TorchOps, or TritonOps for the same in fewer kernels.
        """
        self.weights = weights
        self.ops = ops
        self._cross_index = torch.tensor(
            weights.cross_layers, dtype=torch.int64, device=weights.device
        )

    def encode_prefix(self, memory: Memory) -> None:
        """From pictures, instruction and state to the prefix's KV and the CLS tokens' output."""
        w, layout = self.weights, memory.layout
        pictures = self._embed_pictures(memory.patches).unflatten(0, (layout.batch_size, -1))
        x = self._concatenate(memory, pictures)  # (B, P + N after, H)
        positions = self._positions(memory)  # (B, P + N after)
        rope = Rope.at(positions, w.sizes.head_dim)
        mask = self._prefix_mask(memory)  # (B, M, M)
        hidden = self._text_layers(x, rope, mask, memory, row=0)
        self._project_cross(memory, slice(0, layout.prefix))
        if memory.obs_cls_out is not None:
            first = 0 if layout.cls_before else layout.prefix
            num_cls = memory.obs_cls_out.shape[1]
            out = self.ops.final_norm(hidden, w.text_norm, w.sizes.rms_eps)
            memory.obs_cls_out.copy_(out[:, first : first + num_cls])
            if w.cls_adapter is not None:
                memory.obs_cls_out.add_(w.cls_adapter(pictures.flatten(1, 2)))

    def refresh_state(self, memory: Memory) -> None:
        """Replace the state: one token over the KV of the same pictures and instruction.

        Exact, because the state is the prefix's last token, and none but itself attends to it.
        """
        layout = memory.layout
        x = self._embed_state(memory)  # (B, 1, H)
        position = memory.visible.sum(1, keepdim=True) - 1  # (B, 1)
        rope = Rope.at(position, self.weights.sizes.head_dim)
        mask = memory.visible[:, None]  # (B, 1, P)
        self._text_layers(self.ops.start(x), rope, mask, memory, row=layout.state)
        self._project_cross(memory, slice(layout.state, layout.prefix))

    def denoise(
        self, memory: Memory, time_table: Tensor, gains: Sequence[float] | None = None
    ) -> None:
        """Integrate the expert's flow from `memory.noise` to `memory.actions`.

        Args:
            memory: with an encoded prefix.
            time_table: (num_steps, E), see `TimeEmbedding.table`.
            gains: of real-time chunking at each step, see `Guidance.gains`; None without.
        """
        w, ops, layout = self.weights, self.ops, memory.layout
        eps, head_dim = w.sizes.rms_eps, w.sizes.head_dim
        steps = torch.arange(layout.chunk_size, device=w.device).expand(layout.batch_size, -1)
        among_actions = Rope.at(steps, head_dim)  # for cross attention, positions begin at 0
        after_prefix = Rope.at(memory.visible.sum(1, keepdim=True) + steps, head_dim)
        over_prefix = memory.visible[:, None]  # (B, 1, P)
        causal = steps[:, None] <= steps[:, :, None]  # (B, T, T): an action sees those before it
        with_itself = torch.cat(
            [over_prefix.expand(-1, layout.chunk_size, -1), causal], dim=2
        )  # (B, T, P + T)
        end = layout.prefix + layout.chunk_size
        num_steps = time_table.shape[0]
        memory.actions.copy_(memory.noise)
        for number, time_row in enumerate(time_table):
            before = memory.actions.clone() if gains else None
            x = ops.embed_noise(memory.actions, w.noise_in, time_row, w.time_out)  # (B, T, E)
            for index, layer in enumerate(w.expert_layers):
                if layer is None:
                    continue
                if layer.attends_to_itself:
                    kv, rope, mask = memory.kv[index, :, :, :end], after_prefix, with_itself
                else:
                    kv = memory.cross_kv[:, w.cross_layers.index(index)]
                    rope, mask = among_actions, over_prefix
                x = self._layer(layer, x, rope, kv, mask, layout.prefix)
            ops.step(x, memory.actions, w.action_out, eps, -1.0 / num_steps)
            if gains:
                self._hold_to_target(memory, before, number, num_steps, gains[number])

    def _hold_to_target(
        self, memory: Memory, before: Tensor, number: int, num_steps: int, gain: float
    ) -> None:
        """Correct a step by what its actions, once denoised, would miss the target by."""
        dt, time = -1.0 / num_steps, 1.0 - number / num_steps
        velocity = (memory.actions - before) / dt
        missing = memory.target - (before - time * velocity)
        memory.actions.sub_(dt * gain * memory.hold * missing)

    def _layer(
        self, layer: DecoderLayer, x: Tensor, rope: Rope, kv: Tensor, mask: Tensor, row: int
    ) -> Tensor:
        """One Llama layer: attention, then the gated feed-forward, each added to x."""
        ops, sizes = self.ops, self.weights.sizes
        own = kv if layer.attends_to_itself else None
        q = ops.project_heads(
            x, layer.heads, sizes.rms_eps, rope, sizes.query_heads, own, row
        )  # (B, M, Hq, D)
        x = ops.add_linear(x, ops.attend(q, kv, mask), layer.out)
        return ops.add_linear(x, ops.gated(x, layer.gate_up, sizes.rms_eps), layer.down)

    def _text_layers(
        self, x: Tensor, rope: Rope, mask: Tensor, memory: Memory, row: int
    ) -> Tensor:
        keys = mask.shape[2]
        for index, layer in enumerate(self.weights.text_layers):
            x = self._layer(layer, x, rope, memory.kv[index, :, :, :keys], mask, row)
        return x

    def _project_cross(self, memory: Memory, rows: slice) -> None:
        """The expert's K and V of the prefix, in one product for all layers and all steps."""
        w = self.weights
        if w.cross is None:
            return
        kv = memory.kv[:, :, :, rows].index_select(0, self._cross_index)  # (X, 2, B, M, Hkv, D)
        layers, _, size, length = kv.shape[:4]
        kv = kv.transpose(0, 1).reshape(2 * layers, size * length, -1)
        projected = torch.bmm(kv, w.cross.transpose(1, 2))
        memory.cross_kv[:, :, :, rows] = projected.view(2, layers, size, length, *kv_heads(w))

    def _embed_pictures(self, patches: Tensor) -> Tensor:
        """SigLIP and the connector: (B * C, patches, 3 * patch * patch) -> (B * C, tokens, H)."""
        w, ops, eps = self.weights, self.ops, self.weights.sizes.vision_eps
        x = F.linear(patches, w.patch_embedding)  # (B * C, patches, V)
        y = w.patch_bias
        for layer in w.vision_layers:
            x, h = ops.add_layer_norm(x, y, layer.norm1, eps)
            qkv = F.linear(h, layer.qkv.weight, layer.qkv.bias)  # (B * C, patches, 3 V)
            attended = ops.attend_all(qkv, w.sizes.vision_heads)
            y = F.linear(attended, layer.out.weight, layer.out.bias)
            x, h = ops.add_layer_norm(x, y, layer.norm2, eps)
            y = F.linear(ops.linear_gelu(h, layer.fc1), layer.fc2.weight, layer.fc2.bias)
        _, h = ops.add_layer_norm(x, y, w.post_norm, eps)
        tokens = F.linear(shuffle(h, w.sizes.shuffle), w.connector)
        return tokens * math.sqrt(tokens.shape[-1])  # lerobot's scale

    def _concatenate(self, memory: Memory, pictures: Tensor) -> Tensor:
        """The prefix's tokens in the order of layout.py; `pictures` are (B, C, tokens, H)."""
        w, layout, size = self.weights, memory.layout, memory.layout.batch_size
        if w.picture_start is not None:
            around = (
                w.picture_start.expand(size, layout.cameras, -1, -1),
                pictures,
                w.picture_end.expand(size, layout.cameras, -1, -1),
            )
            pictures = torch.cat(around, dim=2)
        pictures = pictures.flatten(1, 2)
        if layout.empty_tokens:
            each = torch.cat([w.picture_start, w.picture_end])
            empty = each.repeat(layout.empty_tokens // len(each), 1)
            pictures = torch.cat([pictures, empty.expand(size, -1, -1)], dim=1)
        language = F.embedding(memory.tokens, w.embedding)  # (B, L, H)
        language = language * math.sqrt(language.shape[-1])
        parts = [pictures, language, self._embed_state(memory)]
        if w.cls is not None:
            cls = w.cls.expand(size, -1, -1)  # (B, N, H)
            parts = [cls, *parts] if layout.cls_before else [*parts, cls]
        return self.ops.start(torch.cat(parts, dim=1))

    def _embed_state(self, memory: Memory) -> Tensor:
        state = F.linear(memory.state, self.weights.state.weight, self.weights.state.bias)
        return state[:, None].to(self.weights.dtype)  # (B, 1, H)

    def _positions(self, memory: Memory) -> Tensor:
        """Of each token: how many that count are before it; writes `visible` by the way."""
        layout = memory.layout
        memory.visible.fill_(True)
        memory.visible[:, layout.language_start : layout.state] = memory.language_mask
        positions = memory.visible.cumsum(1) - 1  # (B, P)
        # Behind the prefix in memory, but before it in position: see the layout "readout".
        after = torch.arange(-layout.cls_after, 0, device=positions.device)
        return torch.cat([positions, after.expand(layout.batch_size, -1)], dim=1)

    def _prefix_mask(self, memory: Memory) -> Tensor:
        """Who sees whom: (B, M, M) bool, M = P + N of the readout layout.

        Images, language and the bidirectional layout's CLS tokens see each other; the state sees
        them and itself; the readout layout's CLS tokens see images, language and each other.
        """
        layout = memory.layout
        index = torch.arange(layout.prefix + layout.cls_after, device=memory.visible.device)
        block = (index >= layout.state).int() + (index > layout.state).int()  # state 1, CLS 2
        allowed = (block[None] == 0) | (block[None] == block[:, None])  # (M, M)
        counts = F.pad(memory.visible, (0, layout.cls_after), value=True)  # (B, M)
        return allowed & counts[:, None]


def kv_heads(weights: Weights) -> tuple[int, int]:
    """Hkv, D."""
    return weights.sizes.key_heads, weights.sizes.head_dim


def shuffle(x: Tensor, side: int) -> Tensor:
    """Each square of side x side patches into one: (C, n, V) -> (C, n / side^2, side^2 V)."""
    grid = math.isqrt(x.shape[1])
    x = x.unflatten(1, (grid // side, side, grid // side, side))  # rows, row in it, columns, ...
    return x.permute(0, 1, 3, 2, 4, 5).flatten(3).flatten(1, 2)
