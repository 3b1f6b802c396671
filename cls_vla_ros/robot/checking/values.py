"""The joints' values against the dataset's: units, signs and offsets that nobody can see."""

import math
from dataclasses import dataclass

import numpy as np

from cls_vla_ros.policy.checkpoint.dataset_stats import Seen
from cls_vla_ros.robot.joints import RANGES, UnitMap
from cls_vla_ros.robot.settings import Settings

MANY_TURNS = 4 * math.pi  # rad: no joint of an arm goes so far
ONE_TURN = 2 * math.pi
# How far outside of the dataset's range, in its widths, is worth a word; and in ROS units what is
# nothing beside a range in which a joint hardly moved.
SLIGHTLY, LITTLE = 0.1, 0.35
OVER = {"percent": 20.0, "signed_percent": 20.0, "unit": 0.2}  # a calibration is not exact


@dataclass(frozen=True)
class Value:
    """One value of the state or of the action.

    Attributes:
        name: the policy's.
        unit: the policy's.
        scale: policy units per ROS unit.
        offset: policy units; see `UnitMap`.
        lower: of the dataset, policy units; NaN if the checkpoint does not say.
        upper: likewise.
        ros: measured, ROS units; NaN if it is not known.
        policy: the same in policy units.
        is_exact: whether lower and upper are minimum and maximum, see `Seen`.
    """

    name: str
    unit: str
    scale: float
    offset: float
    lower: float
    upper: float
    ros: float = math.nan
    policy: float = math.nan
    is_exact: bool = True

    @property
    def width(self) -> float:
        return self.upper - self.lower

    def to_ros(self, policy: float) -> float:
        """A number of the policy's in ROS units."""
        return (policy - self.offset) / self.scale

    @property
    def outside(self) -> float:
        """How far outside of the dataset's range it is, policy units; 0 if inside or unknown."""
        if not math.isfinite(self.policy) or not math.isfinite(self.width):
            return 0.0
        return max(self.lower - self.policy, self.policy - self.upper, 0.0)


def values_of(
    names: list[str], units: list[str], unit_map: UnitMap, seen: Seen | None, ros: np.ndarray
) -> list[Value]:
    """Put together what is known.

    Args:
        names: S of them.
        units: likewise.
        unit_map: likewise.
        seen: of the feature; None if the checkpoint does not say.
        ros: (S,) measured, ROS units; NaN where unknown.
    """
    policy = unit_map.to_policy(np.asarray(ros, np.float64))
    nan = np.full(len(names), np.nan)
    has_seen = seen is not None and seen.lower.shape == (len(names),)
    lower, upper = (seen.lower, seen.upper) if has_seen else (nan, nan)
    columns = (names, units, unit_map.scale, unit_map.offset, lower, upper, ros, policy)
    return [
        Value(name, unit, *map(float, numbers), is_exact=not has_seen or seen.is_exact)
        for name, unit, *numbers in zip(*columns, strict=True)
    ]


def units_of_state_values(settings: Settings) -> list[str]:
    """The unit of each value of the state, in the policy's order."""
    of_name = {
        name: unit
        for source in settings.state.sources
        for name, unit in zip(source.names, source.units, strict=True)
    }
    return [of_name[name] for name in settings.state.joints]


def unit_problems(parameter: str, values: list[Value], joints: set[str]) -> list[str]:
    """Units that cannot be the dataset's.

    Args:
        parameter: where the units stand: "state.units".
        values: of a feature.
        joints: names of those that are positions of joints.
    """
    found = []
    for v in values:
        biggest = max(abs(v.lower), abs(v.upper))
        went = f"{v.name!r} went from {v.lower:.4g} to {v.upper:.4g} in the dataset"
        if v.name in joints and v.unit in ("rad", "") and biggest > MANY_TURNS:
            found.append(
                f"{went}, which no joint does in radians: its unit is {v.unit or 'not set'}. Set "
                f"it in {parameter}: deg, or percent, signed_percent or unit with lower and upper"
            )
        if v.unit in RANGES:
            low, high = RANGES[v.unit]
            # Three standard deviations go beyond what was; one does not.
            spare = 0.0 if v.is_exact else v.width / 3
            if v.lower + spare < low - OVER[v.unit] or v.upper - spare > high + OVER[v.unit]:
                found.append(
                    f"{went}, and the unit {v.unit} goes from {low:g} to {high:g}: another one in "
                    f"{parameter}?"
                )
    degrees = [v for v in values if v.unit == "deg" and math.isfinite(v.width)]
    # One joint may well have moved so little; not all of them.
    if len(degrees) > 1 and all(max(abs(v.lower), abs(v.upper)) <= ONE_TURN for v in degrees):
        found.append(
            f"all of {[v.name for v in degrees]} stay within {ONE_TURN:.3g} in the dataset, and "
            f"their unit is deg: is it rad? See {parameter}"
        )
    return found


def value_problem(value: Value) -> tuple[bool, str]:
    """What is strange in where a joint is.

    Returns:
        Whether it is bad, and why in words; empty if nothing is strange.
    """
    v = value
    little = LITTLE * abs(v.scale)
    if not v.outside or v.outside <= max(SLIGHTLY * v.width, little / 2):
        return False, ""
    text = (
        f"{v.name!r} is at {v.policy:.4g} {v.unit} for the policy, and in the dataset it went "
        f"from {v.lower:.4g} to {v.upper:.4g}"
    )
    mended = {
        "with the other sign it would be inside": -v.policy,
        "as if the driver published degrees": math.radians(v.ros) * v.scale,
        "as if the dataset were in radians": v.ros,
    }
    hints = [
        hint
        for hint, other in mended.items()
        if other != v.policy and v.lower <= other <= v.upper and abs(other) > little
    ]
    is_bad = v.outside > max(v.width, little)
    last = hints[0] if hints else f"an offset of {_to_middle(v):+.4g} would put it in the middle"
    return is_bad, f"{text}: {last}. Is the arm where a recording began?"


def swapped_units(state: list[Value], action: list[Value]) -> list[str]:
    """Names that state and action share with other units, though the dataset has the same."""
    of_action, found = {value.name: value for value in action}, []
    for s in state:
        a = of_action.get(s.name)
        if a is None or a.unit == s.unit or not (s.width > 0 and a.width > 0):
            continue
        overlap = min(s.upper, a.upper) - max(s.lower, a.lower)
        if overlap > 0.5 * max(s.width, a.width):
            found.append(
                f"{s.name!r} has the unit {s.unit or 'none'} in the state and {a.unit or 'none'} "
                "in the action, and in the dataset both have the same range: one is wrong"
            )
    return found


def _to_middle(v: Value) -> float:
    return (v.lower + v.upper) / 2 - v.policy
