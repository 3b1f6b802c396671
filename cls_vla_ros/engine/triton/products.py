"""Triton kernels of the products with weights: one kernel for each step of a decoder layer.

With one robot there are 50 rows or one, so that a kernel takes as long as its longest chain of
waiting, not as its arithmetic. Hence norms, RoPE and activations are folded into the products.

Legend: M rows of all samples together, K inner length, H hidden, F feed-forward, D head_dim. All
activations are rows without gaps; only the cache of K and V is a view with strides. What changes
with the number of tokens is not specialized, since that would compile kernels anew for little.
"""

import triton
import triton.language as tl

# Triton's interpreter multiplies bfloat16 as if its bits were integers.
WIDEN = tl.constexpr(triton.knobs.runtime.interpret)
LINE = tl.constexpr(64)  # bfloat16 numbers in one line of the cache


@triton.jit
def dot(a, b, sum):
    """The sum + a b, in float32."""
    if WIDEN:
        a = a.to(tl.float32)
        b = b.to(tl.float32)
    return tl.dot(a, b, sum)


@triton.jit
def begin(weight, matrix_rows, kept, first, LENGTH: tl.constexpr, K: tl.constexpr,
          BLOCK_N: tl.constexpr, FETCH: tl.constexpr, PDL: tl.constexpr):  # fmt: skip
    """What can be done before the kernel before this one has ended.

    Args:
        weight: (any, K).
        matrix_rows: (BLOCK_N,) which of its rows are wanted.
        kept: (BLOCK_N,) False where there is no such row.
        first: of the columns that are wanted.
        LENGTH: how many.
        K: see weight.
        BLOCK_N: see matrix_rows.
        FETCH: ask for the weights, so that they are in the L2 cache when the loop wants them.
        PDL: the kernel may have begun before the last one's end (programmatic dependent launch).
    """
    if PDL:
        tl.extra.cuda.gdc_launch_dependents()
    if FETCH:
        LINES: tl.constexpr = triton.next_power_of_2(LENGTH // LINE + 1)
        column = first + LINE * tl.arange(0, LINES)
        inside = kept[:, None] & (column < min(first + LENGTH, K))[None, :]
        wanted = weight + tl.where(inside, matrix_rows[:, None] * K + column[None, :], 0)
        tl.inline_asm_elementwise(
            "prefetch.global.L2 [$1]; mov.b32 $0, 0;", "=r,l", [wanted.to(tl.int64)],
            dtype=tl.int32, is_pure=False, pack=1,
        )  # fmt: skip
    if PDL:
        tl.extra.cuda.gdc_wait()


@triton.jit
def product(x, x_rows, exists, weight, matrix_rows, kept, first, LENGTH: tl.constexpr,
            K: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
            BLOCK_K: tl.constexpr):  # fmt: skip
    """Rows of x times rows of weight, over the columns first..first + LENGTH.

    Returns:
        (BLOCK_M, BLOCK_N) float32.
    """
    inner = tl.arange(0, BLOCK_K)
    x_at = x + x_rows[:, None] * K + inner[None, :]
    weight_at = weight + matrix_rows[:, None] * K + inner[None, :]
    total = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for done in range(0, LENGTH, BLOCK_K):
        k = first + done
        inside = k + inner < K
        a = tl.load(x_at + k, mask=exists[:, None] & inside[None, :], other=0.0)
        b = tl.load(weight_at + k, mask=kept[:, None] & inside[None, :], other=0.0)
        total = dot(a, b.T, total)
    return total


@triton.jit
def load_squares(squares, at_row, exists, PADDED: tl.constexpr):
    """What the last kernel says about the rows' lengths; ask before the product, use it after.

    An RMS norm does not change a row's direction, so that its length may come after the product.
    Sums of squares in the K loop itself would need the tile of x in registers as well, and there
    Triton 3.6 overwrites it in shared memory before the tensor cores are surely done with it.
    """
    part = tl.arange(0, PADDED)
    at = squares + at_row[:, None] * PADDED + part[None, :]
    return tl.load(at, mask=exists[:, None], other=0.0)


@triton.jit
def rms_scale(squares, eps, H: tl.constexpr, PARTS: tl.constexpr, PADDED: tl.constexpr):
    """By what an RMS norm multiplies rows, (BLOCK_M, 1); arXiv:1910.07467, eq. 4."""
    counts = tl.arange(0, PADDED) < PARTS
    total = tl.sum(tl.where(counts[None, :], squares, 0.0), axis=1)
    return tl.rsqrt(total / H + eps)[:, None]


@triton.jit
def store_stream(total, place, mask, wide, narrow, squares, at_row, exists,
                 PADDED: tl.constexpr):  # fmt: skip
    """A tile of the new residual stream, and its rows' squares for the next kernel's norm."""
    tl.store(wide + place, total, mask=mask)
    tl.store(narrow + place, total.to(narrow.dtype.element_ty), mask=mask)
    sums = tl.sum(total * total, axis=1)  # beyond the stream's width there are zeros
    tl.store(squares + at_row * PADDED + tl.program_id(1), sums, mask=exists)


@triton.jit(do_not_specialize=["rows", "tokens", "row"])
def project_heads(x, squares, weight, cos, sin, q, kv, eps, rows, tokens, row, cos_batch,
                  cos_token, kv_pair, kv_batch, kv_row, kv_head, H: tl.constexpr, D: tl.constexpr,
                  QUERY_HEADS: tl.constexpr, KEY_HEADS: tl.constexpr, PARTS: tl.constexpr,
                  PADDED: tl.constexpr, BLOCK_M: tl.constexpr,
                  BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, FETCH: tl.constexpr,
                  PDL: tl.constexpr):  # fmt: skip
    """RMS norm, product, RoPE; Q to q (M, QUERY_HEADS, D), K and V to the cache's rows row...

    Grid: blocks of rows; for each head, blocks of BLOCK_N pairs. A pair are the numbers d and
    d + D/2 of a head, which RoPE turns together: columns 2 i and 2 i + 1 of the product here.
    """
    HALF: tl.constexpr = D // 2
    BLOCKS: tl.constexpr = HALF // BLOCK_N  # of one head
    at_row = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    exists = at_row < rows
    head = tl.program_id(1) // BLOCKS
    start = tl.program_id(1) % BLOCKS * BLOCK_N
    column = tl.arange(0, 2 * BLOCK_N)
    matrix_rows = head * D + column % 2 * HALF + start + column // 2
    kept = column < 2 * BLOCK_N  # all
    begin(weight, matrix_rows, kept, 0, H, H, 2 * BLOCK_N, FETCH, PDL)
    lengths = load_squares(squares, at_row, exists, PADDED)
    batch, token = at_row // tokens, at_row % tokens
    d = start + tl.arange(0, BLOCK_N)
    angle = (batch * cos_batch + token * cos_token)[:, None] + d[None, :]
    turns = exists[:, None] & (head < QUERY_HEADS + KEY_HEADS)  # V does not
    c = tl.load(cos + angle, mask=turns, other=1.0)
    s = tl.load(sin + angle, mask=turns, other=0.0)
    total = product(x, at_row, exists, weight, matrix_rows, kept, 0, H, H, BLOCK_M,
                    2 * BLOCK_N, BLOCK_K)  # fmt: skip
    total *= rms_scale(lengths, eps, H, PARTS, PADDED)
    one, other = total.reshape(BLOCK_M, BLOCK_N, 2).split()
    first = (one * c - other * s).to(q.dtype.element_ty)
    second = (other * c + one * s).to(q.dtype.element_ty)
    if head < QUERY_HEADS:
        out = q + (at_row * QUERY_HEADS + head)[:, None] * D + d[None, :]
        tl.store(out, first, mask=exists[:, None])
        tl.store(out + HALF, second, mask=exists[:, None])
    elif KEY_HEADS > 0:
        other_head = head - QUERY_HEADS
        place = other_head // KEY_HEADS * kv_pair + other_head % KEY_HEADS * kv_head
        place += batch * kv_batch + (row + token) * kv_row
        out = kv + place[:, None] + d[None, :]
        tl.store(out, first, mask=exists[:, None])
        tl.store(out + HALF, second, mask=exists[:, None])


@triton.jit(do_not_specialize=["rows"])
def gated(x, squares, weight, out, eps, rows, H: tl.constexpr, F: tl.constexpr,
          PARTS: tl.constexpr, PADDED: tl.constexpr, BLOCK_M: tl.constexpr,
          BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, FETCH: tl.constexpr,
          PDL: tl.constexpr):  # fmt: skip
    """RMS norm, products with gate (rows 0..F of weight) and up (rows F..2 F), silu(gate) * up.

    Grid: blocks of rows, blocks of BLOCK_N columns of F. Columns 2 i of the product are gate, the
    others up.
    """
    at_row = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    exists = at_row < rows
    start = tl.program_id(1) * BLOCK_N
    column = tl.arange(0, 2 * BLOCK_N)
    matrix_rows = column % 2 * F + start + column // 2
    kept = start + column // 2 < F
    begin(weight, matrix_rows, kept, 0, H, H, 2 * BLOCK_N, FETCH, PDL)
    lengths = load_squares(squares, at_row, exists, PADDED)
    total = product(x, at_row, exists, weight, matrix_rows, kept, 0, H, H, BLOCK_M,
                    2 * BLOCK_N, BLOCK_K)  # fmt: skip
    total *= rms_scale(lengths, eps, H, PARTS, PADDED)
    gate, up = total.reshape(BLOCK_M, BLOCK_N, 2).split()
    f = start + tl.arange(0, BLOCK_N)
    value = gate / (1.0 + tl.exp(-gate)) * up
    mask = exists[:, None] & (f < F)[None, :]
    tl.store(out + at_row[:, None] * F + f[None, :], value.to(out.dtype.element_ty), mask=mask)


@triton.jit(do_not_specialize=["rows"])
def add_linear(y, weight, wide, new_wide, new_narrow, new_squares, parts, arrived, rows,
               H: tl.constexpr, K: tl.constexpr, SHARE: tl.constexpr, PADDED: tl.constexpr,
               BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
               BLOCK_K: tl.constexpr, FETCH: tl.constexpr, PDL: tl.constexpr):  # fmt: skip
    """The residual stream plus y W^T; in float32, and rounded for the next product.

    Grid: blocks of rows, blocks of BLOCK_N columns, shares of K. Where there are several shares,
    each program writes what it has into `parts`, (shares, M, H) float32, and the last one of a
    block to arrive adds them up, in the same order whoever that is. `arrived` counts them for each
    block; it is 0 before and after.
    """
    SHARES: tl.constexpr = triton.cdiv(K, SHARE)
    at_row = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    exists = at_row < rows
    column = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    kept = column < H
    place = at_row[:, None] * H + column[None, :]
    mask = exists[:, None] & kept[None, :]
    first = tl.program_id(2) * SHARE
    LENGTH: tl.constexpr = min(SHARE, K)
    begin(weight, column, kept, first, LENGTH, K, BLOCK_N, FETCH, PDL)
    if SHARES == 1:
        before = tl.load(wide + place, mask=mask, other=0.0)  # comes while the loop runs
        total = product(y, at_row, exists, weight, column, kept, 0, LENGTH, K, BLOCK_M,
                        BLOCK_N, BLOCK_K)  # fmt: skip
        total += before
        store_stream(total, place, mask, new_wide, new_narrow, new_squares, at_row, exists,
                     PADDED)  # fmt: skip
    else:
        total = product(y, at_row, exists, weight, column, kept, first, LENGTH, K, BLOCK_M,
                        BLOCK_N, BLOCK_K)  # fmt: skip
        tl.store(parts + tl.program_id(2) * rows * H + place, total, mask=mask)
        tl.debug_barrier()  # all threads have stored before one of them says so
        counter = arrived + tl.program_id(0) * tl.num_programs(1) + tl.program_id(1)
        if tl.atomic_add(counter, 1, sem="acq_rel", scope="gpu") == SHARES - 1:
            tl.debug_barrier()
            total = tl.load(wide + place, mask=mask, other=0.0)
            for share in tl.static_range(SHARES):  # past the L1 cache, which may be older
                part = parts + share * rows * H + place
                total += tl.load(part, mask=mask, other=0.0, cache_modifier=".cg")
            store_stream(total, place, mask, new_wide, new_narrow, new_squares, at_row, exists,
                         PADDED)  # fmt: skip
            tl.store(counter, 0)
