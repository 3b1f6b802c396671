"""`chunk_values`: publish each action_chunk again as action_chunk/values, for tools that plot.

A sensor_msgs/JointState with the names elbow[0], elbow[1] and so on: value by joint and step.
`ros2 launch cls_vla_ros policy.launch.py view:=...` starts it. It commands nothing.
"""

import sys

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from sensor_msgs.msg import JointState

from cls_vla_ros.msg import ActionChunk
from cls_vla_ros.node.connections import OUTPUT_QOS
from cls_vla_ros.node.signals import ignore_further_signals
from cls_vla_ros.node.view.values import TOPIC, to_values


class ChunkValues(Node):
    """Hears action_chunk, says action_chunk/values."""

    def __init__(self, **kwargs) -> None:
        """Connect.

        Args:
            kwargs: rclpy's.
        """
        super().__init__("chunk_values", **kwargs)
        values = self.create_publisher(JointState, TOPIC, OUTPUT_QOS)
        self.create_subscription(
            ActionChunk, "action_chunk", lambda c: values.publish(to_values(c)), OUTPUT_QOS
        )


def main() -> None:
    """Run until SIGINT or SIGTERM."""
    rclpy.init(args=sys.argv)
    node = ChunkValues()
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        ignore_further_signals()
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
