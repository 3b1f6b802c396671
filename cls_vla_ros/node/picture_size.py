"""The size that a JPEG or PNG claims, read from its header, and the most that we decode.

A decoder allocates what the header claims: a JPEG of 700 bytes that says 30000 x 30000 costs 5 GB
and 20 seconds. So the header is read first, here.
"""

import re
import struct

MAX_PIXELS = 2**24  # 4096 x 4096: twice 4K, and a decoder stays below half a second
PNG_START = b"\x89PNG\r\n\x1a\n"
JPEG_START = b"\xff\xd8"
# ITU-T T.81, table B.1. A marker that has a segment behind it: all but TEM, RST0 to RST7 and SOI.
MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd8\xff])")
FRAME_HEADERS = {bytes([0xC0 + n]) for n in (*range(4), 5, 6, 7, 9, 10, 11, 13, 14, 15)}
END_OF_HEADERS = {b"\xd9", b"\xda"}  # EOI, SOS
MAX_SEGMENTS = 1000  # before the frame header; cameras write about ten


def check_size(height: int, width: int) -> None:
    """Refuse a picture that nobody should decode.

    Raises:
        ValueError: no size, or more than MAX_PIXELS.
    """
    if height == 0 or width == 0:
        raise ValueError(f"the picture has no size: height {height}, width {width}")
    if height * width > MAX_PIXELS:
        raise ValueError(
            f"the picture says that it has {height} x {width} pixels, and at most {MAX_PIXELS} "
            "are decoded: let the driver publish a smaller one"
        )


def claimed_size(data: bytes) -> tuple[int, int]:
    """Read the header of a JPEG or PNG; in time linear in its length, and nothing is decoded.

    Returns:
        Height and width, in pixels.

    Raises:
        ValueError: it is neither, or its header is cut off.
    """
    if data.startswith(PNG_START):
        if len(data) < 24 or data[12:16] != b"IHDR":
            raise ValueError("the PNG is damaged: it does not begin with a whole IHDR chunk")
        width, height = struct.unpack(">II", data[16:24])
        return height, width
    if data.startswith(JPEG_START):
        return _jpeg_size(data)
    raise ValueError(f"it begins with {data[:8]!r}, so it is neither a JPEG nor a PNG")


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """As decoders look for it: what is no marker between two segments is passed over."""
    at = len(JPEG_START)
    for _ in range(MAX_SEGMENTS):
        if (found := MARKER.search(data, at)) is None or found[1] in END_OF_HEADERS:
            break
        at = found.end()
        if found[1] in FRAME_HEADERS:
            if at + 7 > len(data):
                break
            return struct.unpack(">HH", data[at + 3 : at + 7])
        if at + 2 > len(data):
            break
        at += max(2, struct.unpack(">H", data[at : at + 2])[0])
    raise ValueError("the JPEG is damaged: it has no frame header that says its size")
