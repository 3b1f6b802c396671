"""A chunk for a controller that takes it whole: from which step on, and with which velocities.

Between points without velocities, ros2_control's joint_trajectory_controller goes in straight
lines: the velocity jumps at each point, and at each chunk that takes over. And whatever the first
point is, and however soon it is due, it goes there from where it is.
"""

import numpy as np

from cls_vla_ros.robot.action.chunk_player import Chunk
from cls_vla_ros.robot.stamps import NS

TOLERANCE = 1e-6  # rad/s, s
LEAD_S = 0.1  # the first point is due no sooner: no small step is then made in no time
FROM_REST = 1.5  # of a cubic from rest to rest: its highest speed by its mean


def reachable_from(
    chunk: Chunk, start: np.ndarray, velocity: np.ndarray, now_ns: int
) -> tuple[int, int]:
    """The step to begin with, so that no point is due before it can be reached.

    The controller is taken to go there by a cubic, as ros2_control's does between points with
    velocities, and to be as fast now as the chunk is.

    Args:
        chunk: step k is reached at its stamp + k dt.
        start: (A,) what is commanded now, or where the joints are, ROS units; NaN for a value that
            may go anywhere.
        velocity: (A,) the most that each may be; infinity for any.
        now_ns: ROS time.

    Returns:
        Its number, and by how many nanoseconds all points must be later: 0 unless even the last
        step is too soon.
    """
    last = len(chunk.actions) - 1
    due_s = (chunk.stamp_ns - now_ns) / NS + np.arange(last + 1) * chunk.dt_s  # (T,)
    speeds = np.zeros_like(chunk.actions)
    if last:
        speeds[:-1] = np.gradient(chunk.actions, chunk.dt_s, axis=0)[:-1]  # it ends at rest
    way = np.nan_to_num(chunk.actions - start)  # (T, A)
    mean = way / np.maximum(due_s, LEAD_S)[:, None]
    before = speeds[int(chunk.step_at(now_ns))]
    peak = np.where(np.isnan(start), 0.0, _peak(mean, np.broadcast_to(before, mean.shape), speeds))
    in_time = (due_s >= LEAD_S - TOLERANCE) & (peak <= velocity + TOLERANCE).all(axis=1)
    if in_time.any():
        return int(np.argmax(in_time)), 0
    needs_s = float((np.abs(way[last]) * FROM_REST / velocity).max())
    return last, max(0, round((max(needs_s, LEAD_S) - due_s[last]) * NS))


def _peak(mean: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The highest speed between the ends of a cubic, from its mean and those at its ends."""
    turn = 12 * mean - 6 * before - 6 * after
    with np.errstate(divide="ignore", invalid="ignore"):
        at = (6 * mean - 4 * before - 2 * after) / turn
    at = np.clip(np.where(np.abs(turn) > TOLERANCE, at, 0.0), 0.0, 1.0)
    speed = 6 * mean * at * (1 - at) + before * (1 - at) * (1 - 3 * at) + after * at * (3 * at - 2)
    return np.maximum(np.abs(speed), np.abs(mean))


def point_velocities(
    actions: np.ndarray, dt_s: float, measured: np.ndarray, limit: np.ndarray
) -> np.ndarray:
    """By finite differences, from the measured velocity to standing still.

    The last is 0, because the controller refuses another one by default since Jazzy
    (allow_nonzero_velocity_at_trajectory_end), and a chunk that nothing follows ends there.

    Args:
        actions: (T, A) float64 positions of the points that are sent, rad or m, dt apart.
        dt_s: time between two of them.
        measured: (A,) how fast the joints move now, per second; NaN where unknown: then the first
            difference is taken.
        limit: (A,) the most that each may be; infinity for any.

    Returns:
        (T, A) rad/s or m/s.
    """
    velocities = np.zeros_like(actions)
    if len(actions) > 1:
        velocities[1:-1] = (actions[2:] - actions[:-2]) / (2 * dt_s)  # central
        velocities[0] = (actions[1] - actions[0]) / dt_s
        velocities[0] = np.where(np.isfinite(measured), measured, velocities[0])
    return np.clip(velocities, -limit, limit)
