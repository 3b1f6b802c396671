"""Plays a rosbag2 recording to its topics, with /clock.

In pure Python, because there is no rosbag2 on the package index.
"""

import importlib
import threading
import time
from collections.abc import Callable
from pathlib import Path

from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from rosbags.interfaces import Connection
from rosgraph_msgs.msg import Clock

from cls_vla_ros.demo.played_topics import qos_of, why_not_played
from cls_vla_ros.node.output.stamps import to_time
from cls_vla_ros.recordings.open_bag import open_bag
from cls_vla_ros.robot.settings import NODE_NAME

CLOCK_PERIOD_S = 0.01
PICTURES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
# Half a second after the first subscriber was seen, discovery has found the others on a quiet
# machine.
SETTLE_S = 0.5


class BagPlayer:
    """One recording, played with its own time as ROS time.

    Topics lose their leading slash, so that they are in the node's namespace: at the root nothing
    changes. Those that others say now, /clock and the policy node's outputs, are left out.

    Attributes:
        start_ns: stamp of the first message, ROS time.
        duration_s: from the first message to the last.
    """

    def __init__(self, node: Node, bag: Path) -> None:
        """Open the recording and make its publishers.

        Args:
            node: whose publishers they are.
            bag: a rosbag2 directory (MCAP or SQLite).

        Raises:
            FileNotFoundError: there is no such recording.
            ValueError: it is damaged, or has no input of a type that is installed.
        """
        self._node, self._reader = node, open_bag(bag)
        self.start_ns: int = self._reader.start_time
        self.duration_s: float = self._reader.duration / 1e9
        self._clock = node.create_publisher(Clock, "/clock", QoSProfile(depth=1))
        self._publishers: dict[str, Publisher] = {}
        by_topic: dict[str, list[Connection]] = {}
        for connection in self._reader.connections:
            by_topic.setdefault(connection.topic, []).append(connection)
        for topic, connections in by_topic.items():
            kind = _message_class(connections[0].msgtype)
            left_out = why_not_played(connections[0])
            if kind is None and not left_out:
                left_out = f"{topic} is not played: {connections[0].msgtype} is not installed"
            if left_out:
                node.get_logger().warning(left_out)
                continue
            self._publishers[topic] = node.create_publisher(
                kind, topic.lstrip("/"), qos_of(connections)
            )
        if not self._publishers:
            raise ValueError(
                f"{bag} has nothing to play: of its topics {sorted(by_topic)}, none is an input "
                "of a type that is installed"
            )

    def wait_for_subscribers(self, timeout_s: float) -> bool:
        """Wait until somebody listens and knows the time, or a recording's start would be lost.

        Returns:
            Whether somebody does; False after the timeout.
        """
        deadline = time.monotonic() + timeout_s
        while not any(
            publisher.get_subscription_count() for publisher in self._publishers.values()
        ):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        settled = time.monotonic() + SETTLE_S
        while time.monotonic() < settled:
            self._clock.publish(Clock(clock=to_time(self.start_ns)))
            time.sleep(CLOCK_PERIOD_S)
        self._leave_out_outputs()
        return True

    def _leave_out_outputs(self) -> None:
        """Those that the policy node's parameters name otherwise: it publishes them by now."""
        for topic, publisher in list(self._publishers.items()):
            infos = self._node.get_publishers_info_by_topic(publisher.topic_name)
            if any(info.node_name == NODE_NAME for info in infos):
                self._node.get_logger().warning(
                    f"{topic} is not played: {NODE_NAME} publishes on it itself"
                )
                self._node.destroy_publisher(self._publishers.pop(topic))

    def play(
        self,
        *,
        rate: float = 1.0,
        on_time: Callable[[int], None] | None = None,
        stop: threading.Event | None = None,
        after_pictures: Callable[[], None] | None = None,
    ) -> None:
        """Play from start to end; returns when it is over.

        Args:
            rate: 2 plays twice as fast.
            on_time: called with the stamp of each message, in ns.
            stop: ends it early when set.
            after_pictures: called whenever every camera has sent a picture since the last call;
                while it runs, the recording's time stands still.
        """
        stop = stop or threading.Event()
        of_pictures = {c.topic for c in self._reader.connections if c.msgtype in PICTURES}
        cameras = of_pictures & set(self._publishers)
        missing = set(cameras)
        began = time.monotonic()
        for connection, stamp_ns, raw in self._reader.messages():
            if connection.topic not in self._publishers:
                continue
            due = began + (stamp_ns - self.start_ns) / 1e9 / rate
            while (wait_s := due - time.monotonic()) > 0:
                if stop.wait(min(wait_s, CLOCK_PERIOD_S)):
                    return
                left_ns = max(0.0, due - time.monotonic()) * rate * 1e9
                self._clock.publish(Clock(clock=to_time(stamp_ns - int(left_ns))))
            if stop.is_set():
                return
            self._clock.publish(Clock(clock=to_time(stamp_ns)))
            self._publishers[connection.topic].publish(bytes(raw))
            if on_time:
                on_time(stamp_ns)
            missing.discard(connection.topic)
            if after_pictures and not missing:
                missing, paused = set(cameras), time.monotonic()
                after_pictures()
                began += time.monotonic() - paused

    def close(self) -> None:
        """Close the recording."""
        self._reader.close()


def _message_class(msgtype: str) -> type | None:
    """The class of "sensor_msgs/msg/Image"; None if its package is not installed."""
    package, _, name = msgtype.split("/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name, None)
    except ImportError:
        return None
