"""From a result to the messages that the node publishes."""

import math
from dataclasses import dataclass

import numpy as np
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from cls_vla_ros.msg import ActionChunk, SceneChange
from cls_vla_ros.node.output.cartesian import to_cartesian
from cls_vla_ros.node.output.gripper import to_goal
from cls_vla_ros.node.output.stamps import to_duration, to_time
from cls_vla_ros.robot.action import outputs
from cls_vla_ros.robot.inference_loop import Result
from cls_vla_ros.robot.joints import ros_unit
from cls_vla_ros.robot.settings import ActionSettings, OutputSettings
from cls_vla_ros.robot.stamps import NS


@dataclass(frozen=True)
class ToWhom:
    """Where actions go.

    Attributes:
        armed: whether controllers get them.
        taken_over: whether somebody else has the arm.
    """

    armed: bool
    taken_over: bool


def to_scene_change(
    result: Result,
    threshold: float,
    glance_threshold: float,
    has_say: bool,
    to_whom: ToWhom,
) -> SceneChange:
    """What the gate saw.

    Args:
        result: of one inference.
        threshold: the present one, published where the gate did not run.
        glance_threshold: that of the glance.
        has_say: whether the similarity means anything: that of an untrained head is noise, and
            would be an alarm at every second frame.
        to_whom: the actions go.
    """
    inference = result.inference
    decision = inference.decision
    message = SceneChange()
    message.header.stamp = to_time(result.snapshot.newest_frame_ns)
    message.inference_id = result.inference_id
    message.episode = inference.episode
    message.evaluated = decision is not None and not inference.prefix_reused
    message.has_history = decision is not None and decision.has_history
    message.similarity = decision.similarity if decision and has_say else math.nan
    message.threshold = decision.threshold if decision else threshold
    message.should_cache = decision is not None and decision.should_cache
    if message.has_history and not has_say:
        message.should_cache = False
    message.scene_changed = message.evaluated and has_say and decision.scene_changed
    message.prefix_reused = inference.prefix_reused
    message.reason = int(inference.reason)
    message.reason_text = inference.reason.words
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
    message.armed, message.taken_over = to_whom.armed, to_whom.taken_over
    return message


def to_action_chunk(
    result: Result,
    actions: np.ndarray,
    settings: ActionSettings,
    to_whom: ToWhom,
) -> ActionChunk:
    """The chunk.

    Args:
        result: of one inference.
        actions: (T, A) in ROS units, finite.
        settings: names, units and step time.
        to_whom: it goes.
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
    message.armed, message.taken_over = to_whom.armed, to_whom.taken_over
    return message


def to_joint_trajectory(
    stamp_ns: int,
    names: list[str],
    times_ns: np.ndarray,
    positions: np.ndarray,
    velocities: np.ndarray,
) -> JointTrajectory:
    """A trajectory for ros2_control's joint_trajectory_controller.

    Args:
        stamp_ns: of the observation; the points' times are counted from it.
        names: of the joints.
        times_ns: (T,) when the joints are at each point, after the stamp.
        positions: (T, A) joint positions in rad and m, finite.
        velocities: (T, A) of the points.
    """
    message = JointTrajectory()
    message.header.stamp = to_time(stamp_ns)
    message.joint_names = names
    message.points = [
        JointTrajectoryPoint(
            positions=position,
            velocities=velocity,
            time_from_start=to_duration((time_ns - stamp_ns) / NS),
        )
        for time_ns, position, velocity in zip(
            times_ns.tolist(), positions.tolist(), velocities.tolist(), strict=True
        )
    ]
    return message


def to_command(output: OutputSettings, values: np.ndarray, now_ns: int, rate_hz: float):
    """One command of the stream, as a message of the output's type, or as a goal of its action.

    Args:
        output: from the parameters.
        values: (A,) of this output, in ROS units.
        now_ns: ROS time.
        rate_hz: commands per second: a trajectory's point is due when the next command comes.
    """
    if output.type in (*outputs.TWISTS, outputs.POSE):
        return to_cartesian(output, values, now_ns)
    if output.type in outputs.GRIPPERS:
        return to_goal(output, values)
    if output.type == outputs.ARRAY:
        return Float64MultiArray(data=values.tolist())
    if output.type == outputs.JOINT_STATE:
        what = "velocity" if outputs.kind_of(output) == outputs.VELOCITY else "position"
        message = JointState(name=output.rename, **{what: values.tolist()})
    else:
        point = JointTrajectoryPoint(
            positions=values.tolist(), time_from_start=to_duration(1 / rate_hz)
        )
        message = JointTrajectory(joint_names=output.rename, points=[point])
    message.header.stamp = to_time(now_ns)
    message.header.frame_id = output.frame_id
    return message
