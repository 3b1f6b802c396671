"""Camera messages to RGB pictures.

rgb8, bgr8 and mono8 are views of the message's bytes. Every other encoding goes through cv_bridge
where it works, and through rosbags-image where it does not: the cv_bridge of Jazzy is built
against NumPy 1 and fails at its first colour conversion beside the NumPy 2 that lerobot needs. No
rclpy in here: any object with the message's fields will do.
"""

import re
from collections.abc import Callable
from functools import cache

import cv2
import numpy as np
from rosbags.image import image_to_cvimage
from rosbags.image.image import to_cvtype

from cls_vla_ros.robot.observation.compressed_format import depth_problem
from cls_vla_ros.robot.observation.picture_size import JPEG_START, check_size, claimed_size

JPEG_END = b"\xff\xd9"
JPEG_TAIL_BYTES = 1024
QUOTED_CHARACTERS = 64  # of what a message says: it may say megabytes, and the log repeats it
MAX_REASON = 500
GENERIC = re.compile(r"\d+[USF]C\d+|\d+[USF]")  # 8UC3: OpenCV types, not colours
NV_CODES = {"nv12": cv2.COLOR_YUV2RGB_NV12, "nv21": cv2.COLOR_YUV2RGB_NV21}
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
        return _convert(message)
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
        ImageError: no size or too large a one, or too little data for it.
    """
    height, width, step = message.height, message.width, message.step
    try:
        check_size(height, width)
    except ValueError as error:
        raise ImageError(str(error)) from None
    row_bytes = width * CHANNELS_BY_VIEW.get(message.encoding, 1)
    if step < row_bytes:
        raise ImageError(
            f"step is {step} bytes, but a row of {width} pixels in {_quote(message.encoding)} has "
            f"at least {row_bytes}"
        )
    if len(message.data) < height * step:
        raise ImageError(
            f"the data has {len(message.data)} bytes, but height {height} x step {step} needs "
            f"{height * step}"
        )


def compressed_image_to_rgb(message) -> np.ndarray:
    """Convert a sensor_msgs/CompressedImage (JPEG or PNG).

    Returns:
        (height, width, 3) uint8 RGB.

    Raises:
        ImageError: empty, cut off, depth, too large, or neither of the two.
    """
    check_compressed_image(message)
    try:
        bgr = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise ImageError(
            f"OpenCV cannot read the {len(message.data)} bytes of {_quote(message.format)}: "
            f"{error}"
        ) from error
    if bgr is None:
        raise ImageError(
            f"the {len(message.data)} bytes of {_quote(message.format)} are not a picture that "
            "OpenCV reads"
        )
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def check_compressed_image(message) -> None:
    """The checks of a sensor_msgs/CompressedImage that cost nothing.

    Raises:
        ImageError: empty, cut off, depth, too large, or neither JPEG nor PNG.
    """
    if len(message.data) == 0:
        raise ImageError(f"the compressed picture ({_quote(message.format)}) is empty")
    if "compressedDepth" in message.format:
        raise ImageError(_not_colour(message.format, "it is a depth picture"))
    data = bytes(message.data)
    # Decoders fill what is missing with grey and do not complain. Behind the end marker, drivers
    # may pad their buffers with zeros and cameras leave some bytes of their own.
    if data.startswith(JPEG_START) and JPEG_END not in data.rstrip(b"\0")[-JPEG_TAIL_BYTES:]:
        raise ImageError(f"the JPEG of {len(data)} bytes is cut off: it has no end marker")
    try:
        check_size(*claimed_size(data))
    except ValueError as error:
        raise ImageError(
            f"the {len(data)} bytes of {_quote(message.format)} are not a picture that can be "
            f"used: {error}"
        ) from None
    if problem := depth_problem(message.format, data):
        raise ImageError(_not_colour(message.format, problem))


def _not_colour(form: str, problem: str) -> str:
    return (
        f"the compressed picture ({_quote(form)}) is not used: {problem}. The policy takes "
        "colour: map a colour topic, or let the driver name the encoding, as "
        "'rgb8; jpeg compressed bgr8'"
    )


def _quote(text: str) -> str:
    return repr(text if len(text) <= QUOTED_CHARACTERS else text[:QUOTED_CHARACTERS] + "…")


@cache
def _converter() -> Callable[[object], np.ndarray]:
    """cv_bridge where it works, rosbags-image otherwise; found out once.

    With NumPy 2, cv_bridge is not even tried: built against NumPy 1, it does not raise there but
    may take the process down.
    """
    if int(np.__version__.split(".")[0]) >= 2:
        return _with_rosbags_image
    try:
        from cv_bridge import CvBridge
    except ImportError:
        return _with_rosbags_image
    bridge = CvBridge()
    return lambda message: bridge.imgmsg_to_cv2(message, desired_encoding="rgb8")


def _with_rosbags_image(message) -> np.ndarray:
    return image_to_cvimage(_without_row_padding(message), "rgb8")


def _convert(message) -> np.ndarray:
    """Any other encoding to RGB, or an ImageError that says which."""
    wanted = (message.height, message.width, 3)
    try:
        if message.encoding in NV_CODES:
            return _nv_to_rgb(message)
        if GENERIC.fullmatch(message.encoding):
            raise ValueError("it does not say which channel is which colour")
        rgb = np.ascontiguousarray(_converter()(message))
        if rgb.shape != wanted or rgb.dtype != np.uint8:
            raise ValueError(
                f"the conversion made {rgb.shape} {rgb.dtype} instead of {wanted} uint8"
            )
    except Exception as error:  # the libraries' errors have no common base
        raise ImageError(
            f"a picture of {message.height} x {message.width} in the encoding "
            f"{_quote(message.encoding)} cannot be converted to rgb8: "
            f"{str(error)[:MAX_REASON] or type(error).__name__}. "
            "Let the driver publish rgb8, bgr8, mono8, a bayer or a yuv422 encoding, or JPEG"
        ) from error
    return rgb


def _nv_to_rgb(message) -> np.ndarray:
    """NV12 and NV21: height rows of brightness, then height / 2 rows of colour."""
    height, width, step = message.height, message.width, message.step
    needed = height * 3 // 2 * step
    if len(message.data) < needed or height % 2 or width % 2:
        raise ValueError(
            f"it needs an even size and {needed} bytes (height x 3/2 x step), "
            f"got {len(message.data)}"
        )
    rows = np.frombuffer(message.data, np.uint8, count=needed).reshape(-1, step)[:, :width]
    return cv2.cvtColor(np.ascontiguousarray(rows), NV_CODES[message.encoding])


class _Unpadded:
    """A sensor_msgs/Image without padded rows, as rosbags-image takes for granted."""

    def __init__(self, message, data: np.ndarray) -> None:
        self.height, self.width, self.encoding = message.height, message.width, message.encoding
        self.is_bigendian, self.data = message.is_bigendian, data


def _without_row_padding(message) -> _Unpadded:
    _, _, dtype, channels = to_cvtype(message.encoding)
    row_bytes = message.width * channels * np.dtype(dtype).itemsize
    if message.step < row_bytes:
        raise ValueError(f"step is {message.step} bytes, but a row has {row_bytes}")
    rows = np.frombuffer(message.data, np.uint8, count=message.height * message.step)
    rows = rows.reshape(message.height, message.step)[:, :row_bytes]
    return _Unpadded(message, np.ascontiguousarray(rows).reshape(-1))
