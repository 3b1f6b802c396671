"""The node from its beginning to an end that is always orderly."""

import gc
import sys

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn

from cls_vla_ros.node.health.reporter import describe
from cls_vla_ros.node.health.ros_logging import forward_logging
from cls_vla_ros.node.policy_node import PolicyNode
from cls_vla_ros.node.signals import ignore_further_signals


def run(args: list[str] | None) -> int:
    """Run the node until SIGINT or SIGTERM.

    Args:
        args: of the command line; None for the process's.

    Returns:
        The exit code: 1 if its command line or params file cannot be read, or if it was to start
        by itself (`autostart`) and could not; else 0.
    """
    # Inference and executor are two Python threads, and with Python's own 5 ms one waits that long
    # for the other at each of an inference's thousands of small steps.
    sys.setswitchinterval(0.0005)
    # Half a million objects of torch and transformers stay to the end: without looking at them a
    # collection takes some milliseconds, with them a third of a second in the middle of a motion.
    gc.freeze()
    try:
        rclpy.init(args=args)
        node = PolicyNode()
    except RuntimeError as error:  # rclpy's, of a command line or a params file
        print(f"policy_node: {' '.join(str(error).split())}", file=sys.stderr)
        rclpy.try_shutdown()
        return 1
    # Before autostart: after a signal in the midst of that, none can be made any more.
    executor = SingleThreadedExecutor()
    forward_logging(node.get_logger())
    code = 0
    try:
        if not node.get_parameter("autostart").value or _autostart(node):
            _spin(node, executor)
        elif rclpy.ok():
            code = 1
    except KeyboardInterrupt:  # Python's own, which comes before ROS has heard of the signal
        pass
    ignore_further_signals()
    node.destroy_node()
    rclpy.try_shutdown()
    return code


def _autostart(node: PolicyNode) -> bool:
    """Configure and activate; whether it is active. Why not, the transition has said."""
    try:
        return all(
            transition() == TransitionCallbackReturn.SUCCESS
            for transition in (node.trigger_configure, node.trigger_activate)
        )
    except RuntimeError:  # of rclpy, where a signal ended ROS meanwhile
        if rclpy.ok():
            raise
        return False


def _spin(node: PolicyNode, executor: SingleThreadedExecutor) -> None:
    """Spin until the end; what no callback foresaw is logged, and spinning goes on."""
    while rclpy.ok():
        try:
            rclpy.spin(node, executor)
        except ExternalShutdownException:
            return
        except Exception as error:
            if rclpy.ok():  # a publisher that the end of the process overtook is no fault
                node.get_logger().error(describe("a callback", error))
