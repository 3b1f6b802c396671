"""Drawing numbers for a batch of pictures."""

import torch
from torch import Generator, Tensor


def uniform(
    bounds: tuple[float, float], size: int, like: Tensor, generator: Generator | None
) -> Tensor:
    """(size,), with the device and dtype of `like`."""
    low, high = bounds
    drawn = torch.rand(size, generator=generator, device=like.device, dtype=like.dtype)
    return low + (high - low) * drawn
