"""A sign of life for a lifecycle manager as nav2's, which lets the robot stand where it ends.

The protocol is bond_core's: both sides publish a Status with the bond's id, with nav2 the node's
name, on the topic bond; active: false, or a silence of heartbeat_timeout, breaks it.
"""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from uuid import uuid4

from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile

PERIOD_S, TIMEOUT_S = 0.1, 4.0  # as nav2's own nodes
FAREWELLS = 5  # one may be lost


class Bond:
    """Called by the executor. Without the package bond nothing is said, and the log says that."""

    def __init__(self, node: LifecycleNode, say: Callable[[str], None]) -> None:
        """Take the node.

        Args:
            node: which lives.
            say: gets a line if there is no such package.
        """
        self._node = node
        self._instance_id = str(uuid4())
        self._close: list[Callable[[], None]] = []
        try:
            self._status = import_module("bond.msg").Status
        except ImportError:
            self._status = None
            say(
                "the package bond is not installed: set bond_timeout to 0.0 in a manager of "
                "nav2's lifecycle, which would wait for a heartbeat"
            )

    def begin(self) -> None:
        """The node is active."""
        if self._status is None or self._close:
            return
        node = self._node
        self._publisher = node.create_publisher(self._status, "bond", QoSProfile(depth=5))
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        timer = node.create_timer(PERIOD_S, partial(self._publish, True), clock=steady)
        self._close += [
            partial(node.destroy_publisher, self._publisher),
            partial(node.destroy_timer, timer),
        ]

    def end(self) -> None:
        """The node is active no longer."""
        if self._close and self._node.context.ok():
            for _ in range(FAREWELLS):
                self._publish(False)
        while self._close:
            self._close.pop()()

    def _publish(self, active: bool) -> None:
        status = self._status(
            id=self._node.get_name(),
            instance_id=self._instance_id,
            active=active,
            heartbeat_timeout=TIMEOUT_S,
            heartbeat_period=PERIOD_S,
        )
        status.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(status)
