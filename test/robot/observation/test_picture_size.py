import struct
import time

import cv2
import numpy as np
import pytest

from cls_vla_ros.robot.observation.images import ImageError, check_compressed_image, check_image
from cls_vla_ros.robot.observation.picture_size import check_size, claimed_size

PICTURE = np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8)
JPEG, PNG = (cv2.imencode(suffix, PICTURE)[1].tobytes() for suffix in (".jpg", ".png"))


class Message:
    """A sensor_msgs/CompressedImage or Image."""

    def __init__(self, **fields) -> None:
        self.__dict__.update(fields)


def claiming(height: int, width: int, data: bytes = JPEG) -> bytes:
    """The same picture with another size in its header."""
    if data is PNG:
        return data[:16] + struct.pack(">II", width, height) + data[24:]
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


@pytest.mark.parametrize(
    "data",
    [
        JPEG,
        PNG,
        cv2.imencode(".jpg", PICTURE, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes(),
        JPEG[:2] + b"\xff\xe1\x00\x08\xff\xc0\x00\x00\x00\x00" + JPEG[2:],  # in Exif: not the size
        JPEG[:20] + b"rubbish\xff\xff" + JPEG[20:],
    ],
)
def test_the_size_is_the_decoders(data):
    assert claimed_size(data) == (30, 50)
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape == (30, 50, 3)


@pytest.mark.parametrize("data", [JPEG, PNG])
def test_a_header_cut_anywhere_is_refused(data):
    whole = data.index(b"\xff\xc0") + 9 if data is JPEG else len(data)
    for end in range(whole):
        with pytest.raises(ValueError, match=r"damaged|neither"):
            claimed_size(data[:end])
    assert claimed_size(data[:whole]) == (30, 50)


@pytest.mark.parametrize("data", [JPEG, PNG])
@pytest.mark.parametrize("size", [(30000, 30000), (4097, 4096), (0, 50), (30, 0)])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(data, size):
    message = Message(format="jpeg", data=claiming(*size, data))
    began = time.perf_counter()
    with pytest.raises(ImageError, match=r"at most 16777216 are decoded|has no size"):
        check_compressed_image(message)
    assert time.perf_counter() - began < 0.1


def test_a_png_whose_chunk_claims_gigabytes_is_refused_before_it_is_decoded():
    at = PNG.index(b"IDAT") - 4
    message = Message(format="png", data=PNG[:at] + b"\xff" + PNG[at + 1 :])
    with pytest.raises(ImageError, match="chunks do not fit"):
        check_compressed_image(message)


def test_an_animated_png_is_refused():
    animation = PNG[:33] + struct.pack(">I", 8) + b"acTL" + bytes(12) + PNG[33:]
    with pytest.raises(ValueError, match="animated"):
        claimed_size(animation)


def test_a_raw_picture_has_the_same_limit():
    with pytest.raises(ImageError, match="at most"):
        check_image(Message(height=4097, width=4096, step=4096, encoding="mono8", data=b""))
    check_size(4096, 4096)


@pytest.mark.parametrize("size", [(2, 33), (60000, 2)])
def test_a_picture_without_a_height_for_the_policy_is_refused(size):
    with pytest.raises(ValueError, match="16 times the shorter"):
        check_size(*size)
    check_size(2, 32)


def test_what_is_neither_jpeg_nor_png_is_refused():
    webp = cv2.imencode(".webp", PICTURE)[1].tobytes()
    with pytest.raises(ImageError, match="neither a JPEG nor a PNG"):
        check_compressed_image(Message(format="webp", data=webp))


@pytest.mark.parametrize("start", [b"\xff\xd8", PNG[:33]])
@pytest.mark.parametrize(
    "segment", [bytes(12), b"\xff\xe1\x00\x02", b"\xff\xe1\x00\x00", b"\xff", b"\x00"]
)
def test_a_long_header_takes_no_time(start, segment):
    began = time.perf_counter()
    with pytest.raises(ValueError, match="damaged"):
        claimed_size(start + segment * (1_000_000 // len(segment)))
    assert time.perf_counter() - began < 0.2


def test_an_endless_encoding_or_format_makes_a_short_text():
    for check, message in (
        (check_image, Message(height=2, width=2, step=1, encoding="é" * 10**6, data=b"")),
        (check_compressed_image, Message(format="x" * 10**6, data=b"no picture")),
    ):
        with pytest.raises(ImageError) as error:
            check(message)
        assert len(str(error.value)) < 500
