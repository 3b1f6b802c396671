"""Whether a CompressedImage says that it is colour: a depth picture's bytes are a picture too.

image_transport writes `format` as "<encoding>; <codec> compressed <encoding of the bytes>"
(compressed_image_transport), most other publishers the codec alone.
"""

import re

from cls_vla_ros.robot.observation.picture_size import PNG_START

CODECS = re.compile(r"(image/)?(jpe?g|png)")
# As sensor_msgs/image_encodings.hpp has them; its TYPE_16UC1 and the like name no colour.
COLOURS = re.compile(
    r"(rgba?|bgra?|mono)(8|16)|bayer_(rggb|bggr|gbrg|grbg)(8|16)|yuv\w*|yuyv|uyvy|nv\d\d"
)
GREY = re.compile(r"mono(8|16)")
# Bit depth, and the colour types without colour, without and with alpha (PNG, 11.2.2 IHDR).
PNG_GREY_16 = (b"\x10\x00", b"\x10\x04")


def depth_problem(form: str, data: bytes) -> str:
    """Why a JPEG or PNG is not taken for a picture of colour; empty if it is.

    Args:
        form: the message's `format`.
        data: its bytes.
    """
    first = re.split(r"[;,\s]", form.strip().lower(), maxsplit=1)[0]
    if first and not CODECS.fullmatch(first) and not COLOURS.fullmatch(first):
        return "its format names no colour, as that of a depth picture"
    is_16_bit_grey = data.startswith(PNG_START) and data[24:26] in PNG_GREY_16
    if is_16_bit_grey and not GREY.fullmatch(first):
        return "it is a PNG with one channel of 16 bits, as a depth picture"
    return ""
