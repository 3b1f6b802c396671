"""JPEG's loss, on tensors: what coding and decoding takes from a picture, without the coding."""

import math
from functools import cache

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

SIDE = 8  # of a block, in pixels

# ITU-T T.81, tables K.1 and K.2: quantisation steps at quality 50.
LUMINANCE = (
    *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
)
CHROMINANCE = (
    *(17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99),
    *(24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99),
    *([99] * 32),
)
# JFIF's RGB to YCbCr, without the offset of 128, which quantisation does not see but in Y.
TO_YCBCR = (
    (0.299, 0.587, 0.114),
    (-0.168736, -0.331264, 0.5),
    (0.5, -0.418688, -0.081312),
)


def jpeg(pictures: Tensor, quality: Tensor) -> Tensor:
    """Pictures as they come out of a JPEG of that quality.

    Colour at half the resolution (4:2:0), as cameras and OpenCV have it; the quantisation tables
    are scaled as the Independent JPEG Group's library does. No gradient goes through it.

    Args:
        pictures: (B, 3, height, width) RGB in [0, 1], float32.
        quality: (B,), 1 to 100.
    """
    height, width = pictures.shape[-2:]
    down, right = -height % (2 * SIDE), -width % (2 * SIDE)
    padded = F.pad(pictures.clamp(0.0, 1.0), (0, right, 0, down), mode="replicate")
    to_ycbcr, to_rgb, cosines, *tables = _constants(pictures.device)
    ycbcr = torch.einsum("ij,bjhw->bihw", to_ycbcr, padded * 255)
    luma, chroma = (_steps(table, quality) for table in tables)
    luma = _quantised(ycbcr[:, :1] - 128, luma, cosines) + 128
    chroma = _quantised(F.avg_pool2d(ycbcr[:, 1:], 2), chroma, cosines)
    chroma = F.interpolate(chroma, scale_factor=2.0, mode="bilinear", align_corners=False)
    rgb = torch.einsum("ij,bjhw->bihw", to_rgb, torch.cat([luma, chroma], dim=1))
    return (rgb[..., :height, :width] / 255).clamp(0.0, 1.0)


def _steps(table: Tensor, quality: Tensor) -> Tensor:
    """(B, 8, 8) steps, which the library rounds to whole numbers of 1 to 255."""
    quality = quality.clamp(1.0, 100.0)
    percent = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality)
    return ((table * percent[:, None, None] + 50) / 100).floor().clamp(1.0, 255.0)


def _quantised(planes: Tensor, steps: Tensor, cosines: Tensor) -> Tensor:
    """Planes (B, P, height, width) through the discrete cosine transform of 8 x 8 blocks."""
    batch, count, height, width = planes.shape
    blocks = planes.reshape(batch, count, height // SIDE, SIDE, width // SIDE, SIDE)
    blocks = blocks.transpose(3, 4)  # (B, P, rows, columns, 8, 8)
    steps = steps[:, None, None, None]
    kept = (cosines @ blocks @ cosines.T / steps).round() * steps
    return (cosines.T @ kept @ cosines).transpose(3, 4).reshape(planes.shape)


@cache
def _constants(device: torch.device) -> tuple[Tensor, ...]:
    """To YCbCr and back (3, 3), the orthonormal DCT-II of 8 numbers (8, 8), the tables (8, 8)."""
    place = torch.arange(SIDE, dtype=torch.float32)
    cosines = ((2 * place + 1) * place[:, None] * math.pi / (2 * SIDE)).cos() / 2
    cosines[0] /= math.sqrt(2)
    to_ycbcr = torch.tensor(TO_YCBCR)
    tables = (torch.tensor(t).view(SIDE, SIDE).float() for t in (LUMINANCE, CHROMINANCE))
    return tuple(t.to(device) for t in (to_ycbcr, to_ycbcr.inverse(), cosines, *tables))
