"""A teleoperator's topic: as long as it is fresh, the arm is the teleoperator's."""

import time
from collections.abc import Callable

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription

from cls_vla_ros.node.message_types import class_of
from cls_vla_ros.robot.settings import TakeoverSettings

# A driver's best effort is heard as well.
QOS = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)


class TakeoverTopic:
    """Called by the executor."""

    def __init__(self, settings: TakeoverSettings, take_over: Callable[[str, bool], None]) -> None:
        """Begin with the arm given back.

        Args:
            settings: from the parameters.
            take_over: takes who has the arm, and whether it is taken or given back.
        """
        self._settings, self._take_over = settings, take_over
        self._heard_s: float | None = None  # while it is taken

    def subscribe(self, node: Node) -> Subscription | None:
        """Hear the topic, if there is one.

        Raises:
            ValueError: there is no such type of messages.
        """
        settings = self._settings
        if not settings.topic:
            return None
        kind = class_of(settings.type, "takeover.type")
        return node.create_subscription(kind, settings.topic, self.heard, QOS)

    def heard(self, message) -> None:
        """The teleoperator says something; of a joystick, only with the button down."""
        button = self._settings.button
        buttons = getattr(message, "buttons", None)
        if button >= 0 and buttons is not None and not (len(buttons) > button and buttons[button]):
            return
        was_given_back, self._heard_s = self._heard_s is None, time.monotonic()
        if was_given_back:
            self._take_over(f"the topic {self._settings.topic}", True)

    def look(self) -> None:
        """Is it still fresh? Ten times a second."""
        since = self._heard_s
        if since is not None and time.monotonic() - since > self._settings.fresh_s:
            self._heard_s = None
            self._take_over(f"the topic {self._settings.topic}", False)
