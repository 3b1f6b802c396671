"""Nuisances of random strength for a batch of pictures, as training draws them."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from cls_vla_ros.policy.training.nuisances.draw import uniform
from cls_vla_ros.policy.training.nuisances.formulas import (
    blurred,
    gained,
    gamma_corrected,
    hazed,
    moved,
    noisy,
    saturated,
)
from cls_vla_ros.policy.training.nuisances.jpeg import jpeg

# Each reaches somewhat beyond what NAMED has, because that is what a gate is judged by.
BRIGHTNESS = (0.55, 1.4)  # gain; lights are dimmed and turned up, exposures flicker
CHANCE = 0.3  # of each of the following, of its own
WHITE_BALANCE = (0.85, 1.18)  # gain of each colour
SATURATION = (0.6, 1.5)
HAZE = (0.0, 0.25)
GAMMA = (0.7, 1.4)
BLUR_STD = (0.2, 1.0)  # pixels
NOISE_STD = (0.0, 18 / 255)
JPEG_QUALITY = (40.0, 95.0)
SHIFT_PIXELS = 1  # at most, up or down and to a side: a camera trembles


class Strengths(NamedTuple):
    """What happens to each of B pictures. (B,), but for the gains."""

    gains: Tensor  # (B, 3): of light and white balance
    saturation: Tensor
    haze: Tensor
    gamma: Tensor
    blur_std: Tensor
    noise_std: Tensor
    jpeg_quality: Tensor  # above 100: no JPEG
    down: Tensor  # int
    right: Tensor

    def where(self, condition: Tensor, other: "Strengths") -> "Strengths":
        """These where `condition` (B,) holds, and the others elsewhere."""
        pairs = zip(self, other, strict=True)
        return Strengths(
            *(torch.where(condition.view(-1, *[1] * (a.ndim - 1)), a, b) for a, b in pairs)
        )

    def then(self, *others: "Strengths") -> "Strengths":
        """Those of further pictures behind these."""
        return Strengths(*map(torch.cat, zip(self, *others, strict=True)))

    def split(self, size: int) -> list["Strengths"]:
        """Those of `size` pictures each."""
        return [Strengths(*part) for part in zip(*(s.split(size) for s in self), strict=True)]


def draw_strengths(size: int, like: Tensor, generator: Generator | None = None) -> Strengths:
    """For `size` pictures, each of its own.

    Args:
        size: how many.
        like: their device and dtype.
        generator: what to draw from.
    """

    def draw(bounds: tuple[float, float], otherwise: float, chance: float = CHANCE) -> Tensor:
        happens = uniform((0.0, 1.0), size, like, generator) < chance
        low, high = (torch.tensor(bound).log().item() for bound in bounds) if otherwise else bounds
        drawn = uniform((low, high), size, like, generator)
        return torch.where(happens, drawn.exp() if otherwise else drawn, otherwise)

    shift = torch.randint(
        -SHIFT_PIXELS, SHIFT_PIXELS + 1, (2, size), generator=generator, device=like.device
    )
    colours = torch.stack([draw(WHITE_BALANCE, 1.0, 1.0) for _ in range(3)], dim=1)
    balanced = uniform((0.0, 1.0), size, like, generator) < CHANCE
    return Strengths(
        gains=draw(BRIGHTNESS, 1.0, 1.0)[:, None] * torch.where(balanced[:, None], colours, 1.0),
        saturation=draw(SATURATION, 1.0),
        haze=draw(HAZE, 0.0),
        gamma=draw(GAMMA, 1.0),
        blur_std=draw(BLUR_STD, 0.0),
        noise_std=draw(NOISE_STD, 0.0),
        jpeg_quality=draw(JPEG_QUALITY, 101.0),
        down=shift[0],
        right=shift[1],
    )


def disturb(
    pictures: Tensor, generator: Generator | None = None, strengths: Strengths | None = None
) -> Tensor:
    """Pictures of the same scenes in other light, by another camera, that trembles.

    In the order in which it happens: air, mount, lens, light and sensor, colours, coding.

    Args:
        pictures: (B, 3, height, width) in [0, 1].
        generator: what to draw from.
        strengths: of B; drawn for each picture if None. The noise is each picture's own.

    Returns:
        (B, 3, height, width) in [0, 1].
    """
    s = strengths or draw_strengths(len(pictures), pictures, generator)
    pictures = moved(hazed(pictures, s.haze), s.down, s.right)
    pictures = gained(_some(blurred, pictures, s.blur_std, s.blur_std > 0), s.gains)
    noise = partial(noisy, generator=generator)
    pictures = _some(noise, pictures, s.noise_std, s.noise_std > 0).clamp(0.0, 1.0)
    pictures = _some(gamma_corrected, pictures, s.gamma, s.gamma != 1)
    pictures = saturated(pictures, s.saturation).clamp(0.0, 1.0)
    return _some(jpeg, pictures, s.jpeg_quality, s.jpeg_quality <= 100)


def _some(
    change: Callable[[Tensor, Tensor], Tensor], pictures: Tensor, strength: Tensor, which: Tensor
) -> Tensor:
    """What costs most is done only to those pictures to which something happens."""
    rows = which.nonzero()[:, 0]
    return pictures.index_copy(0, rows, change(pictures[rows], strength[rows]))
