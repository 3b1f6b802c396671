"""Triton kernels between noisy actions and the expert's residual stream, at both of its ends.

Legend: M rows of all samples together, A numbers of an action, H hidden. See products.py.
"""

import triton
import triton.language as tl

from cls_vla_ros.engine.triton.products import (
    begin,
    dot,
    load_squares,
    product,
    rms_scale,
    store_stream,
)


@triton.jit(do_not_specialize=["rows"])
def embed_noise(noise, weight, time, out_weight, bias, wide, narrow, squares, rows,
                A: tl.constexpr, H: tl.constexpr, PADDED: tl.constexpr, BLOCK_A: tl.constexpr,
                BLOCK_M: tl.constexpr,
                BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, FETCH: tl.constexpr,
                PDL: tl.constexpr):  # fmt: skip
    """A linear layer of noise (M, A) plus a time row, silu, another linear layer: a new stream.

    Grid: blocks of rows, blocks of BLOCK_N columns. The inner layer is so small that all programs
    of a block of rows compute it anew, which takes less time than another kernel.
    """
    at_row = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    exists = at_row < rows
    column = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    kept = column < H
    begin(out_weight, column, kept, 0, H, H, BLOCK_N, FETCH, PDL)
    a = tl.arange(0, BLOCK_A)
    inner = tl.arange(0, BLOCK_K)
    actions = tl.load(
        noise + at_row[:, None] * A + a[None, :],
        mask=exists[:, None] & (a < A)[None, :],
        other=0.0,
    ).to(weight.dtype.element_ty)
    total = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for start in range(0, H, BLOCK_K):
        k = start + inner
        inside = k < H
        within = tl.load(
            weight + k[:, None] * A + a[None, :],
            mask=inside[:, None] & (a < A)[None, :],
            other=0.0,
        )
        hidden = dot(actions, within.T, tl.zeros((BLOCK_M, BLOCK_K), tl.float32))
        hidden += tl.load(time + k, mask=inside, other=0.0)[None, :]
        hidden = hidden / (1.0 + tl.exp(-hidden))
        b = tl.load(
            out_weight + column[:, None] * H + k[None, :],
            mask=kept[:, None] & inside[None, :],
            other=0.0,
        )
        total = dot(hidden.to(b.dtype), b.T, total)
    total += tl.load(bias + column, mask=kept, other=0.0).to(tl.float32)[None, :]
    place = at_row[:, None] * H + column[None, :]
    mask = exists[:, None] & kept[None, :]
    store_stream(total, place, mask, wide, narrow, squares, at_row, exists, PADDED)


@triton.jit(do_not_specialize=["rows"])
def step(x, squares, weight, bias, noise, eps, dt, rows, A: tl.constexpr, H: tl.constexpr,
         PARTS: tl.constexpr, PADDED: tl.constexpr, BLOCK_M: tl.constexpr,
         BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, FETCH: tl.constexpr,
         PDL: tl.constexpr):  # fmt: skip
    """RMS norm and a linear layer: the velocity of noise (M, A), which moves by dt of it.

    Grid: blocks of rows, blocks of BLOCK_N columns.
    """
    at_row = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    exists = at_row < rows
    column = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    kept = column < A
    begin(weight, column, kept, 0, H, H, BLOCK_N, FETCH, PDL)
    place = at_row[:, None] * A + column[None, :]
    mask = exists[:, None] & kept[None, :]
    before = tl.load(noise + place, mask=mask, other=0.0)
    constant = tl.load(bias + column, mask=kept, other=0.0)
    lengths = load_squares(squares, at_row, exists, PADDED)
    total = product(x, at_row, exists, weight, column, kept, 0, H, H, BLOCK_M, BLOCK_N,
                    BLOCK_K)  # fmt: skip
    velocity = total * rms_scale(lengths, eps, H, PARTS, PADDED) + constant[None, :]
    tl.store(noise + place, before + dt * velocity, mask=mask)
