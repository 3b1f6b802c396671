import cv2
import numpy as np
import pytest

from cls_vla_ros.robot.observation.compressed_format import depth_problem
from cls_vla_ros.robot.observation.images import ImageError, check_compressed_image

COLOUR = np.full((8, 8, 3), 90, np.uint8)
GREY = COLOUR[:, :, 0]
DEPTH = np.full((8, 8), 1500, np.uint16)  # mm


def encoded(pixels: np.ndarray, suffix: str) -> bytes:
    return cv2.imencode(suffix, pixels)[1].tobytes()


class Message:
    def __init__(self, form: str, data: bytes) -> None:
        self.format, self.data = form, data


@pytest.mark.parametrize(
    ("form", "pixels", "suffix"),
    [
        ("16UC1; png compressed ", DEPTH, ".png"),  # image_transport, realsense
        ("16UC1; jpeg compressed ", GREY, ".jpg"),
        ("32FC1; png compressed ", GREY, ".png"),
        ("8UC1; jpeg compressed ", GREY, ".jpg"),
        ("8UC3; jpeg compressed bgr8", COLOUR, ".jpg"),  # as raw: which channel is which colour
        ("16UC1; compressedDepth png", DEPTH, ".png"),
        ("32FC1; compressedDepth rvl", GREY, ".png"),
        ("disparity", GREY, ".png"),
        ("png", DEPTH, ".png"),
        ("", DEPTH, ".png"),
        ("rgb8; png compressed ", DEPTH, ".png"),  # a driver that lies
    ],
)
def test_what_does_not_say_colour_is_refused(form, pixels, suffix):
    with pytest.raises(ImageError, match=r"not used: .*depth picture.* map a colour topic"):
        check_compressed_image(Message(form, encoded(pixels, suffix)))


@pytest.mark.parametrize(
    ("form", "pixels", "suffix"),
    [
        ("rgb8; jpeg compressed bgr8", COLOUR, ".jpg"),
        ("bgr8; png compressed bgr8", COLOUR, ".png"),
        ("bayer_rggb8; jpeg compressed bgr8", COLOUR, ".jpg"),
        ("yuv422_yuy2; jpeg compressed bgr8", COLOUR, ".jpg"),
        ("mono8; jpeg compressed ", GREY, ".jpg"),
        ("mono16; png compressed ", DEPTH, ".png"),  # raw mono16 is taken too
        ("rgb16; png compressed ", COLOUR.astype(np.uint16) * 256, ".png"),
        *((form, COLOUR, ".jpg") for form in ("jpeg", "JPEG", "jpg", "image/jpeg", "", " jpeg ")),
        ("png", GREY, ".png"),
    ],
)
def test_what_says_colour_or_only_its_codec_is_taken(form, pixels, suffix):
    data = encoded(pixels, suffix)
    assert depth_problem(form, data) == ""
    check_compressed_image(Message(form, data))


def test_a_png_that_is_cut_in_its_header_is_no_index_error():
    data = encoded(DEPTH, ".png")
    for length in range(27):
        depth_problem("png", data[:length])
