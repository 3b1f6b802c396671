"""What changes a scene: patches for pictures.

All of it works on pictures (B, 3, height, width) float32 in [0, 1], draws from a torch generator
(None for torch's own), and is vectorised over the batch.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Generator, Tensor

from cls_vla_ros.policy.training.nuisances.draw import uniform
from cls_vla_ros.policy.training.nuisances.formulas import moved

# Half axes of a patch, as a share of the picture's sides: from a mug far away to a hand before
# the lens.
PATCH_HALF_AXES = (0.05, 0.4)
# How far a displaced region was moved, as a share of the sides. On a table that fills half of a
# picture 64 wide, 4 cm are 2 to 4 pixels: the near ones are as frequent as the far ones.
PATCH_MOVED = (0.04, 0.3)
NATURAL, DISPLACED, FLAT = 0.25, 0.4, 0.15  # how often each kind; the rest is textured
LOBED = 0.3  # how many outlines have lobes, as a hand's fingers
LOBE_DEPTHS, LOBES = (0.2, 0.6), (3, 6)
VISIBLE = 0.002  # mean change of a picture below which nobody could see the patch


class Patch(NamedTuple):
    """Something to paste into a picture, the same into any number of them.

    Attributes:
        mask: (B, 1, height, width) in [0, 1], how much of the patch is seen.
        content: (B, 3, height, width), its picture.
    """

    mask: Tensor
    content: Tensor

    def paste(self, pictures: Tensor) -> Tensor:
        """The pictures with it, (B, 3, height, width)."""
        return torch.lerp(pictures, self.content, self.mask)

    def only(self, where: Tensor) -> "Patch":
        """The patch where `where` (B,) holds, and nothing elsewhere."""
        return Patch(self.mask * where[:, None, None, None], self.content)

    def change(self, pictures: Tensor) -> Tensor:
        """How much it changes each picture: mean absolute difference, (B,)."""
        return (self.paste(pictures) - pictures).abs().mean(dim=(1, 2, 3))


def draw_patches(pictures: Tensor, generator: Generator | None = None) -> Patch:
    """For each picture something that was not there: natural, displaced, flat or textured.

    natural: a region of another picture of the batch. displaced: the same region of the same
    picture, moved, so that something in it is gone from where it was and is elsewhere. flat: one
    colour, as of a box close to the lens. textured: a colour with blotches, faint as on a sleeve
    or a hand in half shade, or strong. Its outline is an ellipse or nearly a rectangle, turned,
    with a sharp or soft edge, and sometimes with lobes.

    Args:
        pictures: (B, 3, height, width).
        generator: what to draw from.
    """
    size, device = len(pictures), pictures.device
    kind = uniform((0.0, 1.0), size, pictures, generator)
    other = torch.randint(1, max(size, 2), (size,), generator=generator, device=device)
    other = (torch.arange(size, device=device) + other) % size
    natural = moved(pictures[other], *_offsets(pictures, (0.0, 0.5), generator))
    displaced = moved(pictures, *_offsets(pictures, PATCH_MOVED, generator))
    colour = torch.rand((size, 3, 1, 1), generator=generator, device=device)
    flat = colour.to(pictures.dtype).expand_as(pictures)
    kind = kind[:, None, None, None]
    content = torch.where(kind < NATURAL, natural, displaced)
    content = torch.where(kind >= NATURAL + DISPLACED, flat, content)
    textured = flat + _blotches(pictures, generator)
    content = torch.where(kind >= NATURAL + DISPLACED + FLAT, textured.clamp(0.0, 1.0), content)
    return Patch(_outlines(pictures, generator), content)


def cameras_of(cameras: int, like: Tensor, generator: Generator | None = None) -> Tensor:
    """(C, B) bool, which cameras see what changes in each sample; at least one does."""
    size, device = len(like), like.device
    kept = torch.rand((cameras, size), generator=generator, device=device) < 0.6
    always = torch.randint(cameras, (size,), generator=generator, device=device)
    kept[always, torch.arange(size, device=device)] = True
    return kept


def _blotches(pictures: Tensor, generator: Generator | None) -> Tensor:
    """(B, 3, height, width), around 0: smooth noise, from none at all to all there can be."""
    size, (height, width) = len(pictures), pictures.shape[-2:]
    coarse = torch.rand((size, 3, 8, 8), generator=generator, device=pictures.device) - 0.5
    fine = F.interpolate(
        coarse.to(pictures.dtype), (height, width), mode="bilinear", align_corners=False
    )
    contrast = uniform((0.0, 1.0), size, pictures, generator).square()
    return fine * contrast[:, None, None, None]


def _outlines(pictures: Tensor, generator: Generator | None) -> Tensor:
    """Masks (B, 1, height, width): |u / a|^p + |v / b|^p < 1 in turned coordinates u, v.

    Those with k lobes of depth d: (1 + d cos(k theta + phase)) times that, with theta the angle of
    (u / a, v / b).
    """
    size, (height, width) = len(pictures), pictures.shape[-2:]

    def draw(low: float, high: float) -> Tensor:
        return uniform((low, high), size, pictures, generator)[:, None, None]

    rows = torch.arange(height, device=pictures.device, dtype=pictures.dtype)[:, None]
    columns = torch.arange(width, device=pictures.device, dtype=pictures.dtype)
    y = rows - draw(0.0, 1.0) * height  # (B, height, 1)
    x = columns - draw(0.0, 1.0) * width  # (B, 1, width)
    angle = draw(0.0, torch.pi)
    u, v = x * angle.cos() + y * angle.sin(), y * angle.cos() - x * angle.sin()
    low, high = (torch.tensor(share).log().item() for share in PATCH_HALF_AXES)
    side = (height * width) ** 0.5
    a, b = draw(low, high).exp() * side, draw(low, high).exp() * side
    power = torch.where(draw(0.0, 1.0) < 0.5, 2.0, 8.0)
    distance = ((u / a).abs() ** power + (v / b).abs() ** power) ** (1 / power)
    depth = torch.where(draw(0.0, 1.0) < LOBED, draw(*LOBE_DEPTHS), 0.0)
    lobes = draw(LOBES[0], LOBES[1] + 1).floor()
    theta = torch.atan2(v / b, u / a)
    distance = distance * (1 + depth * (lobes * theta + draw(0.0, 2 * torch.pi)).cos())
    softness = draw(0.3, 1.5)  # pixels
    edge = (1 - distance) * torch.minimum(a, b) / softness
    return edge.clamp(-30, 30).sigmoid()[:, None]


def _offsets(
    pictures: Tensor, shares: tuple[float, float], generator: Generator | None
) -> tuple[Tensor, Tensor]:
    """Distances in pixels, up or down and to a side, in a random direction: 2 x (B,) int."""
    size, (height, width) = len(pictures), pictures.shape[-2:]
    low, high = shares
    far = uniform((0.0, 1.0), size, pictures, generator)
    far = low * (high / low) ** far if low else high * far  # small ones as often as large ones
    angle = uniform((0.0, 2 * torch.pi), size, pictures, generator)
    return (far * angle.sin() * height).round().long(), (far * angle.cos() * width).round().long()
