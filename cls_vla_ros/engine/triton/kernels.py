"""Triton kernels without weights' matrices: attention, norms, pictures.

Legend: B batch, M tokens now, N tokens attended to, Hq and Hkv heads of queries and of keys, D
head_dim, H hidden, V width of vision.
"""

import triton
import triton.language as tl

from cls_vla_ros.engine.triton.products import dot

HIDDEN = tl.constexpr(-1e30)  # not -inf: a block of which nothing is seen would make NaN of it


@triton.jit(do_not_specialize=["tokens", "keys", "mask_batch", "mask_token"])
def attend(q, kv, mask, out, scale, tokens, keys, kv_pair, kv_batch, kv_row, kv_head, mask_batch,
           mask_token, QUERY_HEADS: tl.constexpr, KEY_HEADS: tl.constexpr, D: tl.constexpr,
           BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, STAGES: tl.constexpr,
           PDL: tl.constexpr):  # fmt: skip
    """Attention with grouped queries: q and out (B, M, Hq, D), kv (2, B, N, Hkv, D).

    Grid: blocks of tokens, B * Hq. `scale` is D^-1/2 log2(e), since powers of 2 are cheaper. The
    softmax is that of arXiv:1805.02867, algorithm 3.
    """
    if PDL:
        tl.extra.cuda.gdc_launch_dependents()
        tl.extra.cuda.gdc_wait()
    batch, head = tl.program_id(1) // QUERY_HEADS, tl.program_id(1) % QUERY_HEADS
    token = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    exists = token < tokens
    d = tl.arange(0, D)
    place = ((batch * tokens + token) * QUERY_HEADS + head)[:, None] * D + d[None, :]
    queries = tl.load(q + place, mask=exists[:, None], other=0.0)
    key = tl.arange(0, BLOCK_N)
    keys_at = kv + batch * kv_batch + head // (QUERY_HEADS // KEY_HEADS) * kv_head + d[None, :]
    mask_at = mask + batch * mask_batch + token[:, None] * mask_token
    highest = tl.full((BLOCK_M,), HIDDEN, tl.float32)
    weights = tl.zeros((BLOCK_M,), tl.float32)
    total = tl.zeros((BLOCK_M, D), tl.float32)
    # Triton's pipeline leaves out what is as narrow as the mask: here it is one block ahead.
    seen = tl.load(mask_at + key[None, :], mask=exists[:, None] & (key < keys)[None, :], other=0)
    for start in tl.range(0, keys, BLOCK_N, num_stages=STAGES):
        n = start + key
        inside = n < keys
        ahead = exists[:, None] & (n + BLOCK_N < keys)[None, :]
        seen_next = tl.load(mask_at + (n + BLOCK_N)[None, :], mask=ahead, other=0)
        k = tl.load(keys_at + n[:, None] * kv_row, mask=inside[:, None], other=0.0)
        v = tl.load(keys_at + kv_pair + n[:, None] * kv_row, mask=inside[:, None], other=0.0)
        scores = dot(queries, k.T, tl.zeros((BLOCK_M, BLOCK_N), tl.float32)) * scale
        scores = tl.where(seen != 0, scores, HIDDEN)
        higher = tl.maximum(highest, tl.max(scores, axis=1))
        shrink = tl.exp2(highest - higher)
        p = tl.exp2(scores - higher[:, None])
        weights = weights * shrink + tl.sum(p, axis=1)
        total = dot(p.to(v.dtype), v, total * shrink[:, None])
        highest, seen = higher, seen_next
    total /= weights[:, None]
    tl.store(out + place, total.to(out.dtype.element_ty), mask=exists[:, None])


@triton.jit
def start(x, wide, squares, H: tl.constexpr, PADDED: tl.constexpr, BLOCK: tl.constexpr,
          PDL: tl.constexpr):  # fmt: skip
    """Rows in float32, and their sums of squares. Grid: rows."""
    if PDL:
        tl.extra.cuda.gdc_launch_dependents()
        tl.extra.cuda.gdc_wait()
    h = tl.arange(0, BLOCK)
    kept = h < H
    row = tl.load(x + tl.program_id(0) * H + h, mask=kept, other=0.0).to(tl.float32)
    tl.store(wide + tl.program_id(0) * H + h, row, mask=kept)
    tl.store(squares + tl.program_id(0) * PADDED, tl.sum(row * row))


