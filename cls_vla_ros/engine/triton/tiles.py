"""How TritonOps cuts its products into programs.

Each program reads its own rows of the weights and all of its rows of x. One robot denoises 50
rows: all rows then are one block, so that no weight is read twice, and the weights are cut so
finely that the programs are about as many as an H200 has multiprocessors (132). The K loop takes
large steps, several at once, because waiting for memory is what takes the time.

Each tile is the quickest of some (`benchmark --case "cuda_graph bfloat16 triton"` with it, one
H200, 2026-11-23). `fetch` and programmatic dependent launch, which were expected to pay most, made
denoising 5 to 14 % slower.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Tile:
    """Of one kernel.

    Attributes:
        m: rows of x of one program.
        n: columns of the output of one program; `heads` and `gated` compute two of the matrix for
            each of them.
        k: step of the K loop.
        stages: how many steps are in memory at once.
        warps: of 32 threads, which share a program.
        share: at most so much of K is one program's; it costs a meeting of the programs at the
            end. `add` only; None: all of it.
        fetch: whether to ask for all weights of the program before the K loop begins.
    """

    m: int
    n: int
    k: int
    stages: int = 3
    warps: int = 4
    share: int | None = None
    fetch: bool = False

    @property
    def shared_bytes(self) -> int:
        """At most so much shared memory takes the K loop of a product, in bytes."""
        return self.stages * (self.m + 2 * self.n) * self.k * 2


@dataclass(frozen=True)
class Tiles:
    """Of all products, for up to 16 rows (a state), up to 64 (one chunk), and more (a prefix).

    Attributes:
        heads: project_heads; n divides D / 2, or D / 2 is taken.
        gated: likewise for `gated`.
        add: add_linear.
        noise: embed_noise, which computes its inner layer in each program: few rows each.
        step: step, of 32 columns: there is nothing to cut but rows.
        attend: m tokens by n keys; k is not used.
    """

    heads: tuple[Tile, Tile, Tile] = (
        Tile(16, 8, 256, stages=5),  # 1600 rows of the matrix: 100 programs
        Tile(64, 8, 128, stages=4),  # 100
        Tile(64, 32, 64, stages=4),
    )
    gated: tuple[Tile, Tile, Tile] = (
        Tile(16, 32, 256, stages=4),  # F = 2560: 80 programs
        Tile(64, 16, 64, stages=6),  # F = 2048: 128
        Tile(64, 32, 64, stages=4),
    )
    add: tuple[Tile, Tile, Tile] = (
        Tile(16, 8, 256, stages=5, share=1280),  # H = 960: 120, twice where K = 2560
        Tile(64, 32, 128, stages=4, share=512),  # H = 720: 23, times 2 or 4
        Tile(64, 32, 128, stages=4),
    )
    noise: tuple[Tile, Tile, Tile] = (Tile(16, 32, 128),) * 3
    step: tuple[Tile, Tile, Tile] = (Tile(16, 16, 256),) * 3
    attend: tuple[Tile, Tile, Tile] = (
        Tile(16, 128, 0, stages=4),
        Tile(16, 128, 0, stages=4),
        Tile(64, 64, 0, stages=3),
    )

    def of(self, kernel: str, rows: int) -> Tile:
        """For a kernel and its number of rows."""
        return getattr(self, kernel)[(rows > 16) + (rows > 64)]

    def shared_bytes(self, head_dim: int) -> int:
        """At most so much shared memory takes any of the kernels, in bytes."""
        products = (self.heads, self.gated, self.add, self.noise, self.step)
        needed = [tile.shared_bytes for tiles in products for tile in tiles]
        for tile in self.attend:  # queries; keys and values of each stage
            needed.append((tile.m + 2 * tile.stages * tile.n) * head_dim * 2)
        return max(needed)
