"""Whether a picture shows anything, and whether it is another one than before: black, frozen.

A source that is black or frozen for long is a fault, upon which the node holds
(robot/observation/source_health.py); a single such picture makes the frame guard compute the
prefix. Both ask here.
"""

import zlib

import numpy as np

BLACK_LEVEL = 4.0  # of 255: mean brightness below which a picture shows nothing
SPARSE = 16  # every 16th row tells two different frames apart, as long as the camera has any noise


def sparse_rows(picture: np.ndarray) -> np.ndarray:
    """Some rows of a picture, (height / 16, width, 3), a copy."""
    return np.ascontiguousarray(picture[::SPARSE])


def look_at(picture: np.ndarray) -> tuple[int, float]:
    """What tells a picture from the next one, and how bright it is.

    Args:
        picture: (height, width, 3) uint8.

    Returns:
        A checksum and the mean brightness, 0 to 255, of some of its rows.
    """
    rows = sparse_rows(picture)
    return zlib.crc32(rows), float(rows.mean())


def is_frozen(now: np.ndarray, before: np.ndarray | None) -> bool:
    """Whether a picture has the same bytes as the one before: a living camera's never has.

    Args:
        now: (height, width, 3) uint8.
        before: likewise; None without one.
    """
    return (
        before is not None
        and np.array_equal(now[::SPARSE], before[::SPARSE])
        and np.array_equal(now, before)
    )


def is_black(mean: float, level: float = BLACK_LEVEL) -> bool:
    """Whether a picture of that mean brightness, 0 to 255, shows nothing."""
    return mean < level
