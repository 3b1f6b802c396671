"""Write a simulated episode as a rosbag2 recording (MCAP), with the stamps of a real robot's."""

from pathlib import Path

import cv2
import numpy as np
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from cls_vla_ros.simulation.events import Pictures
from cls_vla_ros.simulation.tasks import JOINTS, JPEG_QUALITY

FRONT, WRIST = "/front_camera/image_raw", "/wrist_camera/image_raw/compressed"
JOINT_STATES, EXPERT_ACTION = "/joint_states", "/expert_action"
TOPICS = {
    FRONT: "sensor_msgs/msg/Image",
    WRIST: "sensor_msgs/msg/CompressedImage",
    JOINT_STATES: "sensor_msgs/msg/JointState",
    EXPERT_ACTION: "std_msgs/msg/Float64MultiArray",
}
WRIST_DELAY_NS, JOINTS_DELAY_NS = 2_000_000, 1_000_000  # after the front camera


def encode_jpeg(picture: np.ndarray) -> np.ndarray:
    """The wrist camera's bytes.

    Args:
        picture: (height, width, 3) uint8 RGB.
    """
    bgr = picture[:, :, ::-1]
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].reshape(-1)


class SimBag:
    """A recording under way; a context manager, complete when it is left."""

    def __init__(self, path: Path) -> None:
        """Begin it.

        Args:
            path: a directory that does not exist yet.
        """
        self._store = get_typestore(Stores.ROS2_JAZZY)
        self._types = self._store.types
        self._writer = Writer(path, version=9, storage_plugin=StoragePlugin.MCAP)
        self._writer.set_compression(CompressionMode.MESSAGE, CompressionFormat.ZSTD)

    def __enter__(self) -> "SimBag":
        self._writer.open()
        self._connections = {
            topic: self._writer.add_connection(topic, kind, typestore=self._store)
            for topic, kind in TOPICS.items()
        }
        return self

    def __exit__(self, *_) -> None:
        self._writer.close()

    def add_pictures(self, stamp_ns: int, pictures: Pictures) -> None:
        """A frame of both cameras: the front one raw, the wrist one as JPEG."""
        front = pictures["front"]
        height, width = front.shape[:2]
        self._put(
            FRONT,
            stamp_ns,
            header=self._header(stamp_ns, "front_camera"),
            height=height,
            width=width,
            encoding="rgb8",
            is_bigendian=0,
            step=width * 3,
            data=front.reshape(-1),
        )
        stamp_ns += WRIST_DELAY_NS
        self._put(
            WRIST,
            stamp_ns,
            header=self._header(stamp_ns, "wrist_camera"),
            format="rgb8; jpeg compressed bgr8",
            data=encode_jpeg(pictures["wrist"]),
        )

    def add_step(
        self, stamp_ns: int, positions: np.ndarray, velocities: np.ndarray, action: np.ndarray
    ) -> None:
        """The joints at a step, and what the expert does there.

        Args:
            stamp_ns: of the step.
            positions: (9,) of JOINTS, in rad and m.
            velocities: (9,), in rad/s and m/s.
            action: (4,) dx dy dz grip.
        """
        stamp_ns += JOINTS_DELAY_NS
        self._put(
            JOINT_STATES,
            stamp_ns,
            header=self._header(stamp_ns, ""),
            name=list(JOINTS),
            position=positions,
            velocity=velocities,
            effort=np.zeros(0),
        )
        layout = self._types["std_msgs/msg/MultiArrayLayout"](dim=[], data_offset=0)
        self._put(EXPERT_ACTION, stamp_ns, layout=layout, data=action.astype(np.float64))

    def _put(self, topic: str, stamp_ns: int, **fields) -> None:
        message = self._types[TOPICS[topic]](**fields)
        data = self._store.serialize_cdr(message, TOPICS[topic])
        self._writer.write(self._connections[topic], stamp_ns, data)

    def _header(self, stamp_ns: int, frame_id: str):
        stamp = self._types["builtin_interfaces/msg/Time"](
            sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9
        )
        return self._types["std_msgs/msg/Header"](stamp=stamp, frame_id=frame_id)
