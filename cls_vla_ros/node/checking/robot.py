"""Listens to a robot, and asks the graph and the controllers, as the node does."""

import time
from dataclasses import dataclass, field
from functools import partial

from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from std_msgs.msg import String

from cls_vla_ros.node.connections import (
    IMAGE_TYPES,
    LATCHED_QOS,
    OUTPUT_QOS,
    check_names,
    qos_of,
)
from cls_vla_ros.node.graph import SETTLE_S, Endpoint, Endpoints, Graph, sources_of
from cls_vla_ros.node.input.serialized import read_image
from cls_vla_ros.node.message_types import type_of
from cls_vla_ros.node.output.ask_controllers import check_controllers
from cls_vla_ros.robot.action.outputs import GRIPPERS
from cls_vla_ros.robot.checking.findings import Findings
from cls_vla_ros.robot.checking.heard import Heard
from cls_vla_ros.robot.observation.images import ImageError
from cls_vla_ros.robot.settings import NODE_NAME, OutputSettings, Settings

PATIENCE_S = 7.0  # more than was asked for


@dataclass
class Ends:
    """Who is at the other end of the topics, in words.

    Attributes:
        publishers: by topic: who, and with what quality of service.
        subscribers: by output's topic: who.
        robot_description: the URDF, if there is one.
    """

    publishers: dict[str, str] = field(default_factory=dict)
    subscribers: dict[str, str] = field(default_factory=dict)
    robot_description: str = ""


def listen(
    node: Node, settings: Settings, heard: Heard, findings: Findings, seconds: float
) -> Ends:
    """Hear the sources for a while, and find out who takes the commands.

    Args:
        node: with no executor of its own.
        settings: from the parameters.
        heard: gets what comes.
        findings: get what the graph and the controllers say.
        seconds: how long, at least until discovery has settled.

    Raises:
        ValueError: a topic's name cannot be one, or a controller has other joints.
    """
    check_names(node, settings)
    ends = Ends()
    endpoints = _subscribe(node, settings, heard, ends)
    graph = Graph(node, lambda text: None)  # what it says while others are still found may pass
    graph.watch(endpoints, sources_of(settings))
    _spin(node, settings, heard, max(seconds, 2 * SETTLE_S))
    heard.observe(_now_ns(node), at_the_end=heard.snapshot is None)
    graph.look()
    findings.bad += graph.said
    _look(node, settings, ends, findings)
    check_controllers(node, settings, findings.notes.append)
    return ends


def _subscribe(node: Node, settings: Settings, heard: Heard, ends: Ends) -> Endpoints:
    endpoints = Endpoints()

    def frame(camera, data: bytes) -> None:
        try:
            message = read_image(data, camera.transport)
        except ImageError as error:
            heard.unreadable(camera, str(error))
        else:
            heard.frame(camera, message, _now_ns(node))

    def state(source, message) -> None:
        heard.state(source, message, _now_ns(node))

    for camera in settings.cameras:
        kind, qos = IMAGE_TYPES[camera.transport], qos_of(camera)
        node.create_subscription(kind, camera.topic, partial(frame, camera), qos, raw=True)
        endpoints.inputs.append(Endpoint(camera.topic, kind, qos))
    for source in settings.state.sources:
        kind, qos = type_of(source.type), qos_of(source)
        node.create_subscription(kind, source.topic, partial(state, source), qos)
        endpoints.inputs.append(Endpoint(source.topic, kind, qos))
    if settings.limits.from_robot_description:

        def take(message: String) -> None:
            ends.robot_description = message.data

        node.create_subscription(String, "robot_description", take, LATCHED_QOS)
    for output in settings.action.outputs:
        if output.type not in GRIPPERS:
            endpoints.outputs.append(Endpoint(output.topic, type_of(output.type), OUTPUT_QOS))
    return endpoints


def _spin(node: Node, settings: Settings, heard: Heard, seconds: float) -> None:
    """Hear for so long; longer where somebody publishes what has not come yet: DDS may be slow."""
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    began = time.monotonic()
    try:
        while (took_s := time.monotonic() - began) < seconds + PATIENCE_S:
            if took_s >= seconds and not _is_awaited(node, settings, heard):
                return
            executor.spin_once(timeout_sec=0.1)
            heard.observe(_now_ns(node))
    finally:
        executor.remove_node(node)
        executor.shutdown()


def _is_awaited(node: Node, settings: Settings, heard: Heard) -> bool:
    came = {camera.topic: heard.cameras[camera.name] for camera in settings.cameras}
    came |= {source.topic: heard.states[source.name] for source in settings.state.sources}
    silent = [topic for topic, c in came.items() if not c.count and not c.refused]
    return any(node.count_publishers(topic) for topic in silent)


def _look(node: Node, settings: Settings, ends: Ends, findings: Findings) -> None:
    for source in (*settings.cameras, *settings.state.sources):
        infos = node.get_publishers_info_by_topic(source.topic)
        ends.publishers[source.topic] = ", ".join(
            f"{info.node_name} ({info.qos_profile.reliability.name.lower()})" for info in infos
        )
    actions = {name for name, _ in node.get_service_names_and_types()}
    for output in settings.action.outputs:
        ends.subscribers[output.topic] = _who_takes(node, output, actions, findings)


def _who_takes(node: Node, output: OutputSettings, services: set[str], findings: Findings) -> str:
    name = node.resolve_topic_name(output.topic)
    if output.type in GRIPPERS:
        if f"{name}/_action/send_goal" in services:
            return "an action server"
        findings.bad.append(f"there is no action server {name}: nobody would take the gripper")
        return ""
    others = {i.node_name for i in node.get_publishers_info_by_topic(output.topic)} - {NODE_NAME}
    if others:
        findings.doubts.append(
            f"{name} is published by {' and '.join(sorted(others))} already: two would command "
            "the same joints. Stop the other one before the policy acts"
        )
    infos = node.get_subscriptions_info_by_topic(output.topic)
    if not infos:
        parameter = f"output.{output.name}.topic" if output.name else "the remapping of it"
        findings.bad.append(
            f"nobody subscribes to {name}: no command would be executed. Start the controller, "
            f"or correct {parameter}"
        )
    return ", ".join(sorted({info.node_name for info in infos}))


def _now_ns(node: Node) -> int:
    return node.get_clock().now().nanoseconds
