"""Joint states to the policy's state, its actions to joint positions: by name, with units.

ROS holds radians and metres (REP 103). lerobot's datasets often hold degrees, or a percentage of
each joint's range.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# What the policy's number is of the ROS number, where no joint range is needed.
SCALES = {"": 1.0, "rad": 1.0, "m": 1.0, "deg": 180.0 / math.pi}
# What the policy's number is at the lower and at the upper end of the joint's range.
RANGES = {"percent": (0.0, 100.0), "signed_percent": (-100.0, 100.0), "unit": (0.0, 1.0)}
UNITS = (*SCALES, *RANGES)
# No joint is there, in any unit: more would become infinity in the policy's float32.
MAX_POSITION = 1e9
LISTED_NAMES = 20  # in an error: a message may have thousands, and the log repeats it


class JointStateError(ValueError):
    """A joint state that cannot be used; the text says what is wrong with it."""


@dataclass(frozen=True)
class UnitMap:
    """ros = (policy - offset) / scale, for each joint or action value.

    Attributes:
        scale: (S,) or (A,) float64, policy units per ROS unit; negative for an inverted joint.
        offset: likewise, in policy units.
    """

    scale: np.ndarray
    offset: np.ndarray

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        units: Sequence[str],
        lower: Sequence[float],
        upper: Sequence[float],
        *,
        offset: Sequence[float] = (),
        sign: Sequence[float] = (),
    ) -> "UnitMap":
        """Build it from the parameters.

        Args:
            names: of the joints or action values.
            units: the policy's unit of each: "rad", "m", "deg", "percent" (0 at `lower`, 100 at
                `upper`), "signed_percent" (-100 and 100), "unit" (0 and 1), or "" for a value
                without unit.
            lower: where each joint's range begins, in ROS units; above `upper` for a joint that
                turns the other way. Needed for "percent" and its kin alone, else empty.
            upper: where it ends.
            offset: the policy's number, in its unit, where ROS has 0 (for a range: what is added);
                empty for 0.
            sign: -1 for a joint that turns the other way, else 1; empty for 1.

        Raises:
            ValueError: beginning with the parameter's name: lists of unequal length, an unknown
                unit, a range that is missing or empty, an offset that is not finite, or a sign
                that is none.
        """
        if len(units) != len(names):
            raise ValueError(
                f"units: there are {len(names)} names but {len(units)} units: give each name "
                "its unit"
            )
        for unit in units:
            if unit not in UNITS:
                raise ValueError(
                    f"units: unknown unit {unit!r}: expected one of {', '.join(map(repr, UNITS))}"
                )
        if any(unit in RANGES for unit in units) and not len(lower) == len(upper) == len(names):
            raise ValueError(
                f"lower and upper: the units {sorted(RANGES)} need the range of each joint, "
                f"{len(names)} values each, got {len(lower)} and {len(upper)}"
            )
        more, signs = _for_each("offset", offset, names, 0.0), _for_each("sign", sign, names, 1.0)
        if not np.isfinite(more).all():
            raise ValueError(f"offset: each must be finite, got {list(offset)}")
        if not np.isin(signs, (-1.0, 1.0)).all():
            raise ValueError(f"sign: each must be 1.0 or -1.0, got {list(sign)}")
        scale, offset = np.ones(len(names)), np.zeros(len(names))
        for i, unit in enumerate(units):
            if unit in SCALES:
                scale[i] = SCALES[unit] * signs[i]
                continue
            if signs[i] < 0:
                raise ValueError(
                    f"sign: {names[i]!r} has the unit {unit!r} and the sign -1: swap its lower "
                    "and upper instead"
                )
            is_finite = math.isfinite(lower[i]) and math.isfinite(upper[i])
            if not is_finite or lower[i] == upper[i]:
                raise ValueError(
                    f"lower and upper: the range of {names[i]!r} is empty or endless: "
                    f"lower {lower[i]}, upper {upper[i]}"
                )
            at_lower, at_upper = RANGES[unit]
            scale[i] = (at_upper - at_lower) / (upper[i] - lower[i])
            offset[i] = at_lower - scale[i] * lower[i]
        return cls(scale, offset + more)

    @classmethod
    def of_settings(cls, settings) -> "UnitMap":
        """Of a SourceSettings or ActionSettings.

        Raises:
            ValueError: see `of`.
        """
        s = settings
        return cls.of(s.names, s.units, s.lower, s.upper, offset=s.offset, sign=s.sign)

    def to_policy(self, values: np.ndarray) -> np.ndarray:
        """(..., S) in ROS units to (..., S) in policy units."""
        return values * self.scale + self.offset

    def to_ros(self, values: np.ndarray) -> np.ndarray:
        """(..., A) in policy units to (..., A) in ROS units."""
        return (values - self.offset) / self.scale


def _for_each(
    what: str, values: Sequence[float], names: Sequence[str], default: float
) -> np.ndarray:
    if len(values) not in (0, len(names)):
        raise ValueError(f"{what} has {len(values)} values for the {len(names)} names {names}")
    return np.array(values if len(values) else [default] * len(names), np.float64)


def ros_unit(unit: str) -> str:
    """The ROS unit of a value whose unit in the policy is `unit`, for ActionChunk.units."""
    if unit in RANGES:  # of a joint that may turn or slide: rad or m, who knows
        return ""
    return "rad" if unit == "deg" else unit


def positions_by_name(message, wanted: list[str], *, allow_partial: bool) -> dict[str, float]:
    """The positions of the wanted joints in a sensor_msgs/JointState.

    Args:
        message: any object with its fields.
        wanted: names of joints.
        allow_partial: whether a message may lack some of them (drivers that publish arm and
            gripper apart).

    Returns:
        Position by name, in rad or m.

    Raises:
        JointStateError: empty, arrays of unequal length, a name twice, NaN, infinity or beyond
            MAX_POSITION, or a joint missing.
    """
    names, positions = list(message.name), message.position
    if not names:
        raise JointStateError("the JointState is empty: it names no joints")
    for what in ("position", "velocity", "effort"):
        count = len(getattr(message, what))
        # Velocity and effort may be empty, but another length says that the message is damaged.
        if count != len(names) and (what == "position" or count):
            raise JointStateError(
                f"the JointState has {len(names)} names but {count} values of {what}"
            )
    if len(set(names)) != len(names):
        twice = sorted(name for name, count in Counter(names).items() if count > 1)
        raise JointStateError(f"the JointState names {_listed(twice)} more than once")
    found = {
        name: float(position)
        for name, position in zip(names, positions, strict=True)
        if name in wanted
    }
    missing = [name for name in wanted if name not in found]
    if missing and not allow_partial:
        raise JointStateError(
            f"the JointState lacks the joints {missing}; it has {_listed(names)}. If several "
            "drivers publish parts of the joints on one topic, set state.allow_partial"
        )
    not_finite = [name for name, position in found.items() if not math.isfinite(position)]
    if not_finite:
        raise JointStateError(f"the JointState has NaN or infinity for {not_finite}")
    if impossible := {name: p for name, p in found.items() if abs(p) > MAX_POSITION}:
        raise JointStateError(
            f"the JointState has the positions {impossible}, and no joint is beyond "
            f"{MAX_POSITION:g} rad or m: look at the driver"
        )
    return found


def _listed(names: list[str]) -> str:
    """The names as a list, cut short where there are too many or where one is too long."""
    text = [name if len(name) <= 64 else name[:64] + "…" for name in names[:LISTED_NAMES]]
    more = f" and {len(names) - LISTED_NAMES} more" if len(names) > LISTED_NAMES else ""
    return f"{text}{more}"
