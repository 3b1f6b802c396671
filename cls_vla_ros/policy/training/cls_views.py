"""The pictures that the CLS objective looks at: pairs of frames, disturbed and changed."""

from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from lerobot.utils.constants import (
    OBS_LANGUAGE_ATTENTION_MASK,
    OBS_LANGUAGE_TOKENS,
    OBS_STATE,
)
from torch import Generator, Tensor

from cls_vla_ros.policy.glance import HEIGHT, WIDTH
from cls_vla_ros.policy.training.cls_pairs import Pairs
from cls_vla_ros.policy.training.glance_training import Changes
from cls_vla_ros.policy.training.nuisances import (
    VISIBLE,
    Strengths,
    disturb,
    draw_changes,
    draw_strengths,
)

# How often both frames of a pair are disturbed alike, as by a camera whose colours are off; else
# each by itself, so that the one may be what it was while the light goes out for the other. Few,
# because an onset is the harder one: what is learned from it holds for what is steady too.
STEADY_SHARE = 0.2
PRESENT = "_padding_mask"  # lerobot's key for whether a camera's picture is there


class Views(NamedTuple):
    """What `make_views` made of M pairs.

    Attributes:
        batch: as stock SmolVLA takes it, of the frames at t - k and then those at t, with changes
            [t - k, t - k changed, t, t changed].
        visible: (M,) bool, where the change can be seen.
        changes: the same for the glance; None without changes.
    """

    batch: dict[str, Tensor]
    visible: Tensor
    changes: Changes | None

    def unchanged(self) -> dict[str, Tensor]:
        """The batch without the changed views: [t - k, t]."""
        if self.changes is None:
            return self.batch
        return {key: torch.cat(value.chunk(4)[::2]) for key, value in self.batch.items()}


def make_views(
    batch: dict[str, Tensor],
    pairs: Pairs,
    cameras: list[str],
    size: tuple[int, int] | None,
    with_changes: bool,
    generator: Generator | None = None,
) -> Views:
    """One batch of all the views of M pairs, disturbed.

    A frame before and after a change is disturbed alike, so that nothing but the change tells them
    apart.

    Args:
        batch: of lerobot's training; pictures (B, D, 3, height, width) in [0, 1].
        pairs: which frames.
        cameras: the policy's that are in the batch.
        size: height and width of the policy's pictures, so that a nuisance of a pixel is one of
            the policy's; None where it takes them as they are.
        with_changes: whether the scenes come a second time as they are after a change.
        generator: what to draw from.
    """
    frames = {camera: _frames(batch[camera], pairs, size) for camera in cameras}
    views = {camera: [before, now] for camera, (before, now) in frames.items()}
    visible = pairs.rows.new_zeros(len(pairs.rows), dtype=torch.bool)
    differences = []
    if with_changes:
        change = torch.zeros(len(pairs.rows), device=pairs.rows.device)
        changes = draw_changes([before for before, _ in frames.values()], generator)
        for camera, made in zip(cameras, changes, strict=True):
            before, now = frames[camera]
            both = torch.stack([before, now])
            changed = torch.stack([made.make(before), made.make(now)])
            views[camera] = [before, changed[0], now, changed[1]]
            differences.append((changed - both).abs().mean(2))  # (2, M, height, width)
            change = change + differences[-1][0].mean(dim=(1, 2))
        visible = change > VISIBLE
    copies = 4 if with_changes else 2
    like = batch[cameras[0]]
    strengths = _strengths(len(pairs.rows), len(cameras), copies, like, generator)
    out = {
        camera: disturb(torch.cat(parts), generator, of_it)
        for (camera, parts), of_it in zip(views.items(), strengths, strict=True)
    }
    present = [f"{camera}{PRESENT}" for camera in cameras if f"{camera}{PRESENT}" in batch]
    state = batch[OBS_STATE] if batch[OBS_STATE].ndim == 2 else batch[OBS_STATE][:, -1]
    # The CLS tokens do not see the state; it is there because a prefix has one.
    same = {OBS_STATE: state} | {
        key: batch[key] for key in (OBS_LANGUAGE_TOKENS, OBS_LANGUAGE_ATTENTION_MASK, *present)
    }
    for_glance = None
    if with_changes:
        for_glance = _for_the_glance(
            batch[OBS_STATE], pairs, [out[c] for c in cameras], differences
        )
    for key, value in same.items():
        out[key] = value[pairs.rows].repeat(copies, *[1] * (value.ndim - 1))
    return Views(out, visible, for_glance)


def _for_the_glance(
    states: Tensor, pairs: Pairs, views: list[Tensor], differences: list[Tensor]
) -> Changes | None:
    """The four views of each camera, shrunk; None where their states are not there."""
    if states.ndim != 3:
        return None
    small = [F.interpolate(each, (HEIGHT, WIDTH), mode="area") for each in views]
    return Changes(
        torch.stack([each.unflatten(0, (4, -1)) for each in small], dim=2),
        torch.stack([F.adaptive_avg_pool2d(d, (HEIGHT, WIDTH)) for d in differences], dim=2),
        torch.stack([states[pairs.rows, pairs.earlier], states[pairs.rows, -1]]),
    )


def disturb_some(
    batch: dict[str, Tensor],
    cameras: list[str],
    size: tuple[int, int] | None,
    share: float,
    generator: Generator | None = None,
) -> dict[str, Tensor]:
    """The batch with pictures that real cameras might have taken in the place of some rows'.

    Args:
        batch: pictures (B, 3, height, width) in [0, 1].
        cameras: the policy's that are in the batch; a row is disturbed in all of them, in each by
            itself.
        size: as of `make_views`.
        share: of the rows, in [0, 1], at random.
        generator: what to draw from.
    """
    if not share:
        return batch
    disturbed = dict(batch)
    for camera in cameras:
        disturbed[camera] = _resized(batch[camera], size).clone()
    first = disturbed[cameras[0]]
    drawn = torch.rand(len(first), generator=generator, device=first.device) < share
    rows = drawn.nonzero()[:, 0]
    for camera in cameras:
        pictures = disturbed[camera]
        pictures[rows] = disturb(pictures[rows], generator)
    return disturbed


def _strengths(
    pairs: int, cameras: int, copies: int, like: Tensor, generator: Generator | None
) -> list[Strengths]:
    """Of each camera's views of so many pairs, in the order of `make_views`."""
    drawn = draw_strengths(2 * cameras * pairs, like, generator).split(pairs)
    steady = torch.rand(pairs, generator=generator, device=like.device) < STEADY_SHARE
    half = copies // 2
    return [
        before.then(*[before] * (half - 1), *[before.where(steady, now)] * half)
        for before, now in zip(drawn[::2], drawn[1::2], strict=True)
    ]


def _frames(pictures: Tensor, pairs: Pairs, size: tuple[int, int] | None) -> tuple[Tensor, Tensor]:
    """The frames at t - k and at t, each (M, 3, height, width), as large as the policy's."""
    both = torch.cat([pictures[pairs.rows, pairs.earlier], pictures[pairs.rows, -1]])
    return _resized(both, size).chunk(2)


def _resized(pictures: Tensor, size: tuple[int, int] | None) -> Tensor:
    """As lerobot's resize_with_pad, without the pad."""
    height, width = pictures.shape[-2:]
    if size is None:
        return pictures
    ratio = max(height / size[0], width / size[1])
    smaller = (int(height / ratio), int(width / ratio))
    if smaller == (height, width):
        return pictures
    return F.interpolate(pictures, smaller, mode="bilinear", align_corners=False)
