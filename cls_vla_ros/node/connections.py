"""Topics, service and timer of a configured node: made and destroyed together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.action import ActionClient
from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger

from cls_vla_ros.msg import ActionChunk, SceneChange
from cls_vla_ros.node.graph import Endpoint, Endpoints
from cls_vla_ros.node.message_types import type_of
from cls_vla_ros.node.output.gripper import GripperGoals
from cls_vla_ros.robot.action.outputs import GRIPPERS
from cls_vla_ros.robot.settings import CameraSettings, OutputSettings, Settings, SourceSettings

if TYPE_CHECKING:  # it brings torch, for which a client of the node has no use
    from cls_vla_ros.node.command.services import Services
    from cls_vla_ros.node.output.action_output import ActionOutput

IMAGE_TYPES = {"raw": Image, "compressed": CompressedImage}
OUTPUT_QOS = QoSProfile(depth=10)  # reliable
LATCHED_QOS = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
FORTH = Duration(seconds=1.1)  # a /clock may tick once a second
WATCH_PERIOD_S = 0.1
DIAGNOSTICS_PERIOD_S = 1.0


@dataclass(frozen=True)
class Handlers:
    """Who takes what comes in. They run in the executor's thread."""

    frame: Callable
    state: Callable
    task: Callable
    services: "Services"
    watch: Sequence[Callable]
    jump: Callable
    subscribe: Callable
    not_taken: Callable


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
        endpoints: all that is heard and said, for the graph.
    """

    def __init__(
        self, node: LifecycleNode, settings: Settings, handlers: Handlers, output: "ActionOutput"
    ) -> None:
        """Make all of them, or none.

        Args:
            node: whose.
            settings: with the topics.
            handlers: of what comes in.
            output: gets the publishers of what it publishes.

        Raises:
            rclpy.exceptions.NameValidationException: a topic's name cannot be one.
        """
        self._close: list[Callable[[], None]] = []
        self.endpoints = Endpoints()
        try:
            self._connect(node, settings, handlers)
            self._connect_output(node, settings, handlers, output)
        except Exception:
            self.close()
            raise

    def close(self) -> None:
        """Destroy all of them."""
        while self._close:
            self._close.pop()()

    def _connect(self, node: LifecycleNode, settings: Settings, handlers: Handlers) -> None:
        self.scene_change = self._output(node, SceneChange, "scene_change")
        for camera in settings.cameras:
            take = partial(handlers.frame, camera)
            kind = IMAGE_TYPES[camera.transport]
            self._input(node, kind, camera.topic, take, qos_of(camera), serialized=True)
        for source in settings.state.sources:
            take = partial(handlers.state, source)
            self._input(node, type_of(source.type), source.topic, take, qos_of(source))
        self._input(node, String, "task", handlers.task, OUTPUT_QOS)
        # Once more, for who latched it before the node was there. That publishers which latch
        # nothing do not match this one is no fault.
        latched = node.create_subscription(
            *(String, "task", handlers.task, LATCHED_QOS),
            event_callbacks=SubscriptionEventCallbacks(use_default_callbacks=False),
        )
        self._close.append(partial(node.destroy_subscription, latched))

        services = handlers.services
        for name, kind, answer in (
            ("reset", Trigger, services.reset),
            ("pause", SetBool, services.pause),
            ("stop", Trigger, services.stop),
            ("arm", SetBool, services.arm),
            ("takeover", SetBool, services.takeover),
        ):
            service = node.create_service(kind, name, answer)
            self._close.append(partial(node.destroy_service, service))
        if (teleoperator := handlers.subscribe(node)) is not None:
            self._close.append(partial(node.destroy_subscription, teleoperator))
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        for watch in handlers.watch:
            self._every(node, WATCH_PERIOD_S, watch, steady)
        jumps = JumpThreshold(
            min_forward=FORTH, min_backward=Duration(nanoseconds=-1), on_clock_change=False
        )
        jump = node.get_clock().create_jump_callback(jumps, post_callback=handlers.jump)
        self._close.append(jump.unregister)

    def _connect_output(
        self,
        node: LifecycleNode,
        settings: Settings,
        handlers: Handlers,
        output: "ActionOutput",
    ) -> None:
        output.action_chunk = self._output(node, ActionChunk, "action_chunk")
        for number, of_output in enumerate(settings.action.outputs):
            kind = type_of(of_output.type)
            if of_output.type in GRIPPERS:
                client = ActionClient(node, kind, of_output.topic)
                sender = GripperGoals(client, of_output, handlers.not_taken)
                self._close.append(sender.close)
            else:
                sender = self._output(node, kind, of_output.topic)
            preview = node.create_lifecycle_publisher(*preview_of(of_output), OUTPUT_QOS)
            self._close.append(partial(node.destroy_lifecycle_publisher, preview))
            output.connect(number, sender, preview)
        if output.player is not None:
            self._every(node, 1 / settings.execution.rate_hz, output.tick, node.get_clock())
        if settings.limits.from_robot_description:
            take = output.take_robot_description
            self._input(node, String, "robot_description", take, LATCHED_QOS)

    def _every(
        self, node: LifecycleNode, period_s: float, do: Callable[[], None], clock: Clock
    ) -> None:
        timer = node.create_timer(period_s, do, clock=clock)
        self._close.append(partial(node.destroy_timer, timer))

    def _output(self, node: LifecycleNode, kind: type, name: str):
        publisher = node.create_lifecycle_publisher(kind, name, OUTPUT_QOS)
        self.endpoints.outputs.append(Endpoint(name, kind, OUTPUT_QOS))
        self._close.append(partial(node.destroy_lifecycle_publisher, publisher))
        return publisher

    def _input(
        self,
        node: LifecycleNode,
        kind: type,
        name: str,
        take: Callable,
        qos: QoSProfile,
        serialized: bool = False,
    ) -> None:
        subscription = node.create_subscription(kind, name, take, qos, raw=serialized)
        self.endpoints.inputs.append(Endpoint(name, kind, qos))
        self._close.append(partial(node.destroy_subscription, subscription))


def preview_of(output: OutputSettings) -> tuple[type, str]:
    """Type and name of the topic that shows what an output's controller would get.

    Args:
        output: from the parameters.
    """
    kind = JointState if output.type in GRIPPERS else type_of(output.type)
    return kind, f"~/preview/{output.topic.lstrip('/~')}"


def check_names(node: LifecycleNode, settings: Settings) -> None:
    """Can the topics of the parameters be names?

    Raises:
        ValueError: one cannot, with its parameter.
    """
    names = {f"camera.{camera.name}.topic": camera.topic for camera in settings.cameras}
    for source in settings.state.sources:
        names[f"source.{source.name}.topic" if source.name else "state.topic"] = source.topic
    for output in settings.action.outputs:
        if output.name:  # the short form's are ours
            names[f"output.{output.name}.topic"] = output.topic
    for parameter, topic in names.items():
        try:
            node.resolve_topic_name(topic)
        except RuntimeError as error:  # rclpy's RCLError, with a file and line of rcl's behind it
            text = str(error).removeprefix("failed to resolve name: ").partition(", at ")[0]
            raise ValueError(f"{parameter} is {topic!r}, which cannot be: {text}") from None


def qos_of(source: CameraSettings | SourceSettings) -> QoSProfile:
    """The subscription's quality of service, as the parameters have it."""
    return QoSProfile(
        depth=source.depth, reliability=ReliabilityPolicy[source.reliability.upper()]
    )
