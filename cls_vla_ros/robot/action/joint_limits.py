"""The limits of the joints: from the parameters, and from a robot_description."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from xml.etree import ElementTree

import numpy as np

# Joint types of a URDF: the unit of the position, and which limits it must (True) or may have.
URDF_TYPES = {
    "revolute": ("rad", {"lower": True, "upper": True, "velocity": True}),
    "prismatic": ("m", {"lower": True, "upper": True, "velocity": True}),
    "continuous": ("rad", {"velocity": False}),
    "fixed": ("", {}),
}
NONE = MappingProxyType({})
URDF_DEFAULTS = {"lower": "0", "upper": "0"}  # what leaving them out means


@dataclass(frozen=True)
class JointLimits:
    """The limits of each action value; infinity where there is none.

    Attributes:
        names: of the joints, A of them, in the order of the action values.
        units: "rad", "m" or "" where it is unknown; for the texts alone.
        lower: (A,) float64, rad or m.
        upper: likewise.
        velocity: (A,) float64, rad/s or m/s.
        acceleration: (A,) float64, rad/s² or m/s².
        continuous: (A,) bool, of joints that turn without end: a turn more is the same place.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    lower: np.ndarray
    upper: np.ndarray
    velocity: np.ndarray
    acceleration: np.ndarray
    continuous: np.ndarray

    @classmethod
    def of(
        cls,
        names: list[str],
        units: list[str],
        *,
        lower: Mapping[str, float],
        upper: Mapping[str, float],
        velocity: Mapping[str, float],
        acceleration: Mapping[str, float] = NONE,
        continuous: Collection[str] = (),
    ) -> "JointLimits":
        """Build them from the parameters alone.

        Args:
            names: of the joints.
            units: the ROS unit of each: "rad", "m" or "".
            lower: by joint, rad or m; a joint that it lacks has no lower limit.
            upper: likewise.
            velocity: by joint, rad/s or m/s; likewise.
            acceleration: by joint, rad/s² or m/s²; likewise.
            continuous: joints that turn without end.

        Raises:
            ValueError: NaN, lower above upper, a velocity or an acceleration that is not above 0,
                a limit of a joint that is not in `names`, or a range of one without end.
        """
        given = {"lower": lower, "upper": upper, "velocity": velocity}
        given |= {"acceleration": acceleration, "continuous": dict.fromkeys(continuous)}
        for what, values in given.items():
            if strange := sorted(set(values) - set(names)):
                raise ValueError(
                    f"there is a {what} limit for {strange}, but the joints are {list(names)}"
                )
        lower = np.array([lower.get(name, -math.inf) for name in names], np.float64)
        upper = np.array([upper.get(name, math.inf) for name in names], np.float64)
        velocity = np.array([velocity.get(name, math.inf) for name in names], np.float64)
        most = np.array([acceleration.get(name, math.inf) for name in names], np.float64)
        for name, low, high, fast in zip(names, lower, upper, velocity, strict=True):
            if not low <= high or low == math.inf or high == -math.inf:
                raise ValueError(
                    f"the range of {name!r} is empty: lower limit {low:g}, upper limit {high:g}; "
                    "give it limits that leave room between them"
                )
            if not fast > 0:
                raise ValueError(
                    f"the velocity limit of {name!r} is {fast:g}; give it one above 0, or "
                    "infinity for none"
                )
            if name in continuous and not low == -math.inf == -high:
                raise ValueError(
                    f"{name!r} turns without end (limits.continuous), and has the range "
                    f"{low:g} to {high:g}: it has one or the other"
                )
        if not (most > 0).all():
            raise ValueError(
                f"the acceleration limits are {most.tolist()}; give each one above 0, or infinity "
                "for none"
            )
        turns = np.array([name in continuous for name in names])
        return cls(tuple(names), tuple(units), lower, upper, velocity, most, turns)

    @classmethod
    def from_urdf(
        cls,
        xml: str,
        names: list[str],
        *,
        lower: Mapping[str, float] | None = None,
        upper: Mapping[str, float] | None = None,
        velocity: Mapping[str, float] | None = None,
        acceleration: Mapping[str, float] = NONE,
        continuous: Collection[str] = (),
    ) -> "JointLimits":
        """Read them from a robot_description (https://wiki.ros.org/urdf/XML/joint).

        Revolute and prismatic joints have a range and a velocity, continuous ones a velocity,
        fixed ones nothing. A joint that mimics another is limited like any joint.

        Args:
            xml: the URDF, with every xacro expanded.
            names: of the joints.
            lower: by joint, in place of the URDF's; it need not have all of them.
            upper: likewise.
            velocity: likewise.
            acceleration: by joint; a URDF has none.
            continuous: joints that turn without end, and those whose type that is, unless they
                have a lower or an upper limit.

        Raises:
            ValueError: no XML, a DOCTYPE, not a <robot>, a joint that is not in it, one whose
                limits are missing or not numbers, or what `of` refuses.
        """
        joints = _urdf_joints(xml)
        if missing := [name for name in names if name not in joints]:
            raise ValueError(
                f"the robot_description has no joints {missing}; it has {sorted(joints)}"
            )
        limits = {
            "lower": dict(lower or {}),
            "upper": dict(upper or {}),
            "velocity": dict(velocity or {}),
        }
        units, turning = [], set(continuous)
        for name in names:
            unit, wanted = _urdf_type(name, joints[name])
            units.append(unit)
            if joints[name].get("type") == "continuous" and not _has_range(name, limits):
                turning.add(name)
            for what, is_needed in wanted.items():
                # What the parameters replace is not even read: it may be why they replace it.
                if name not in limits[what]:
                    value = _urdf_limit(name, joints[name], what, is_needed=is_needed)
                    limits[what] |= {} if value is None else {name: value}
        return cls.of(names, units, **limits, acceleration=acceleration, continuous=turning)

    @classmethod
    def from_urdf_and_given(
        cls,
        xml: str,
        names: list[str],
        urdf_names: Mapping[str, str],
        given: Mapping[str, Mapping[str, float]],
        continuous: Collection[str] = (),
    ) -> "JointLimits":
        """Of action values of which some are joints.

        Args:
            xml: the URDF.
            names: of the action values.
            urdf_names: what the URDF calls those that are joints.
            given: "lower", "upper", "velocity" and "acceleration" by action value; in place of the
                URDF's.
            continuous: action values that turn without end.

        Raises:
            ValueError: as `from_urdf` and `of`.
        """
        joints = {
            what: {urdf_names[name]: v for name, v in values.items() if name in urdf_names}
            for what, values in given.items()
        }
        turning = [urdf_names[name] for name in continuous if name in urdf_names]
        found = cls.from_urdf(xml, list(urdf_names.values()), **joints, continuous=turning)
        units = dict(zip(urdf_names, found.units, strict=True))
        limits = {
            what: {**values, **dict(zip(urdf_names, getattr(found, what), strict=True))}
            for what, values in given.items()
        }
        turns = dict(zip(urdf_names, found.continuous, strict=True))
        turning = {*continuous, *(name for name, turns_on in turns.items() if turns_on)}
        units = [units.get(name, "") for name in names]
        return cls.of(names, units, **limits, continuous=turning)


