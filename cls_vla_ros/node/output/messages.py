"""From a result to the messages that the node publishes."""

import math

import numpy as np
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from cls_vla_ros.msg import ActionChunk, SceneChange
from cls_vla_ros.node.output.stamps import to_duration, to_time
from cls_vla_ros.robot.inference_loop import Result
from cls_vla_ros.robot.joints import ros_unit
from cls_vla_ros.robot.settings import ActionSettings


def to_scene_change(result: Result, threshold: float, glance_threshold: float) -> SceneChange:
    """What the gate saw.

    Args:
        result: of one inference.
        threshold: the present one, published where the gate did not run.
        glance_threshold: that of the glance.
    """
    inference = result.inference
    decision = inference.decision
    message = SceneChange()
    message.header.stamp = to_time(result.snapshot.newest_frame_ns)
    message.inference_id = result.inference_id
    message.episode = inference.episode
    message.evaluated = decision is not None and not inference.prefix_reused
    message.has_history = decision is not None and decision.has_history
    message.similarity = decision.similarity if decision else math.nan
    message.threshold = decision.threshold if decision else threshold
    message.should_cache = decision is not None and decision.should_cache
    message.scene_changed = message.evaluated and decision.scene_changed
    message.prefix_reused = inference.prefix_reused
    message.reason = int(inference.reason)
    message.cache_length = inference.cache_length
    message.cache_age_s = inference.cache_age_s
    message.motion = inference.motion
    message.glance_score = inference.glance_score
    message.glance_threshold = glance_threshold
    message.consecutive_reuses = inference.consecutive_reuses
    message.hit_rate = inference.hit_rate
    message.reuse_rate = inference.reuse_rate
    message.prefix_ms = inference.prefix_ms + inference.refresh_ms  # one of them is 0
    message.denoise_ms = inference.denoise_ms
    message.total_ms = inference.total_ms
    message.observation_age_ms = result.observation_age_ms
    return message


def to_action_chunk(result: Result, actions: np.ndarray, settings: ActionSettings) -> ActionChunk:
    """The chunk.

    Args:
        result: of one inference.
        actions: (T, A) in ROS units, finite.
        settings: names, units and step time.
    """
    message = ActionChunk()
    message.header.stamp = to_time(result.snapshot.newest_frame_ns)
    message.inference_id = result.inference_id
    message.episode = result.inference.episode
    message.names = settings.names
    message.units = [ros_unit(unit) for unit in settings.units]
    message.dt = settings.dt_s
    message.chunk_size, message.action_dim = actions.shape
    message.data = actions.reshape(-1).tolist()
    return message


def to_joint_trajectory(
    result: Result, actions: np.ndarray, settings: ActionSettings, first: int = 0
) -> JointTrajectory:
    """The chunk for ros2_control's joint_trajectory_controller.

    Action k is the position commanded at stamp + k dt, as in the recording that the policy learned
    from; the arm is there one step later, so that is the time of its point.

    Args:
        result: of one inference.
        actions: (T, A) joint positions in rad and m, finite.
        settings: names and step time.
        first: the step to begin with. Points of the past are left out: a controller would begin
            with a position between two of them, which nobody has compared with where the arm is.
    """
    message = JointTrajectory()
    message.header.stamp = to_time(result.snapshot.newest_frame_ns)
    message.joint_names = settings.names
    message.points = [
        JointTrajectoryPoint(
            positions=positions.tolist(), time_from_start=to_duration((step + 1) * settings.dt_s)
        )
        for step, positions in enumerate(actions)
        if step >= first
    ]
    return message


def to_command(
    kind: str, names: list[str], values: np.ndarray, now_ns: int, rate_hz: float
) -> Float64MultiArray | JointState | JointTrajectory:
    """One command of the stream.

    Args:
        kind: one of `settings.COMMANDS`.
        names: of the joints.
        values: (A,) rad or m.
        now_ns: ROS time.
        rate_hz: commands per second: a trajectory's point is due when the next command comes.
    """
    if kind == "float64_multi_array":
        return Float64MultiArray(data=values.tolist())
    if kind == "joint_state":
        message = JointState(name=names, position=values.tolist())
    else:
        point = JointTrajectoryPoint(
            positions=values.tolist(), time_from_start=to_duration(1 / rate_hz)
        )
        message = JointTrajectory(joint_names=names, points=[point])
    message.header.stamp = to_time(now_ns)
    return message
