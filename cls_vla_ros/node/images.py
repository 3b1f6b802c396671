"""Camera messages to RGB pictures.

rgb8, bgr8 and mono8 are views of the message's bytes. Every other encoding goes through cv_bridge
where it works, and through rosbags-image where it does not: the cv_bridge of Jazzy is built
against NumPy 1 and fails at its first colour conversion beside the NumPy 2 that lerobot needs. No
rclpy in here: any object with the message's fields will do.
"""

from collections.abc import Callable
from functools import cache

import cv2
import numpy as np
from rosbags.image import image_to_cvimage

JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
CHANNELS_BY_VIEW = {"rgb8": 3, "bgr8": 3, "mono8": 1}


class ImageError(ValueError):
    """A camera message that is not a picture; the text says what is wrong with it."""


def image_to_rgb(message) -> np.ndarray:
    """Convert a sensor_msgs/Image.

    Returns:
        (height, width, 3) uint8 RGB; a copy, so the message may go.

    Raises:
        ImageError: no size, too little data for it, or an encoding that nobody can convert.
    """
    check_image(message)
    channels = CHANNELS_BY_VIEW.get(message.encoding)
    if channels is None:
        return _converter()(message)
    height, width, step = message.height, message.width, message.step
    rows = np.frombuffer(message.data, np.uint8, count=height * step).reshape(height, step)
    pixels = rows[:, : width * channels].reshape(height, width, channels)
    if message.encoding == "rgb8":
        return pixels.copy()
    if message.encoding == "bgr8":
        return np.ascontiguousarray(pixels[:, :, ::-1])
    return np.repeat(pixels, 3, axis=2)


def check_image(message) -> None:
    """The checks of a sensor_msgs/Image that cost nothing.

    They are made at once, so that a bad message never replaces a good one.

    Raises:
        ImageError: no size, or too little data for it.
    """
    height, width, step = message.height, message.width, message.step
    if height == 0 or width == 0:
        raise ImageError(f"the picture has no size: height {height}, width {width}")
    row_bytes = width * CHANNELS_BY_VIEW.get(message.encoding, 1)
    if step < row_bytes:
        raise ImageError(
            f"step is {step} bytes, but a row of {width} pixels in {message.encoding!r} has at "
            f"least {row_bytes}"
        )
    if len(message.data) < height * step:
        raise ImageError(
            f"the data has {len(message.data)} bytes, but height {height} x step {step} needs "
            f"{height * step}"
        )


def compressed_image_to_rgb(message) -> np.ndarray:
    """Convert a sensor_msgs/CompressedImage (JPEG, PNG and what else OpenCV reads).

    Returns:
        (height, width, 3) uint8 RGB.

    Raises:
        ImageError: empty, cut off, depth, or not a picture.
    """
    check_compressed_image(message)
    try:
        bgr = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise ImageError(
            f"OpenCV cannot read the {len(message.data)} bytes of {message.format!r}: {error}"
        ) from error
    if bgr is None:
        raise ImageError(
            f"the {len(message.data)} bytes of {message.format!r} are not a picture that OpenCV "
            "reads"
        )
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def check_compressed_image(message) -> None:
    """The checks of a sensor_msgs/CompressedImage that cost nothing.

    Raises:
        ImageError: empty, cut off, or depth.
    """
    if len(message.data) == 0:
        raise ImageError(f"the compressed picture ({message.format!r}) is empty")
    if "compressedDepth" in message.format:
        raise ImageError(
            f"{message.format!r} is a depth picture; the policy takes colour: map a colour topic "
            "instead"
        )
    data = bytes(message.data[:2]), bytes(message.data[-64:])
    # Decoders fill what is missing with grey and do not complain; drivers may pad behind the end
    # marker.
    if data[0] == JPEG_START and not data[1].rstrip(b"\0").endswith(JPEG_END):
        raise ImageError(f"the JPEG of {len(message.data)} bytes is cut off: it has no end marker")


@cache
def _converter() -> Callable[[object], np.ndarray]:
    """cv_bridge if its compiled part works here, rosbags-image otherwise; found out once."""
    try:
        from cv_bridge import CvBridge
        from sensor_msgs.msg import Image

        bridge = CvBridge()
        probe = Image(height=1, width=1, encoding="rgba8", step=4, data=bytes(4))
        bridge.imgmsg_to_cv2(probe, desired_encoding="rgb8")
    except Exception:  # ImportError without cv_bridge; with NumPy 2, whatever its C++ part raises
        return _with_rosbags_image

    def with_cv_bridge(message) -> np.ndarray:
        try:
            return np.ascontiguousarray(bridge.imgmsg_to_cv2(message, desired_encoding="rgb8"))
        except Exception as error:
            raise _unsupported(message, error) from error

    return with_cv_bridge


def _with_rosbags_image(message) -> np.ndarray:
    try:
        return np.ascontiguousarray(image_to_cvimage(_without_row_padding(message), "rgb8"))
    except Exception as error:
        raise _unsupported(message, error) from error


def _unsupported(message, error: Exception) -> ImageError:
    return ImageError(
        f"a picture of {message.height} x {message.width} in the encoding {message.encoding!r} "
        "cannot be converted "
        f"to rgb8: {error or type(error).__name__}. Let the driver publish rgb8, bgr8, mono8, a "
        "bayer or a yuv422 "
        "encoding, or JPEG"
    )


class _Unpadded:
    """A sensor_msgs/Image without padded rows, as rosbags-image takes for granted."""

    def __init__(self, message, data: np.ndarray) -> None:
        self.height, self.width, self.encoding = message.height, message.width, message.encoding
        self.is_bigendian, self.data = message.is_bigendian, data


def _without_row_padding(message) -> _Unpadded:
    from rosbags.image.image import to_cvtype

    _, _, dtype, channels = to_cvtype(message.encoding)
    row_bytes = message.width * channels * np.dtype(dtype).itemsize
    rows = np.frombuffer(message.data, np.uint8)
    if message.step > row_bytes and message.encoding not in ("nv12", "nv21"):
        rows = rows[: message.height * message.step].reshape(message.height, message.step)[
            :, :row_bytes
        ]
    return _Unpadded(message, np.ascontiguousarray(rows).reshape(-1))
