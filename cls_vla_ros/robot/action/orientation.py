"""Orientations among the action values: without jumps before they are played, normal after."""

import math
from collections.abc import Mapping

import numpy as np

from cls_vla_ros.robot.action.outputs import POSE
from cls_vla_ros.robot.settings import ActionSettings


def continuous(
    actions: np.ndarray, near: np.ndarray, action: ActionSettings, turns: np.ndarray
) -> np.ndarray:
    """The same orientations by numbers that do not jump.

    A quaternion and its negative are one orientation, an angle and the angle + 2 pi too; halfway
    between their numbers is another one, where nobody wanted to go.

    Args:
        actions: (T, A) in ROS units.
        near: (A,) where it begins; NaN where unknown.
        action: with the outputs.
        turns: (A,) bool, of joints that turn without end.

    Returns:
        (T, A), changed in the orientations of poses and in these joints alone.
    """
    poses = [*_orientations(action), *([int(j)] for j in np.flatnonzero(turns))]
    if not poses:
        return actions
    # From where it is; else as the first step has it.
    begin = np.where(np.isfinite(near), near, actions[0])
    path = np.vstack([begin, actions])
    for columns in poses:
        if len(columns) == 4:
            q = path[:, columns]
            flips = np.where((q[1:] * q[:-1]).sum(axis=1) < 0, -1.0, 1.0)
            path[1:, columns] = q[1:] * np.cumprod(flips)[:, None]
        else:
            path[:, columns] = np.unwrap(path[:, columns], axis=0)
    return path[1:]


def _orientations(action: ActionSettings) -> list[list[int]]:
    """The columns of the orientation of each pose: four of a quaternion, or three angles."""
    return [
        [
            action.names.index(name)
            for name, renamed in zip(output.names, output.rename, strict=True)
            if renamed.startswith("orientation.")
        ]
        for output in action.outputs
        if output.type == POSE
    ]


def nearest_turn(positions: np.ndarray, near: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """Where joints are, by the numbers nearest to others.

    Args:
        positions: (A,) as the driver says: some count turns, some do not.
        near: (A,) what they are compared with; NaN where there is nothing.
        turns: (A,) bool, of joints that turn without end.
    """
    if not turns.any():
        return positions
    apart = np.where(turns, np.nan_to_num(near - positions), 0.0)
    return positions + 2 * math.pi * np.round(apart / (2 * math.pi))


def to_quaternion(values: Mapping[str, float]) -> tuple[float, float, float, float]:
    """A unit quaternion, x y z w.

    Args:
        values: "orientation.x" to "orientation.w", of any length; or "orientation.roll",
            "orientation.pitch" and "orientation.yaw" in rad, about fixed axes (REP 103).
    """
    if "orientation.w" in values:
        quaternion = np.array([values[f"orientation.{axis}"] for axis in "xyzw"])
        length = float(np.linalg.norm(quaternion))
        # Without length it says nothing: no turn. `continuous` keeps what is played from that.
        return tuple((quaternion / length).tolist()) if length > 1e-6 else (0.0, 0.0, 0.0, 1.0)
    half = [values[f"orientation.{angle}"] / 2 for angle in ("roll", "pitch", "yaw")]
    (sr, sp, sy), (cr, cp, cy) = map(math.sin, half), map(math.cos, half)
    return (
        sr * cp * cy - cr * sp * sy,
        cr * sp * cy + sr * cp * sy,
        cr * cp * sy - sr * sp * cy,
        cr * cp * cy + sr * sp * sy,
    )
