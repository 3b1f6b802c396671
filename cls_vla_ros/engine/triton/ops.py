"""The engine's operations as fused kernels, for NVIDIA GPUs; legend as in torch_ops.py.

Importing this module needs neither Triton nor a GPU; `TritonOps.problem` says what is missing. The
kernels run on the current stream and device. Each is compiled when it is first called with sizes
of its kind, so that everything must have run once before it is captured as a CUDA graph.
"""

import functools
import math
import os
from typing import NamedTuple

import torch
from torch import Tensor

from cls_vla_ros.engine.pictures import PictureSize
from cls_vla_ros.engine.torch_ops import Rope, TorchOps
from cls_vla_ros.engine.triton.tiles import Tile, Tiles
from cls_vla_ros.engine.weights.weights import Affine, Sizes

LOG2_E = math.log2(math.e)
LEAST_CAPABILITY = (8, 0)  # the first with products of bfloat16
COUNTERS = 1 << 16  # blocks of add_linear's output; with more there are programs enough anyway


class Stream(NamedTuple):
    """The residual stream: sums are in float32, products read the rounded one.

    Attributes:
        wide: (B, M, H) float32.
        narrow: (B, M, H) bfloat16.
        squares: (B * M, parts) float32, whose sum over the parts is that of a row's squares. It is
            a view into rows of a power of two of parts.
    """

    wide: Tensor
    narrow: Tensor
    squares: Tensor

    @classmethod
    def empty(cls, like: Tensor, width: int, dtype: torch.dtype, parts: int) -> "Stream":
        """For rows (B, M) of a tensor."""
        wide = torch.empty(*like.shape[:2], width, dtype=torch.float32, device=like.device)
        padded = max(_power_of_2(parts), 4)
        squares = wide.new_empty(like.shape[0] * like.shape[1], padded)[:, :parts]
        return cls(wide, torch.empty_like(wide, dtype=dtype), squares)

    @property
    def norm(self) -> dict[str, int]:
        """How the kernels are to read `squares`."""
        return {"PARTS": self.squares.shape[1], "PADDED": self.squares.stride(0)}


