"""Twists and poses out of action values."""

import numpy as np

from cls_vla_ros.node.message_types import type_of
from cls_vla_ros.node.output.stamps import to_time
from cls_vla_ros.robot.action import outputs
from cls_vla_ros.robot.action.orientation import to_quaternion
from cls_vla_ros.robot.settings import OutputSettings


def to_cartesian(output: OutputSettings, values: np.ndarray, now_ns: int):
    """A Twist, TwistStamped or PoseStamped.

    Args:
        output: from the parameters; what it does not name is 0.
        values: (A,) of this output: m/s and rad/s, or m, rad and shares of a quaternion.
        now_ns: ROS time.
    """
    message = type_of(output.type)()
    by_name = dict(zip(output.rename, map(float, values), strict=True))
    if output.type == outputs.POSE:
        target = message.pose
        quaternion = to_quaternion(by_name)
        by_name = {name: by_name[name] for name in outputs.POSITION_NAMES}
        by_name |= dict(zip(outputs.QUATERNION, quaternion, strict=True))
    else:
        target = message.twist if output.type == outputs.TWIST_STAMPED else message
    for name, value in by_name.items():
        vector, _, axis = name.partition(".")
        setattr(getattr(target, vector), axis, value)
    if output.type != outputs.TWIST:
        message.header.stamp = to_time(now_ns)
        message.header.frame_id = output.frame_id
    return message
