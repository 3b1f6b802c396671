"""The frame guard: a cheap look at the pictures themselves, at every inference.

The gate sees a change only when the prefix is computed. The guard compares the pictures now with
those of the cached prefix, and catches within one frame what the gate would see at the next full
inference only.
"""

from collections.abc import Collection
from dataclasses import dataclass

import cv2
import numpy as np

from cls_vla_ros.inference.picture_health import is_black
from cls_vla_ros.inference.reuse.reasons import Reason

SIDE = 64  # pixels of a thumbnail's side, at least
PATCHES = 8  # in each direction


@dataclass(frozen=True)
class Thumbnail:
    """What is kept of a picture to compare it with a later one.

    Attributes:
        gray: (height, width) float32, brightness divided by its mean, so that dimmed light is no
            change; 64 to 127 pixels in each direction, fewer only if the picture has fewer.
        mean: mean brightness, 0 to 255.
    """

    gray: np.ndarray
    mean: float

    @classmethod
    def of(cls, image: np.ndarray) -> "Thumbnail":
        """Shrink a picture, (height, width, 3) uint8 RGB.

        By whole numbers of pixels, which OpenCV does several times faster than by fractions; the
        few rows and columns that are left over at the end do not count.
        """
        height, width = image.shape[:2]
        down, across = max(1, height // SIDE), max(1, width // SIDE)
        rows, columns = height // down, width // across
        gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[: rows * down, : columns * across]
        small = cv2.resize(gray, (columns, rows), interpolation=cv2.INTER_AREA)
        mean = float(small.mean())
        return cls(small.astype(np.float32) / max(mean, 1.0), mean)


def difference(now: Thumbnail, then: Thumbnail) -> float:
    """How different two pictures are, as a share of the mean brightness.

    The largest of 8 x 8 patches counts, not the mean over the picture: a small object that moved
    changes one patch a lot.
    """
    return float(differences(now, then).max())


def differences(now: Thumbnail, then: Thumbnail) -> np.ndarray:
    """(8, 8) float32: how different the patches of two pictures are, see `difference`."""
    gray = now.gray
    if gray.shape != then.gray.shape:  # the camera has another resolution now
        gray = cv2.resize(gray, then.gray.shape[::-1], interpolation=cv2.INTER_AREA)
    changed = cv2.absdiff(gray, then.gray)
    return cv2.resize(changed, (PATCHES, PATCHES), interpolation=cv2.INTER_AREA)


def look(
    now: dict[str, Thumbnail],
    then: dict[str, Thumbnail],
    threshold: float,
    frozen: Collection[str] = (),
) -> Reason:
    """Compare the pictures now with those of a cached prefix.

    Args:
        now: by feature name.
        then: of the same cameras.
        threshold: `difference` above which a picture is another one.
        frozen: the pictures that show a fault, see `picture_health.is_frozen`.

    Returns:
        REUSED if there is nothing against it, else what there is.
    """
    for name, thumbnail in now.items():
        if is_black(thumbnail.mean):
            return Reason.FRAME_BLACK
        if name in frozen:
            return Reason.FRAME_FROZEN
        if difference(thumbnail, then[name]) > threshold:
            return Reason.FRAME_DIFFERENT
    return Reason.REUSED