@triton.jit
def final_norm(x, weight, out, eps, H: tl.constexpr, BLOCK: tl.constexpr, PDL: tl.constexpr):
    """RMS norm of rows, all float32 but the weight. Grid: rows."""
    if PDL:
        tl.extra.cuda.gdc_launch_dependents()
        tl.extra.cuda.gdc_wait()
    h = tl.arange(0, BLOCK)
    kept = h < H
    row = tl.load(x + tl.program_id(0) * H + h, mask=kept, other=0.0)
    scale = tl.rsqrt(tl.sum(row * row) / H + eps)
    w = tl.load(weight + h, mask=kept, other=0.0).to(tl.float32)
    tl.store(out + tl.program_id(0) * H + h, row * scale * w, mask=kept)


@triton.jit(do_not_specialize=["rows", "y_rows"])
def add_layer_norm(x, y, weight, bias, new_x, normed, eps, rows, y_rows, V: tl.constexpr,
                   BLOCK: tl.constexpr, ROWS: tl.constexpr, PDL: tl.constexpr):  # fmt: skip
    """The sum of x and y, (rows, V), and its layer norm. y begins anew after y_rows rows.

    Grid: blocks of ROWS rows, one for each warp, so that no warp waits for another.
    """
    if PDL:
        tl.extra.cuda.gdc_launch_dependents()
        tl.extra.cuda.gdc_wait()
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    v = tl.arange(0, BLOCK)
    kept = v < V
    mask = (row < rows)[:, None] & kept[None, :]
    place = row[:, None] * V + v[None, :]
    one = tl.load(x + place, mask=mask, other=0.0).to(tl.float32)
    other = tl.load(y + (row % y_rows)[:, None] * V + v[None, :], mask=mask, other=0.0)
    total = (one + other.to(tl.float32)).to(new_x.dtype.element_ty)
    tl.store(new_x + place, total, mask=mask)
    wide = total.to(tl.float32)
    centred = tl.where(mask, wide - (tl.sum(wide, axis=1) / V)[:, None], 0.0)
    scale = tl.rsqrt(tl.sum(centred * centred, axis=1) / V + eps)
    w = tl.load(weight + v, mask=kept, other=0.0).to(tl.float32)
    b = tl.load(bias + v, mask=kept, other=0.0).to(tl.float32)
    value = centred * scale[:, None] * w[None, :] + b[None, :]
    tl.store(normed + place, value.to(normed.dtype.element_ty), mask=mask)


@triton.jit
def cut_picture(picture, out, height, width, resized_height, resized_width, row_scale,
                column_scale, pad_top, pad_left, columns, out_batch, PATCH: tl.constexpr,
                BLOCK: tl.constexpr, PDL: tl.constexpr):  # fmt: skip
    """One patch of a picture (height, width, 3) uint8: resized, padded, in [-1, 1].

    Grid: patches, B. Where to look for a pixel is as in torch's interpolation "bilinear" with
    align_corners=False: pixels are areas, and the first one's middle is at 0.5.
    """
    if PDL:
        tl.extra.cuda.gdc_launch_dependents()
        tl.extra.cuda.gdc_wait()
    patch, batch = tl.program_id(0), tl.program_id(1)
    pixel = tl.arange(0, BLOCK)
    row = patch // columns * PATCH + pixel // PATCH - pad_top
    column = patch % columns * PATCH + pixel % PATCH - pad_left
    inside = (row >= 0) & (column >= 0) & (row < resized_height) & (column < resized_width)
    kept = pixel < PATCH * PATCH
    y = tl.maximum((row.to(tl.float32) + 0.5) * row_scale - 0.5, 0.0)
    x = tl.maximum((column.to(tl.float32) + 0.5) * column_scale - 0.5, 0.0)
    top = tl.minimum(y.to(tl.int32), height - 1)
    left = tl.minimum(x.to(tl.int32), width - 1)
    down, right = y - top.to(tl.float32), x - left.to(tl.float32)
    bottom, after = tl.minimum(top + 1, height - 1), tl.minimum(left + 1, width - 1)
    start = picture + batch.to(tl.int64) * height * width * 3
    out_at = out + batch * out_batch + patch * (3 * PATCH * PATCH) + pixel
    for channel in tl.static_range(3):
        at = start + channel
        mask = inside & kept
        a = tl.load(at + (top * width + left) * 3, mask=mask, other=0).to(tl.float32)
        b = tl.load(at + (top * width + after) * 3, mask=mask, other=0).to(tl.float32)
        c = tl.load(at + (bottom * width + left) * 3, mask=mask, other=0).to(tl.float32)
        d = tl.load(at + (bottom * width + after) * 3, mask=mask, other=0).to(tl.float32)
        above = a * (1.0 - right) + b * right
        below = c * (1.0 - right) + d * right
        value = (above * (1.0 - down) + below * down) * (2.0 / 255.0) - 1.0
        tl.store(out_at + channel * PATCH * PATCH, value.to(out.dtype.element_ty), mask=kept)
