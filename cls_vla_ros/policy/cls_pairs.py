"""Pairs of frames of one episode, as lerobot's dataset gives them."""

from typing import NamedTuple

import torch
from lerobot.utils.constants import OBS_PREFIX, OBS_STATE
from torch import Generator, Tensor

IS_PAD = "_is_pad"


class Pairs(NamedTuple):
    """Which rows of a batch have a later frame, and which of theirs is taken. M <= B pairs.

    Attributes:
        rows: (M,) int, of the batch.
        later: (M,) int, index of the later frame among the frames of its row.
        episodes: (M,) int.
    """

    rows: Tensor
    later: Tensor
    episodes: Tensor


def pair_deltas(pair_steps: int) -> list[int]:
    """How many frames later a pair's second frame may be: 1, 2, 4, ... and pair_steps itself.

    Each costs reading a picture of each camera for each sample, whichever is taken then, so not
    all of 1..pair_steps are offered.
    """
    deltas = [1 << power for power in range(pair_steps.bit_length()) if 1 << power < pair_steps]
    return [*deltas, pair_steps]


def draw_pairs(batch: dict[str, Tensor], generator: Generator | None = None) -> Pairs:
    """Take for each row one of its later frames, none of those beyond its episode's end.

    Args:
        batch: of lerobot's training, with frames at `pair_deltas` and the row's own as the last.
        generator: what to draw from.

    Raises:
        ValueError: the batch does not say which frames are padding, or which episode they are of.
    """
    flags = [key for key in batch if key.startswith(OBS_PREFIX) and key.endswith(IS_PAD)]
    if not flags or "episode_index" not in batch:
        raise ValueError(
            "the CLS objective needs observation.*_is_pad and episode_index in the batch, as "
            f"lerobot's datasets give them; the batch has {sorted(batch)}. Train with "
            "lerobot-train, or set --policy.cls_loss_weight=0 to train without the objective"
        )
    usable = ~batch[flags[0]][:, :-1]  # (B, deltas); the last is the row's own frame
    rows = usable.any(dim=1).nonzero()[:, 0]  # (M,)
    later = rows
    if len(rows):
        weights = usable[rows].float()
        later = torch.multinomial(weights, 1, generator=generator)[:, 0]
    return Pairs(rows, later, batch["episode_index"].to(rows.device)[rows])


def last_frame(batch: dict[str, Tensor], cameras: list[str]) -> dict[str, Tensor]:
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
