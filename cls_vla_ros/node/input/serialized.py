"""Camera messages out of the bytes that DDS delivered.

rclpy turns an Image of 640 x 480 into Python objects in 1 ms, under the lock that the inference
thread needs too; rosbags, which leaves the picture where it is, in a tenth of that. No rclpy in
here.
"""

from functools import cache

from rosbags.serde import SerdeError
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore

from cls_vla_ros.robot.observation.images import ImageError

TYPES = {"raw": "sensor_msgs/msg/Image", "compressed": "sensor_msgs/msg/CompressedImage"}


def read_image(data: bytes, transport: str):
    """Read a serialised message, whose picture stays a view of the bytes.

    Args:
        data: as a subscription with raw=True gets it.
        transport: "raw" for a sensor_msgs/Image, "compressed" for a CompressedImage.

    Returns:
        An object with the message's fields.

    Raises:
        ImageError: these are not the bytes of such a message.
    """
    try:
        return _types().deserialize_cdr(memoryview(data), TYPES[transport])
    except (SerdeError, IndexError, OverflowError) as error:
        raise ImageError(
            f"the {len(data)} bytes are not a serialised {TYPES[transport]}: {error}"
        ) from error


@cache
def _types() -> Typestore:
    return get_typestore(Stores.ROS2_JAZZY)
