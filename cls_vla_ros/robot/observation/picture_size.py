"""The size that a JPEG or PNG claims, read from its header, and the most that we decode.

A decoder allocates what the file claims: for a JPEG of 700 bytes that says 30000 x 30000, OpenCV
takes 5 GB and 20 seconds, for a PNG that says one of its chunks has 4 GB, it takes those. So the
headers are read first, here.
"""

import re
import struct

MAX_PIXELS = 2**24  # 4096 x 4096: twice 4K, and a decoder stays below half a second
MAX_ASPECT = 16  # longer ones would have no height left at the size that the policy sees
PNG_START = b"\x89PNG\r\n\x1a\n"
JPEG_START = b"\xff\xd8"
# ITU-T T.81, table B.1. A marker that has a segment behind it: all but TEM, RST0 to RST7 and SOI.
MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd8\xff])")
FRAME_HEADERS = {bytes([0xC0 + n]) for n in (*range(4), 5, 6, 7, 9, 10, 11, 13, 14, 15)}
END_OF_HEADERS = {b"\xd9", b"\xda"}  # EOI, SOS
MAX_CHUNKS = 100_000  # of a PNG; encoders write one for each 8 KB or more
MAX_SEGMENTS = 1000  # before the frame header; cameras write about ten


def check_size(height: int, width: int) -> None:
    """Refuse a picture that nobody should decode.

    Raises:
        ValueError: no size, more than MAX_PIXELS, or longer than MAX_ASPECT.
    """
    if height == 0 or width == 0:
        raise ValueError(f"the picture has no size: height {height}, width {width}")
    if height * width > MAX_PIXELS:
        raise ValueError(
            f"the picture says that it has {height} x {width} pixels, and at most {MAX_PIXELS} "
            "are decoded: let the driver publish a smaller one"
        )
    if max(height, width) > MAX_ASPECT * min(height, width):
        raise ValueError(
            f"the picture has {height} x {width} pixels, and the longer side may be at most "
            f"{MAX_ASPECT} times the shorter: is the driver's size right?"
        )


def claimed_size(data: bytes) -> tuple[int, int]:
    """Read the header of a JPEG or PNG; in time linear in its length, and nothing is decoded.

    Returns:
        Height and width, in pixels.

    Raises:
        ValueError: it is neither, it is cut off, or it is animated.
    """
    if data.startswith(PNG_START):
        return _png_size(data)
    if data.startswith(JPEG_START):
        return _jpeg_size(data)
    raise ValueError(f"it begins with {data[:8]!r}, so it is neither a JPEG nor a PNG")


def _png_size(data: bytes) -> tuple[int, int]:
    """Each chunk is its length, its name, its content and a checksum, 12 bytes more than that."""
    at = len(PNG_START)
    if data[at + 4 : at + 8] != b"IHDR" or len(data) < 24:
        raise ValueError("the PNG is damaged: it does not begin with a whole IHDR chunk")
    for _ in range(MAX_CHUNKS):
        if at + 12 > len(data):
            break
        length, name = struct.unpack(">I4s", data[at : at + 8])
        if name == b"acTL":
            raise ValueError("the PNG is animated: the policy takes single pictures")
        at += 12 + length
        if name == b"IEND" and at <= len(data):
            width, height = struct.unpack(">II", data[16:24])
            return height, width
    raise ValueError(
        "the PNG is cut off or damaged: its chunks do not fit into it, or the last one, "
        "IEND, is missing"
    )


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
