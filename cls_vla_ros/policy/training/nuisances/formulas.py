"""What cameras and light do to a picture: one function for each, on tensors.

Pictures are (B, 3, height, width) RGB float in [0, 1]; strengths are (B,), one for each picture,
or (B, 3), one for each colour. Nothing is cut off at 0 and 1: `disturb` does that, once.
"""

import torch
from torch import Generator, Tensor

# Rec. 601, which JPEG's YCbCr uses: what each colour adds to the brightness.
LUMA = (0.299, 0.587, 0.114)
AIRLIGHT = 0.85  # what a picture fades into in haze: bright grey


def gained(pictures: Tensor, gains: Tensor) -> Tensor:
    """Light, exposure and white balance: each colour times its gain, (B, 3)."""
    return pictures * gains[:, :, None, None]


def saturated(pictures: Tensor, factor: Tensor) -> Tensor:
    """How far the colours are from grey, times `factor`."""
    weights = pictures.new_tensor(LUMA)[:, None, None]
    return torch.lerp((pictures * weights).sum(1, keepdim=True), pictures, _each(factor))


def hazed(pictures: Tensor, amount: Tensor) -> Tensor:
    """Haze, or a lens that strays light: `amount` of each pixel is the air's.

    I = J t + A (1 - t) with the same t everywhere (He, Sun, Tang, "Single image haze removal using
    dark channel prior", CVPR 2009, equation 1).
    """
    return torch.lerp(pictures, torch.full_like(pictures, AIRLIGHT), _each(amount))


def gamma_corrected(pictures: Tensor, exponent: Tensor) -> Tensor:
    """Another tone curve, pictures ** exponent: above 1 the middle is darker."""
    return pictures.clamp(1e-6, 1.0) ** _each(exponent)


def blurred(pictures: Tensor, std: Tensor) -> Tensor:
    """Out of focus: a Gaussian of `std` pixels, above 0; at an edge over what there is."""

    def weights(side: int) -> Tensor:
        place = torch.arange(side, device=std.device, dtype=std.dtype)
        distance = (place[:, None] - place) / std[:, None, None]
        return (-0.5 * distance.square()).softmax(-1)[:, None]  # (B, 1, side, side)

    height, width = pictures.shape[-2:]
    return weights(height) @ pictures @ weights(width).mT


def noisy(pictures: Tensor, std: Tensor, generator: Generator | None) -> Tensor:
    """A sensor's noise: Gaussian, each pixel and colour its own."""
    noise = torch.randn(
        pictures.shape, generator=generator, device=pictures.device, dtype=pictures.dtype
    )
    return pictures + noise * _each(std)


def moved(pictures: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Each picture moved by whole pixels, int; what comes in at an edge repeats the edge."""
    height, width = pictures.shape[-2:]
    rows = torch.arange(height, device=pictures.device) - down[:, None]  # (B, height)
    columns = torch.arange(width, device=pictures.device) - right[:, None]  # (B, width)
    which = torch.arange(len(pictures), device=pictures.device)[:, None, None]
    shifted = pictures.permute(0, 2, 3, 1)[
        which, rows.clamp(0, height - 1)[:, :, None], columns.clamp(0, width - 1)[:, None]
    ]
    return shifted.permute(0, 3, 1, 2)


def _each(strength: Tensor) -> Tensor:
    return strength[:, None, None, None]