class TritonOps(TorchOps):
    """As TorchOps, but each method is one kernel, and a `Stream` is the residual stream."""

    def __init__(self, tiles: Tiles | None = None, launch_pdl: bool = False) -> None:
        """Load the kernels' sources.

        Args:
            tiles: how products are cut into programs.
            launch_pdl: whether a kernel may begin, and ask for its weights, before the last one
                has ended (programmatic dependent launch, compute capability 9.0 and above).
        """
        from cls_vla_ros.engine.triton import actions, kernels, products

        self.tiles = tiles or Tiles()
        self._kernels, self._products = kernels, products
        self._actions = actions
        self._pdl = {"PDL": launch_pdl, **({"launch_pdl": True} if launch_pdl else {})}
        self._arrived: dict[torch.device, Tensor] = {}

    @staticmethod
    def problem(
        sizes: Sizes, device: torch.device, dtype: torch.dtype, tiles: Tiles | None = None
    ) -> str:
        """Why it cannot be used; empty if it can.

        Args:
            sizes: of the policy.
            device: where the weights are.
            dtype: of the weights.
            tiles: those it would get.
        """
        try:
            import triton  # noqa: F401
        except ImportError as error:
            return f"triton cannot be imported ({error})"
        if dtype != torch.bfloat16:
            return f"its kernels are for bfloat16, the weights are {dtype}"
        dim = sizes.head_dim
        if dim < 16 or dim & (dim - 1):
            return f"its kernels need a head_dim that is a power of two from 16 on, not {dim}"
        if sizes.query_heads % sizes.key_heads:
            return f"{sizes.query_heads} query heads do not share {sizes.key_heads} evenly"
        if os.environ.get("TRITON_INTERPRET") == "1":
            return ""
        if device.type != "cuda" or torch.version.hip:
            return f"its kernels are for NVIDIA GPUs, not for {device}"
        if torch.cuda.get_device_capability(device) < LEAST_CAPABILITY:
            return f"{device} has no products of bfloat16 (compute capability 8.0 or above)"
        needed = (tiles or Tiles()).shared_bytes(dim)
        there = torch.cuda.get_device_properties(device).shared_memory_per_block_optin
        if there < needed:
            return f"its tiles need {needed} bytes of shared memory, {device} has {there}"
        return ""

    def start(self, x: Tensor) -> Stream:
        new = Stream.empty(x, x.shape[-1], x.dtype, 1)._replace(narrow=x.contiguous())
        rows, hidden = x.shape[0] * x.shape[1], x.shape[2]
        self._kernels.start[(rows,)](
            new.narrow, new.wide, new.squares,
            H=hidden, PADDED=new.norm["PADDED"], BLOCK=_power_of_2(hidden), **self._pdl,
        )  # fmt: skip
        return new

    def project_heads(
        self,
        x: Stream,
        weight: Tensor,
        eps: float,
        rope: Rope,
        query_heads: int,
        kv: Tensor | None,
        row: int,
    ) -> Tensor:
        batch, tokens, hidden = x.narrow.shape
        half = rope.cos.shape[-1]
        cos, sin = rope.cos.contiguous(), rope.sin.contiguous()
        q = x.narrow.new_empty(batch, tokens, query_heads, 2 * half)
        key_heads = 0 if kv is None else kv.shape[3]
        strides = (0, 0, 0, 0) if kv is None else kv.stride()[:4]
        tile = self.tiles.of("heads", batch * tokens)
        columns = min(tile.n, half)
        blocks = (query_heads + 2 * key_heads) * (half // columns)
        self._products.project_heads[(_blocks(batch * tokens, tile.m), blocks)](
            x.narrow, x.squares, weight, cos, sin, q, q if kv is None else kv,
            eps, batch * tokens, tokens, row, cos.stride(0), cos.stride(1), *strides,
            H=hidden, D=2 * half, QUERY_HEADS=query_heads, KEY_HEADS=key_heads,
            BLOCK_N=columns, **x.norm, **self._options(tile),
        )  # fmt: skip
        return q

    def attend(self, q: Tensor, kv: Tensor, mask: Tensor) -> Tensor:
        batch, tokens, query_heads, dim = q.shape
        out = q.new_empty(batch, tokens, query_heads * dim)
        mask = mask.contiguous().view(torch.uint8)
        by_token = mask.stride(1) if mask.shape[1] > 1 else 0
        tile = self.tiles.of("attend", tokens)
        self._kernels.attend[(_blocks(tokens, tile.m), batch * query_heads)](
            q, kv, mask, out, LOG2_E / math.sqrt(dim), tokens, mask.shape[2],
            *kv.stride()[:4], mask.stride(0), by_token,
            QUERY_HEADS=query_heads, KEY_HEADS=kv.shape[3], D=dim, BLOCK_M=tile.m, BLOCK_N=tile.n,
            STAGES=tile.stages, num_warps=tile.warps, **self._pdl,
        )  # fmt: skip
        return out

    def add_linear(self, x: Stream, y: Tensor, weight: Tensor) -> Stream:
        hidden, length = weight.shape
        rows = x.wide.numel() // hidden
        tile = self.tiles.of("add", rows)
        new = Stream.empty(x.wide, hidden, weight.dtype, _blocks(hidden, tile.n))
        blocks = _blocks(rows, tile.m), _blocks(hidden, tile.n)
        share = tile.share if tile.share and math.prod(blocks) <= COUNTERS else length
        shares = _blocks(length, share)
        if shares > 1:
            parts, arrived = x.wide.new_empty(shares, rows, hidden), self._counters(x.wide.device)
        else:
            parts, arrived = x.wide, x.wide  # not looked at
        self._products.add_linear[(*blocks, shares)](
            y, weight, x.wide, *new, parts, arrived, rows,
            H=hidden, K=length, SHARE=share, PADDED=new.norm["PADDED"], BLOCK_N=tile.n,
            **self._options(tile),
        )  # fmt: skip
        return new

    def gated(self, x: Stream, weight: Tensor, eps: float) -> Tensor:
        batch, tokens, hidden = x.narrow.shape
        width = weight.shape[0] // 2
        out = x.narrow.new_empty(batch, tokens, width)
        rows = batch * tokens
        tile = self.tiles.of("gated", rows)
        self._products.gated[(_blocks(rows, tile.m), _blocks(width, tile.n))](
            x.narrow, x.squares, weight, out, eps, rows,
            H=hidden, F=width, BLOCK_N=tile.n, **x.norm, **self._options(tile),
        )  # fmt: skip
        return out

    def final_norm(self, x: Stream, weight: Tensor, eps: float) -> Tensor:
        out = torch.empty_like(x.wide)
        hidden = out.shape[-1]
        self._kernels.final_norm[(out.numel() // hidden,)](
            x.wide, weight, out, eps, H=hidden, BLOCK=_power_of_2(hidden), **self._pdl
        )
        return out

    def embed_noise(self, noise: Tensor, weight: Tensor, time_row: Tensor, out: Affine) -> Stream:
        hidden, actions = weight.shape
        rows = noise.numel() // actions
        tile = self.tiles.of("noise", rows)
        new = Stream.empty(noise, hidden, weight.dtype, _blocks(hidden, tile.n))
        self._actions.embed_noise[(_blocks(rows, tile.m), _blocks(hidden, tile.n))](
            noise, weight, time_row, out.weight, out.bias, *new, rows,
            A=actions, H=hidden, PADDED=new.norm["PADDED"], BLOCK_A=max(_power_of_2(actions), 16),
            BLOCK_N=tile.n, **self._options(tile),
        )  # fmt: skip
        return new

    def step(self, x: Stream, noise: Tensor, out: Affine, eps: float, dt: float) -> None:
        actions, hidden = out.weight.shape
        rows = noise.numel() // actions
        tile = self.tiles.of("step", rows)
        self._actions.step[(_blocks(rows, tile.m), _blocks(actions, tile.n))](
            x.narrow, x.squares, out.weight, out.bias, noise, eps, dt, rows,
            A=actions, H=hidden, BLOCK_N=tile.n, **x.norm, **self._options(tile),
        )  # fmt: skip

    def add_layer_norm(
        self, x: Tensor, y: Tensor, norm: Affine, eps: float
    ) -> tuple[Tensor, Tensor]:
        x, y = x.contiguous(), y.contiguous()
        new_x, normed = torch.empty_like(x), torch.empty_like(x)
        width = x.shape[-1]
        rows = x.numel() // width
        at_once = 4  # as many as num_warps: a row for each
        self._kernels.add_layer_norm[(_blocks(rows, at_once),)](
            x, y, norm.weight, norm.bias, new_x, normed, eps, rows, y.numel() // width,
            V=width, BLOCK=_power_of_2(width), ROWS=at_once, num_warps=at_once, **self._pdl,
        )  # fmt: skip
        return new_x, normed

    def linear_gelu(self, x: Tensor, layer: Affine) -> Tensor:
        if x.device.type != "cuda":  # there this operation takes GELU's other form
            return super().linear_gelu(x, layer)
        # cuBLASLt does all of it in one kernel.
        flat = torch.ops.aten._addmm_activation(
            layer.bias, x.flatten(0, -2), layer.weight.T, use_gelu=True
        )
        return flat.unflatten(0, x.shape[:-1])

    def to_patches(self, picture: Tensor, size: PictureSize, patch: int, out: Tensor) -> None:
        if picture.dtype != torch.uint8:
            return super().to_patches(picture, size, patch, out)
        batch, height, width, _ = picture.shape
        ratio = max(width / size.width, height / size.height)
        resized = int(height / ratio), int(width / ratio)  # rounded as lerobot's resize_with_pad
        columns = size.width // patch
        self._kernels.cut_picture[(columns * (size.height // patch), batch)](
            picture.contiguous(), out, height, width, *resized,
            height / resized[0], width / resized[1], size.height - resized[0],
            size.width - resized[1], columns, out.stride(0),
            PATCH=patch, BLOCK=_power_of_2(patch * patch), **self._pdl,
        )  # fmt: skip

    def _options(self, tile: Tile) -> dict[str, int | bool]:
        return {
            "BLOCK_M": tile.m,
            "BLOCK_K": tile.k,
            "FETCH": tile.fetch,
            "num_stages": tile.stages,
            "num_warps": tile.warps,
            **self._pdl,
        }

    def _counters(self, device: torch.device) -> Tensor:
        if device not in self._arrived:
            self._arrived[device] = torch.zeros(COUNTERS, dtype=torch.int32, device=device)
        return self._arrived[device]


def _blocks(length: int, block: int) -> int:
    return -(-length // block)


@functools.cache
def _power_of_2(number: int) -> int:
    """The least one that is not below."""
    return 1 << (number - 1).bit_length()
