"""The pictures that the CLS objective looks at: pairs of frames, disturbed and patched."""

import torch
import torch.nn.functional as F  # noqa: N812
from lerobot.utils.constants import (
    OBS_LANGUAGE_ATTENTION_MASK,
    OBS_LANGUAGE_TOKENS,
    OBS_STATE,
)
from torch import Generator, Tensor

from cls_vla_ros.policy.training.cls_pairs import Pairs
from cls_vla_ros.policy.training.nuisances import (
    VISIBLE,
    disturb,
    draw_patches,
    keep_some,
)

# How often both frames of a pair are disturbed alike, as by a camera whose colours are off; else
# each by itself, so that the one may be what it was while the light goes out for the other.
STEADY_SHARE = 0.5
PRESENT = "_padding_mask"  # lerobot's key for whether a camera's picture is there


def make_views(
    batch: dict[str, Tensor],
    pairs: Pairs,
    cameras: list[str],
    size: tuple[int, int] | None,
    with_patches: bool,
    generator: Generator | None = None,
) -> tuple[dict[str, Tensor], Tensor]:
    """One batch of all the views of M pairs, each with nuisances of its own.

    Args:
        batch: of lerobot's training; pictures (B, D, 3, height, width) in [0, 1].
        pairs: which frames.
        cameras: the policy's that are in the batch.
        size: height and width of the policy's pictures, so that a nuisance of a pixel is one of
            the policy's; None where it takes them as they are.
        with_patches: whether the scenes come a second time with something pasted into them.
        generator: what to draw from.

    Returns:
        A batch as stock SmolVLA takes it, of the frames at t - k and then those at t, with
        patches [t - k, t - k patched, t, t patched]; and (M,) bool, where the patch can be seen.
    """
    frames = {camera: _frames(batch[camera], pairs, size) for camera in cameras}
    views = {camera: [before, now] for camera, (before, now) in frames.items()}
    visible = pairs.rows.new_zeros(len(pairs.rows), dtype=torch.bool)
    if with_patches:
        change = torch.zeros(len(pairs.rows), device=pairs.rows.device)
        drawn = [draw_patches(before, generator) for before, _ in frames.values()]
        for camera, patch in zip(cameras, keep_some(drawn, generator), strict=True):
            before, now = frames[camera]
            views[camera] = [before, patch.paste(before), now, patch.paste(now)]
            change = change + patch.change(before)
        visible = change > VISIBLE
    copies = 4 if with_patches else 2
    out = {camera: disturb(torch.cat(parts), generator) for camera, parts in views.items()}
    present = [f"{camera}{PRESENT}" for camera in cameras if f"{camera}{PRESENT}" in batch]
    state = batch[OBS_STATE] if batch[OBS_STATE].ndim == 2 else batch[OBS_STATE][:, -1]
    # The CLS tokens do not see the state; it is there because a prefix has one.
    same = {OBS_STATE: state} | {
        key: batch[key] for key in (OBS_LANGUAGE_TOKENS, OBS_LANGUAGE_ATTENTION_MASK, *present)
    }
    for key, value in same.items():
        out[key] = value[pairs.rows].repeat(copies, *[1] * (value.ndim - 1))
    return out, visible


def _frames(pictures: Tensor, pairs: Pairs, size: tuple[int, int] | None) -> tuple[Tensor, Tensor]:
    """The frames at t - k and at t, each (M, 3, height, width), as large as the policy's."""
    before, now = pictures[pairs.rows, pairs.earlier], pictures[pairs.rows, -1]
    if size is None:
        return before, now
    height, width = pictures.shape[-2:]
    ratio = max(height / size[0], width / size[1])  # as lerobot's resize_with_pad, without the pad
    smaller = (int(height / ratio), int(width / ratio))
    if smaller == (height, width):
        return before, now
    both = F.interpolate(torch.cat([before, now]), smaller, mode="bilinear", align_corners=False)
    return both.chunk(2)