def _has_range(name: str, limits: Mapping[str, Mapping[str, float]]) -> bool:
    ends = (limits[which].get(name, math.inf) for which in ("lower", "upper"))
    return any(math.isfinite(end) for end in ends)


def _urdf_joints(xml: str) -> dict[str, ElementTree.Element]:
    # Without a DOCTYPE there are no entities, so nothing to expand or to fetch.
    if "<!DOCTYPE" in xml:
        raise ValueError("the robot_description has a DOCTYPE; remove it, a URDF needs none")
    try:
        robot = ElementTree.fromstring(xml)
    except ElementTree.ParseError as error:
        raise ValueError(
            f"the robot_description of {len(xml)} characters is not XML: {error}; publish an "
            "expanded URDF"
        ) from None
    if robot.tag != "robot":
        raise ValueError(f"the robot_description is no URDF: expected <robot>, got <{robot.tag}>")
    # Direct children alone: <transmission> and <ros2_control> have elements of that name too.
    return {joint.get("name", ""): joint for joint in robot.findall("joint")}


def _urdf_type(name: str, joint: ElementTree.Element) -> tuple[str, dict[str, bool]]:
    kind = joint.get("type")
    if kind not in URDF_TYPES:
        raise ValueError(
            f"the joint {name!r} is of the type {kind!r}; only {', '.join(URDF_TYPES)} joints "
            "have one position"
        )
    return URDF_TYPES[kind]


def _urdf_limit(
    name: str, joint: ElementTree.Element, what: str, *, is_needed: bool
) -> float | None:
    limit = joint.find("limit")
    text = None if limit is None else limit.get(what, URDF_DEFAULTS.get(what))
    try:
        value = None if text is None else float(text)
    except ValueError:
        raise ValueError(
            f"the {what} limit of {name!r} is {text!r} in the robot_description, not a number; "
            "xacro must be expanded before it is published"
        ) from None
    if what == "velocity" and value == 0:  # what exporters write where nobody gave one
        value = None
    if value is None and is_needed:
        raise ValueError(
            f"the robot_description gives the {joint.get('type')} joint {name!r} no {what} limit; "
            "add it there, or give it as a parameter"
        )
    return value
