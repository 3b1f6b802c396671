"""The process around the node, and an end that is always orderly."""

import gc
import sys

import rclpy
from rclpy.executors import ExternalShutdownException

from cls_vla_ros.node.health.reporter import describe
from cls_vla_ros.node.health.ros_logging import forward_logging
from cls_vla_ros.node.policy_node import PolicyNode
from cls_vla_ros.node.signals import ignore_further_signals


def main(args: list[str] | None = None) -> None:
    """Run the node until SIGINT or SIGTERM, and exit 0 then."""
    # Inference and executor are two Python threads, and with Python's own 5 ms one waits that long
    # for the other at each of an inference's thousands of small steps.
    sys.setswitchinterval(0.0005)
    # Half a million objects of torch and transformers stay to the end: without looking at them a
    # collection takes some milliseconds, with them a third of a second in the middle of a motion.
    gc.freeze()
    rclpy.init(args=args)
    node = PolicyNode()
    forward_logging(node.get_logger())
    _spin(node)
    ignore_further_signals()
    node.destroy_node()
    rclpy.try_shutdown()


def _spin(node: PolicyNode) -> None:
    """Spin until the end; what no callback foresaw is logged, and spinning goes on."""
    while rclpy.ok():
        try:
            rclpy.spin(node)
        except (KeyboardInterrupt, ExternalShutdownException):
            return
        except Exception as error:
            if rclpy.ok():  # a publisher that the end of the process overtook is no fault
                node.get_logger().error(describe("a callback", error))
