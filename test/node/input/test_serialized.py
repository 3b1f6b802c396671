from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage, Image

from cls_vla_ros.node.input.serialized import read_image
from cls_vla_ros.robot.observation.images import ImageError, image_to_rgb
from cls_vla_ros.robot.stamps import to_ns


def image(width: int = 5, frame_id: str = "front") -> Image:
    pixels = np.random.default_rng(width).integers(0, 256, (4, width, 3), dtype=np.uint8)
    message = Image(height=4, width=width, encoding="rgb8", step=3 * width, data=pixels.tobytes())
    message.header.frame_id = frame_id
    message.header.stamp.sec, message.header.stamp.nanosec = 7, 8
    return message


@pytest.mark.parametrize("width", [1, 5, 6, 7, 8])  # lengths that DDS fills up, or not
@pytest.mark.parametrize("frame_id", ["", "a", "front", "a camera"])
def test_reads_what_ros_wrote(width, frame_id):
    message = image(width, frame_id)
    read = read_image(serialize_message(message), "raw")
    assert to_ns(read.header.stamp) == 7_000_000_008
    assert read.header.frame_id == frame_id
    assert np.array_equal(image_to_rgb(read), image_to_rgb(message))
    assert not read.data.flags.owndata  # it is a view


def test_reads_compressed_pictures():
    message = CompressedImage(format="jpeg", data=b"\xff\xd8 and so on \xff\xd9")
    read = read_image(serialize_message(message), "compressed")
    assert (read.format, bytes(read.data)) == (message.format, bytes(message.data))


@given(data=st.data())
def test_any_other_bytes_are_refused_with_a_reason(data):
    good = serialize_message(image())
    start = data.draw(st.integers(0, len(good)))
    bad = good[:start] + data.draw(st.binary(max_size=40))
    bad += good[len(bad) :] if data.draw(st.booleans()) else b""
    with suppress(ImageError):
        assert len(read_image(bad, "raw").data) <= len(bad)
    with pytest.raises(ImageError, match="not a serialised sensor_msgs/msg/Image"):
        read_image(good[: start // 2], "raw")
