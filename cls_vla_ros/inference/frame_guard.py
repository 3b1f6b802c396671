"""The frame guard: a cheap look at the pictures themselves, at every inference.

The gate sees a change only when the prefix is computed. The guard compares the pictures now with
those of the cached prefix, and catches within one frame what the gate would see at the next full
inference only.
"""

import zlib
from dataclasses import dataclass

import cv2
import numpy as np

from cls_vla_ros.inference.reasons import Reason

SIZE = 64  # pixels of a thumbnail's side
PATCHES = 8  # in each direction
BLACK_LEVEL = 4.0  # of 255: mean brightness below which a frame shows nothing


@dataclass(frozen=True)
class Thumbnail:
    """What is kept of a picture to compare it with a later one.

    Attributes:
        gray: (64, 64) float32, brightness divided by its mean, so that dimmed light is no change.
        mean: mean brightness, 0 to 255.
        checksum: of all its bytes: two frames of a living camera are never the same.
    """

    gray: np.ndarray
    mean: float
    checksum: int

    @classmethod
    def of(cls, image: np.ndarray) -> "Thumbnail":
        """Shrink a picture, (height, width, 3) uint8 RGB."""
        gray = cv2.resize(
            cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (SIZE, SIZE), interpolation=cv2.INTER_AREA
        ).astype(np.float32)
        mean = float(gray.mean())
        checksum = zlib.crc32(np.ascontiguousarray(image))
        return cls(gray / max(mean, 1.0), mean, checksum)


def difference(now: Thumbnail, then: Thumbnail) -> float:
    """How different two pictures are, as a share of the mean brightness.

    The largest of 8 x 8 patches counts, not the mean over the picture: a small object that moved
    changes one patch a lot.
    """
    side = SIZE // PATCHES
    patches = np.abs(now.gray - then.gray).reshape(PATCHES, side, PATCHES, side)
    return float(patches.mean(axis=(1, 3)).max())


def look(
    now: dict[str, Thumbnail],
    then: dict[str, Thumbnail],
    threshold: float,
    before: dict[str, int],
) -> Reason:
    """Compare the pictures now with those of a cached prefix.

    Args:
        now: by feature name.
        then: of the same cameras.
        threshold: `difference` above which a picture is another one.
        before: checksums of the pictures of the previous observation: the same bytes again are a
            fault; empty to leave that out.

    Returns:
        REUSED if there is nothing against it, else what there is.
    """
    for name, thumbnail in now.items():
        if thumbnail.mean < BLACK_LEVEL:
            return Reason.FRAME_BLACK
        if thumbnail.checksum == before.get(name):
            return Reason.FRAME_FROZEN
        if difference(thumbnail, then[name]) > threshold:
            return Reason.FRAME_DIFFERENT
    return Reason.REUSED
