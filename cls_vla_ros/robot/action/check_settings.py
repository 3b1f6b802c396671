"""Can these actions be executed so? All that needs neither weights nor ROS."""

import numpy as np

from cls_vla_ros.robot.action.outputs import ValueTable, check_outputs
from cls_vla_ros.robot.joints import UnitMap
from cls_vla_ros.robot.settings import Settings


def check_settings(settings: Settings) -> None:
    """Can these actions be executed so? Before weights are loaded.

    Raises:
        ValueError: the settings contradict each other.
    """
    action, limits, execution = settings.action, settings.limits, settings.execution
    if execution.mode == "stream" and not action.outputs:
        raise ValueError(
            "execution.mode 'stream' interpolates between joint positions, but action.kind is "
            f"{action.kind!r}: set it to 'joint_positions' if that is what they are, name what "
            "executes them in action.outputs, or set execution.mode to 'chunk'"
        )
    check_outputs(settings)
    if limits.from_robot_description and not ValueTable.of(settings).urdf_names:
        raise ValueError(
            "limits.from_robot_description needs actions that are joint positions, because a URDF "
            f"knows joints only: action.kind is {action.kind!r}, action.outputs "
            f"{[output.name for output in action.outputs]}"
        )
    given_limits(settings)
    following_limits(settings)
    if strange := sorted(set(limits.continuous) - set(ValueTable.of(settings).urdf_names)):
        raise ValueError(
            f"limits.continuous names {strange}, which are no joint positions among the actions: "
            f"action.names is {action.names}"
        )
    UnitMap.of_settings(action)


def given_limits(settings: Settings) -> dict[str, dict[str, float]]:
    """The limits that the parameters give: lower, upper and so on, by name of the value.

    Raises:
        ValueError: one has another number of values than the actions.
    """
    limits, names = settings.limits, settings.action.names
    return {
        which: _by_joint(which, getattr(limits, which), names)
        for which in ("lower", "upper", "velocity", "acceleration")
    }


def following_limits(settings: Settings) -> np.ndarray:
    """(A,) how far each value may be from what it is told; infinity for any.

    Raises:
        ValueError: one has another number of values than the actions.
    """
    names = settings.action.names
    given = _by_joint("following_error", settings.limits.following_error, names)
    return np.array([given.get(name, np.inf) for name in names])


def _by_joint(which: str, values: list[float], names: list[str]) -> dict[str, float]:
    if values and len(values) != len(names):
        raise ValueError(
            f"limits.{which} has {len(values)} values, action.names {len(names)}: give each of "
            "them one (-.inf and .inf are no limit), or none at all"
        )
    return dict(zip(names, values, strict=True)) if values else {}
