"""What the engine takes."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Sample:
    """A preprocessed observation of one robot.

    Attributes:
        pictures: one for each camera, in the order of the policy's image features: (height, width,
            3) uint8 RGB on the host, or (3, height, width) float in [0, 1] on any device.
        tokens: (L,) int64 on the host, the instruction.
        mask: (L,) bool on the host, False for padding.
        state: (S,) float32 on the host, normalised.
    """

    pictures: list[Tensor]
    tokens: Tensor
    mask: Tensor
    state: Tensor
