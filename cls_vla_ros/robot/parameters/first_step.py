"""limits.first_step: one number for all values, one for each, or by what a joint does."""

from cls_vla_ros.robot.joints import ros_unit
from cls_vla_ros.robot.parameters.spec import Value

AUTO = "auto"
TURN, SLIDE = 0.2, 0.02  # rad, m
LARGEST = 100.0


def check_first_step(value: Value) -> None:
    """Raises ValueError unless it is "auto", a number in [0, 100], or a list of such."""
    if value == AUTO:
        return
    numbers = value if isinstance(value, list) else [value]
    for number in numbers:
        is_number = isinstance(number, (int, float)) and not isinstance(number, bool)
        if not is_number or not 0 <= number <= LARGEST:
            raise ValueError(
                f"expected '{AUTO}', a number in [0, {LARGEST:g}], or one for each of "
                f"action.names, got {value!r}"
            )


def first_steps(value: Value, names: list[str], units: list[str]) -> dict[str, float]:
    """By action value, in ROS units; 0 for any.

    Args:
        value: of the parameter, which passed its check.
        names: of the action values.
        units: the policy's unit of each.

    Raises:
        ValueError: a list of another length.
    """
    if value == AUTO:
        # Of another number of units complains who reads them.
        slide = [name for name, unit in zip(names, units, strict=False) if ros_unit(unit) == "m"]
        return dict.fromkeys(names, TURN) | dict.fromkeys(slide, SLIDE)
    if not isinstance(value, list):
        return dict.fromkeys(names, float(value))
    if len(value) != len(names):
        raise ValueError(
            f"limits.first_step has {len(value)} values, action.names {len(names)}: give each of "
            "them one (0.0 is no limit), or one number for all"
        )
    return dict(zip(names, map(float, value), strict=True))
