"""The glance: a small network that looks at every frame and says whether the scene has changed.

The CLS gate sees a change only when a prefix is computed, and that is what reuse saves. The glance
compares the pictures now with those of the cached prefix, at every inference, for less than a
hundredth of the prefix's time. Pixels alone do not suffice for that: the arm moves as it should.
So it is told where the robot was then and where it is now, and learns what an arm between the two
looks like.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

HEIGHT, WIDTH = 48, 64  # pixels of what it looks at: a camera's 4 by 3
CHANNELS = 24  # where nobody says: three cameras take 0.8 ms of a CPU core
CELL = 4  # pixels of a place's side
ROWS, COLUMNS = HEIGHT // CELL, WIDTH // CELL
MAPS = 6  # of where the arm is
HIDDEN = 64  # of the network that reads the state
MAX_STATE = 10.0  # standard deviations; what is farther out is a fault, not a pose
STD_FLOOR = 0.02  # of a picture in [0, 1]: below it there is nothing but noise to be seen


class Glance(nn.Module):
    """Two looks of each camera, the states with them, and out comes where something changed.

    Each picture is standardised in each colour, so that light and white balance do not count. A
    place is a square of 4 x 4 pixels. Convolutions at that resolution and at half of it see the
    two pictures, their difference, and MAPS numbers for each place that depend on the two states.
    """

    def __init__(self, state_size: int, cameras: int, width: int) -> None:
        """Make one with weights at random.

        Args:
            state_size: S.
            cameras: of the policy, whether looked at or not.
            width: channels; the arithmetic grows with its square.
        """
        super().__init__()
        self.arm = nn.Sequential(
            nn.Linear(2 * state_size, HIDDEN),
            nn.GELU(),
            nn.Linear(HIDDEN, HIDDEN // 2),
            nn.GELU(),
            nn.Linear(HIDDEN // 2, cameras * MAPS * ROWS * COLUMNS),
        )
        self.stem = nn.Conv2d(9, width, CELL, stride=CELL)
        self.near = nn.Conv2d(width + MAPS, width, 3, padding=1)
        self.down = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
        self.wide = nn.Conv2d(2 * width, 2 * width, 3, padding=1)
        self.up = nn.Conv2d(2 * width, width, 1)
        self.last = nn.Conv2d(width, width, 3, padding=1)
        self.out = nn.Conv2d(width, 1, 1)

    def forward(
        self,
        then: Tensor,
        now: Tensor,
        state_then: Tensor,
        state_now: Tensor,
        cameras: Sequence[int],
    ) -> Tensor:
        """Compare.

        Args:
            then: (B, C, 3, 48, 64) of the cached prefix's observation, standardised.
            now: likewise, of the present one.
            state_then: (B, S), normalised as the policy gets it.
            state_now: likewise.
            cameras: which of the policy's cameras the C are, by their order.

        Returns:
            (B, C, 12, 16) logits that a place shows something that changed.
        """
        batch, count = then.shape[:2]
        states = torch.cat([state_then, state_now], dim=1).clamp(-MAX_STATE, MAX_STATE)
        maps = self.arm(states).view(batch, -1, MAPS, ROWS, COLUMNS)[:, list(cameras)]
        pictures = torch.cat([then, now, now - then], dim=2).flatten(0, 1)
        x = torch.cat([F.gelu(self.stem(pictures)), maps.flatten(0, 1)], dim=1)
        near = F.gelu(self.near(x))
        far = F.gelu(self.down(near))
        far = F.gelu(far + self.wide(far))
        x = near + F.interpolate(self.up(far), (ROWS, COLUMNS))
        x = F.gelu(x + self.last(F.gelu(x)))
        return self.out(x).view(batch, count, ROWS, COLUMNS)


def standardised(pictures: Tensor) -> Tensor:
    """What the glance looks at, of pictures in training: (..., 3, 48, 64) float32.

    Args:
        pictures: (..., 3, height, width) in [0, 1].
    """
    flat = pictures.flatten(0, -4)
    if flat.shape[-2:] != (HEIGHT, WIDTH):
        flat = F.interpolate(flat, (HEIGHT, WIDTH), mode="area")
    std, mean = torch.std_mean(flat, dim=(-2, -1), keepdim=True, correction=0)
    flat = (flat - mean) / (std + STD_FLOOR)
    return flat.view(*pictures.shape[:-2], HEIGHT, WIDTH)


def shrink(image: np.ndarray) -> Tensor:
    """What the glance looks at, of a camera's picture: (3, 48, 64) float32.

    Halved again and again, which OpenCV does faster than anything else, then by what is left; an
    odd row or column at the end does not count.

    Args:
        image: (height, width, 3) uint8 RGB.
    """
    height, width = image.shape[:2]
    while height >= 2 * HEIGHT and width >= 2 * WIDTH:
        height, width = height // 2, width // 2
        image = cv2.resize(
            image[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA
        )
    if (height, width) != (HEIGHT, WIDTH):
        image = cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    picture = image.transpose(2, 0, 1).astype(np.float32, order="C") / np.float32(255)
    # As `standardised`, in NumPy, which is faster with so little.
    picture -= picture.mean(axis=(1, 2), keepdims=True)
    std = np.sqrt(np.square(picture).mean(axis=(1, 2), keepdims=True))
    return torch.from_numpy(picture / (std + np.float32(STD_FLOOR)))
