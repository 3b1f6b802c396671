"""Pairs of frames of one episode, as lerobot's dataset gives them."""

from typing import NamedTuple

import torch
from lerobot.utils.constants import OBS_PREFIX, OBS_STATE
from torch import Generator, Tensor

IS_PAD = "_is_pad"


class Pairs(NamedTuple):
    """Which rows of a batch have an earlier frame, and which of theirs is taken. M <= B pairs.

    Attributes:
        rows: (M,) int, of the batch.
        earlier: (M,) int, index of the earlier frame among the frames of its row.
        episodes: (M,) int.
    """

    rows: Tensor
    earlier: Tensor
    episodes: Tensor


def pair_deltas(pair_steps: int) -> list[int]:
    """How many frames earlier a pair's first frame may be: 1, 2, 4, ... and pair_steps itself.

    Each costs reading a picture of each camera for each sample, whichever is taken then, so not
    all of 1..pair_steps are offered.
    """
    deltas = [1 << power for power in range(pair_steps.bit_length()) if 1 << power < pair_steps]
    return [*deltas, pair_steps]


def frame_deltas(pair_steps: int) -> list[int]:
    """The frames that a sample comes with, from its own: those of `pair_deltas`, then its own.

    Its own is the last, because that is the one which stock SmolVLA takes of several.
    """
    return [*(-delta for delta in pair_deltas(pair_steps)), 0]


def draw_pairs(batch: dict[str, Tensor], generator: Generator | None = None) -> Pairs:
    """Take for each row one of its earlier frames, none of those before its episode's begin.

    Args:
        batch: of lerobot's training, with the frames of `frame_deltas`.
        generator: what to draw from.

    Raises:
        ValueError: the batch does not say which frames are padding, or which episode they are of.
    """
    flags = [key for key in batch if key.startswith(OBS_PREFIX) and key.endswith(IS_PAD)]
    if not flags or "episode_index" not in batch:
        raise ValueError(
            "pairs of frames need observation.*_is_pad and episode_index in the batch, as "
            f"lerobot's datasets give them; the batch has {sorted(batch)}. Train with "
            "lerobot-train, or set --policy.cls_loss_weight=0 and --policy.stale_prefix_share=0 "
            "to train without them"
        )
    usable = ~batch[flags[0]][:, :-1]  # (B, deltas); the last is the row's own frame
    rows = usable.any(dim=1).nonzero()[:, 0]  # (M,)
    earlier = rows
    if len(rows):
        weights = usable[rows].float()
        earlier = torch.multinomial(weights, 1, generator=generator)[:, 0]
    return Pairs(rows, earlier, batch["episode_index"].to(rows.device)[rows])


def own_frame(batch: dict[str, Tensor], cameras: list[str]) -> dict[str, Tensor]:
    """The batch as stock SmolVLA has it: of the frames of each row its own, which is the last.

    Args:
        batch: pictures (B, D, 3, height, width) and states (B, D, S), or without D.
        cameras: the policy's.
    """
    current = dict(batch)
    for camera in cameras:
        if camera in batch and batch[camera].ndim == 5:
            current[camera] = batch[camera][:, -1]
    if OBS_STATE in batch and batch[OBS_STATE].ndim == 3:
        current[OBS_STATE] = batch[OBS_STATE][:, -1]
    return current


def on_stale_prefixes(
    batch: dict[str, Tensor],
    cameras: list[str],
    share: float,
    generator: Generator | None = None,
) -> dict[str, Tensor]:
    """`own_frame`, but some rows with pictures of an earlier frame: as on a reused prefix.

    State and actions stay those of the row's own frame. That is what a policy runs on where the
    prefix's cache is reused and only the state is new, so it can learn to act on that.

    Args:
        batch: of lerobot's training, with the frames of `frame_deltas`.
        cameras: the policy's that are in the batch.
        share: of the rows, in [0, 1], at random.
        generator: what to draw from.
    """
    current = own_frame(batch, cameras)
    if not share:
        return current
    pairs = draw_pairs(batch, generator)
    drawn = torch.rand(len(pairs.rows), generator=generator, device=pairs.rows.device) < share
    rows, earlier = pairs.rows[drawn], pairs.earlier[drawn]
    for camera in cameras:
        if batch[camera].ndim == 5:
            current[camera] = current[camera].index_copy(0, rows, batch[camera][rows, earlier])
    return current
