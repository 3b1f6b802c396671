"""`chunk_values`: what plain tools can plot, of each action_chunk and scene_change.

plot/action_chunk is a sensor_msgs/JointState with the names elbow[0], elbow[1] and so on: value by
joint and step. plot/similarity, plot/total_ms and so on are a std_msgs/Float64 for each number of
a scene_change. `ros2 launch cls_vla_ros policy.launch.py view:=...` starts it. It commands
nothing.
"""

import sys

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64

from cls_vla_ros.msg import ActionChunk, SceneChange
from cls_vla_ros.node.connections import OUTPUT_QOS
from cls_vla_ros.node.signals import ignore_further_signals
from cls_vla_ros.node.view.values import NAMES, NUMBERS, TOPIC, to_numbers, to_values


class ChunkValues(Node):
    """Hears action_chunk and scene_change, says plot/*."""

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
        self._numbers = {
            name: self.create_publisher(Float64, f"{NUMBERS}/{name}", OUTPUT_QOS) for name in NAMES
        }
        self.create_subscription(SceneChange, "scene_change", self._on_scene_change, OUTPUT_QOS)

    def _on_scene_change(self, message: SceneChange) -> None:
        for name, value in to_numbers(message).items():
            self._numbers[name].publish(Float64(data=value))


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
