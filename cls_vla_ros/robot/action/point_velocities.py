"""Velocities for the points of a trajectory.

Between points without velocities, ros2_control's joint_trajectory_controller goes in straight
lines: the velocity jumps at each point, and at each chunk that takes over.
"""

import numpy as np


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
