"""Which topics of a recording are played, and how they are offered."""

from collections.abc import Iterable

from rclpy.qos import DurabilityPolicy, QoSProfile
from rosbags.interfaces import Connection, QosDurability

from cls_vla_ros.node.view.values import NUMBERS
from cls_vla_ros.node.view.values import TOPIC as VALUES

# Of ROS's own: a second /clock makes the time jump back at every message, and what is told of
# parameters and logs is of nodes that are not there.
OF_ROS = ("/clock", "/rosout", "/parameter_events", "/diagnostics")
# A policy node's outputs, in any namespace: nobody could tell the recorded from the new, and a
# recorded trajectory would move the arm.
OUTPUTS = ("scene_change", "action_chunk", "joint_trajectory", "joint_command", "transition_event")
OUTPUT_TYPES = ("cls_vla_ros/msg/SceneChange", "cls_vla_ros/msg/ActionChunk")


def why_not_played(connection: Connection) -> str:
    """Why a topic is left out; empty if it is played."""
    topic = connection.topic
    if topic in OF_ROS:
        return f"{topic} is not played: it is the recording's, and ROS has its own now"
    is_output = topic.endswith(f"/{VALUES}") or topic.rpartition("/")[2] in OUTPUTS
    is_output |= f"/{NUMBERS}/" in topic
    if is_output or connection.msgtype in OUTPUT_TYPES:
        return f"{topic} is not played: it is an output of a policy node, as was recorded"
    return ""


def qos_of(connections: Iterable[Connection]) -> QoSProfile:
    """How a topic is offered: latched if it was, so that who asks for that hears it.

    Args:
        connections: all of one topic: each publisher that was recorded may be one.
    """
    offered = [qos for connection in connections for qos in connection.ext.offered_qos_profiles]
    latched = [qos for qos in offered if qos.durability is QosDurability.TRANSIENT_LOCAL]
    if not latched:
        return QoSProfile(depth=10)
    depth = max(10, *(qos.depth for qos in latched))
    return QoSProfile(depth=depth, durability=DurabilityPolicy.TRANSIENT_LOCAL)
