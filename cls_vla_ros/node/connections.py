"""Topics, service and timer of a configured node: made and destroyed together."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import String
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from cls_vla_ros.msg import ActionChunk, SceneChange
from cls_vla_ros.node.settings import Settings

NODE_NAME = "cls_vla_policy"
IMAGE_TYPES = {"raw": Image, "compressed": CompressedImage}
OUTPUT_QOS = QoSProfile(depth=10)  # reliable
# Only the newest frame is of use: an older one in the queue would be deserialised for nothing.
FRAME_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
DIAGNOSTICS_PERIOD_S = 1.0


@dataclass(frozen=True)
class Handlers:
    """Who takes what comes in. They run in the executor's thread."""

    frame: Callable
    joint_state: Callable
    task: Callable
    reset: Callable
    backward_jump: Callable


class Diagnostics:
    """/diagnostics, in every state of the node; absolute, by convention."""

    def __init__(self, node: LifecycleNode, make: Callable[[], DiagnosticArray]) -> None:
        """Publish what `make` makes, once a second, until the node is destroyed."""
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", OUTPUT_QOS)
        self._make = make
        # Not in ROS time: it is just when /clock stands still that one looks at the diagnostics.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        node.create_timer(DIAGNOSTICS_PERIOD_S, self.publish, clock=steady)

    def publish(self) -> None:
        """Now."""
        self._publisher.publish(self._make())


class Connections:
    """What a configured node hears and says.

    All names are relative, so that a namespace holds a whole robot.

    Attributes:
        scene_change: publisher.
        action_chunk: publisher.
        joint_trajectory: publisher, or None where the actions are not joint positions.
    """

    def __init__(self, node: LifecycleNode, settings: Settings, handlers: Handlers) -> None:
        """Make all of them, or none.

        Raises:
            rclpy.exceptions.NameValidationException: a topic's name cannot be one.
        """
        self._close: list[Callable[[], None]] = []
        try:
            self._connect(node, settings, handlers)
        except Exception:
            self.close()
            raise

    def close(self) -> None:
        """Destroy all of them."""
        while self._close:
            self._close.pop()()

    def _connect(self, node: LifecycleNode, settings: Settings, handlers: Handlers) -> None:
        self.scene_change = self._output(node, SceneChange, "scene_change")
        self.action_chunk = self._output(node, ActionChunk, "action_chunk")
        self.joint_trajectory = None
        if settings.action.kind == "joint_positions":
            self.joint_trajectory = self._output(node, JointTrajectory, "joint_trajectory")

        for camera in settings.cameras:
            take = partial(handlers.frame, camera)
            self._input(node, IMAGE_TYPES[camera.transport], camera.topic, take, FRAME_QOS)
        self._input(
            node, JointState, settings.state.topic, handlers.joint_state, qos_profile_sensor_data
        )
        self._input(node, String, "task", handlers.task, OUTPUT_QOS)

        reset = node.create_service(Trigger, "reset", handlers.reset)
        self._close.append(partial(node.destroy_service, reset))
        any_backward = JumpThreshold(
            min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=False
        )
        jump = node.get_clock().create_jump_callback(
            any_backward, post_callback=handlers.backward_jump
        )
        self._close.append(jump.unregister)

    def _output(self, node: LifecycleNode, kind: type, name: str):
        publisher = node.create_lifecycle_publisher(kind, name, OUTPUT_QOS)
        self._close.append(partial(node.destroy_lifecycle_publisher, publisher))
        return publisher

    def _input(
        self, node: LifecycleNode, kind: type, name: str, take: Callable, qos: QoSProfile
    ) -> None:
        subscription = node.create_subscription(kind, name, take, qos)
        self._close.append(partial(node.destroy_subscription, subscription))
