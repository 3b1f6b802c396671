import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image

from cls_vla_ros.robot.observation.images import ImageError, compressed_image_to_rgb, image_to_rgb

PICTURE = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)


def image(pixels: np.ndarray, encoding: str, padding: int = 0, **fields) -> Image:
    """A message with `padding` bytes of rubbish behind each row."""
    rows = np.ascontiguousarray(pixels).view(np.uint8).reshape(pixels.shape[0], -1)
    padded = np.pad(rows, ((0, 0), (0, padding)), constant_values=77)
    message = Image(height=pixels.shape[0], width=pixels.shape[1], encoding=encoding)
    message.step, message.data = padded.shape[1], padded.tobytes()
    for name, value in fields.items():
        setattr(message, name, value)
    return message


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize(
    ("encoding", "code"),
    [
        ("rgb8", None),
        ("bgr8", cv2.COLOR_RGB2BGR),
        ("rgba8", cv2.COLOR_RGB2RGBA),
        ("bgra8", cv2.COLOR_RGB2BGRA),
    ],
)
def test_colour_comes_through_unchanged(encoding, code, padding):
    pixels = PICTURE if code is None else cv2.cvtColor(PICTURE, code)
    assert np.array_equal(image_to_rgb(image(pixels, encoding, padding)), PICTURE)


@pytest.mark.parametrize("padding", [0, 5])
def test_grey_becomes_three_equal_channels(padding):
    rgb = image_to_rgb(image(PICTURE[:, :, 0], "mono8", padding))
    assert all(np.array_equal(rgb[:, :, c], PICTURE[:, :, 0]) for c in range(3))


@pytest.mark.parametrize(("big_endian", "order"), [(0, "<u2"), (1, ">u2")])
def test_sixteen_bits_are_scaled_to_eight(big_endian, order):
    pixels = (PICTURE.astype(np.uint16) * 257).astype(order)
    rgb = image_to_rgb(image(pixels, "rgb16", is_bigendian=big_endian))
    assert np.abs(rgb.astype(int) - PICTURE).max() <= 1


@pytest.mark.parametrize("padding", [0, 6])
def test_yuyv_is_close(padding):
    smooth = np.full((6, 8, 3), (200, 100, 50), np.uint8)
    yuv = cv2.cvtColor(smooth, cv2.COLOR_RGB2YUV)
    packed = np.stack(
        [yuv[:, :, 0], np.where(np.arange(8) % 2 == 0, yuv[:, :, 1], yuv[:, :, 2])], 2
    )
    rgb = image_to_rgb(image(packed.astype(np.uint8), "yuv422_yuy2", padding))
    assert np.abs(rgb.astype(int) - smooth).mean() < 20


def test_the_picture_does_not_share_the_messages_memory():
    message = image(PICTURE, "rgb8")
    rgb = image_to_rgb(message)
    message.data[0] = (message.data[0] + 1) % 256
    assert np.array_equal(rgb, PICTURE)


@pytest.mark.parametrize("padding", [0, 6])
@pytest.mark.parametrize(("encoding", "order"), [("nv12", (1, 2)), ("nv21", (2, 1))])
def test_nv12_and_nv21_keep_their_size(encoding, order, padding):
    smooth = np.full((6, 8, 3), (200, 100, 50), np.uint8)
    planes = cv2.cvtColor(smooth, cv2.COLOR_RGB2YUV_I420)
    u, v = planes[6:].reshape(2, 3, 4)
    colours = np.stack([(planes, u, v)[i] for i in order], axis=2).reshape(3, 8)
    message = image(np.concatenate([planes[:6], colours]), encoding, padding, height=6)
    rgb = image_to_rgb(message)
    assert rgb.shape == (6, 8, 3)
    assert np.abs(rgb.astype(int) - smooth).max() < 8


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"encoding": "8UC3"}, "which channel"),
        ({"encoding": "nv12"}, "height x 3/2"),
        ({"encoding": "rgb16"}, "a row has 48"),
        ({"data": b"123"}, "3 bytes, but height 6 x step 24 needs 144"),
        ({"width": 9}, "step is 24"),
        ({"height": 0}, "height 0"),
        ({"encoding": "octarine"}, "octarine"),
        ({"encoding": ""}, "encoding ''"),
        ({"encoding": "32FC1"}, "32FC1"),
        ({"encoding": "rgba16"}, "rgba16"),
    ],
)
def test_a_bad_image_is_explained(fields, said):
    message = image(PICTURE, "rgb8")
    for name, value in fields.items():
        setattr(message, name, value)
    with pytest.raises(ImageError, match=said):
        image_to_rgb(message)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_compressed_pictures_are_rgb(suffix):
    red = np.zeros((40, 50, 3), np.uint8)
    red[:, :, 0] = 255
    data = cv2.imencode(suffix, cv2.cvtColor(red, cv2.COLOR_RGB2BGR))[1].tobytes()
    rgb = compressed_image_to_rgb(CompressedImage(format="rgb8; jpeg", data=data))
    assert np.abs(rgb.astype(int) - red).max() <= 2


def test_a_grey_jpeg_has_three_channels():
    data = cv2.imencode(".jpg", PICTURE[:, :, 0])[1].tobytes()
    assert compressed_image_to_rgb(CompressedImage(format="jpeg", data=data)).shape == (6, 8, 3)


@pytest.mark.parametrize("tail", [bytes(10), bytes(5000), b"made by a camera", b"\xff\xff"])
def test_a_jpeg_with_something_behind_its_end_is_read(tail):
    data = cv2.imencode(".jpg", PICTURE)[1].tobytes() + tail
    assert compressed_image_to_rgb(CompressedImage(format="jpeg", data=data)).shape == (6, 8, 3)


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (CompressedImage(format="jpeg"), "empty"),
        (CompressedImage(format="jpeg", data=b"no picture"), "not a picture"),
        (CompressedImage(format="16UC1; compressedDepth", data=b"xy"), "depth"),
        (
            CompressedImage(
                format="jpeg",
                data=cv2.imencode(".jpg", np.zeros((64, 64, 3), np.uint8))[1].tobytes()[:-50],
            ),
            "cut off",
        ),
    ],
)
def test_a_bad_compressed_picture_is_explained(message, said):
    with pytest.raises(ImageError, match=said):
        compressed_image_to_rgb(message)
