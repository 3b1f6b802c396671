"""Which cameras, joints and controllers run here."""

import time
from collections.abc import Callable

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import JointState

from cls_vla_ros.node.graph import SETTLE_S
from cls_vla_ros.node.output.ask_controllers import ask
from cls_vla_ros.robot.action import outputs
from cls_vla_ros.robot.action.controller_joints import JOINTS
from cls_vla_ros.robot.making.around import Around, Controller

PICTURES = {"sensor_msgs/msg/Image": "raw", "sensor_msgs/msg/CompressedImage": "compressed"}
COMMANDS = {  # what is subscribed to, and how its topic ends
    "trajectory_msgs/msg/JointTrajectory": (outputs.TRAJECTORY, "/joint_trajectory"),
    "std_msgs/msg/Float64MultiArray": (outputs.ARRAY, "/commands"),
}
GOALS = {
    "control_msgs/action/GripperCommand_SendGoal": outputs.GRIPPER,
    "control_msgs/action/ParallelGripperCommand_SendGoal": outputs.PARALLEL_GRIPPER,
}
SEND_GOAL = "/_action/send_goal"
LISTEN_S = 5.0  # at most, for a JointState of each topic


def look_around(node: Node) -> Around:
    """Look at the graph for two seconds, hear a JointState of each topic, ask the controllers.

    Args:
        node: with no executor of its own.
    """
    around = Around()
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    try:
        _spin(executor, 2 * SETTLE_S)
        for topic, types in node.get_topic_names_and_types():
            name = topic.lstrip("/")
            if types[0] in PICTURES and node.count_publishers(topic):
                around.pictures[name] = PICTURES[types[0]]
            if types == ["sensor_msgs/msg/JointState"] and node.count_publishers(topic):
                around.joint_states[name] = []
                node.create_subscription(
                    JointState,
                    topic,
                    lambda message, name=name: around.joint_states.update(
                        {name: list(message.name)}
                    ),
                    qos_profile_sensor_data,
                )
            if topic == "/robot_description" and node.count_publishers(topic):
                around.has_robot_description = True
        _spin(executor, LISTEN_S, until=lambda: all(around.joint_states.values()))
    finally:
        executor.remove_node(node)
        executor.shutdown()
    around.controllers += _controllers(node)
    return around


def _controllers(node: Node) -> list[Controller]:
    found = []
    services = dict(node.get_service_names_and_types())
    for topic, types in node.get_topic_names_and_types():
        kind, ending = COMMANDS.get(types[0], ("", ""))
        path = topic.removesuffix(ending)
        # A topic of no controller's is the short form's own: who hears that need not be named.
        if kind and path not in ("", topic) and node.count_subscribers(topic):
            found.append(_controller(node, topic, kind, path, services))
    for service, types in services.items():
        if service.endswith(SEND_GOAL) and types[0] in GOALS:
            action = service.removesuffix(SEND_GOAL)
            path = action.rpartition("/")[0]
            found.append(_controller(node, action, GOALS[types[0]], path, services))
    return found


def _controller(
    node: Node, topic: str, kind: str, path: str, services: dict[str, list[str]]
) -> Controller:
    parameter, service = JOINTS.get(kind), f"{path}/get_parameters"
    said = ask(node, service, [parameter]) if parameter and service in services else {}
    joints = said.get(parameter) or []
    return Controller(
        name=path.strip("/").replace("/", "_"),
        topic=topic.lstrip("/"),
        type=kind,
        joints=[joints] if isinstance(joints, str) else list(joints),
    )


def _spin(
    executor: SingleThreadedExecutor, seconds: float, until: Callable[[], bool] = lambda: False
) -> None:
    ends_at = time.monotonic() + seconds
    while not until() and (left_s := ends_at - time.monotonic()) > 0:
        if not rclpy.ok(context=executor.context):
            return
        executor.spin_once(timeout_sec=left_s)
