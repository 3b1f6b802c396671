"""Which messages the state may come from, and which of their values.

State is an ordered list of sources, `state.sources` in the parameters, each with a group
`source.<name>.*`: topic, type, `fields` (which values of a message, in order), `names` (what the
policy calls them), and the unit, range, offset and sign of each. observation.state is all of them
one after the other, or in the order of `state.joints` if that is set too. ROS parameters know no
lists of structs, hence a list of names and a group for each, as for cameras. Where `state.sources`
is empty, `state.topic`, `state.joints` and so on are the one source, of positions of a JointState.

Fields by type: joint_state position.J, velocity.J, effort.J (J a joint's name as the driver has
it, dots and all); float64_multi_array data.0, data.1, ...; odometry pose.* and twist.*; twist,
twist_stamped twist.linear.x to twist.angular.z; pose_stamped pose.position.x to
pose.orientation.w; wrench, wrench_stamped wrench.force.x to wrench.torque.z.
"""

import math
from operator import attrgetter

from cls_vla_ros.robot.joints import MAX_POSITION, JointStateError, UnitMap, positions_by_name
from cls_vla_ros.robot.settings import SourceSettings, StateSettings

JOINT_STATE, ARRAY = "joint_state", "float64_multi_array"
_VECTORS = {
    "pose": {"position": "xyz", "orientation": "xyzw"},
    "twist": {"linear": "xyz", "angular": "xyz"},
    "wrench": {"force": "xyz", "torque": "xyz"},
}
# By type: where in the message that stands which a field begins with.
ROOTS = {
    JOINT_STATE: {},
    ARRAY: {},
    "odometry": {"pose": "pose.pose", "twist": "twist.twist"},
    "twist": {"twist": ""},
    "twist_stamped": {"twist": "twist"},
    "pose_stamped": {"pose": "pose"},
    "wrench": {"wrench": ""},
    "wrench_stamped": {"wrench": "wrench"},
}
ARRAYS = ("position", "velocity", "effort")  # of a JointState


def check_sources(state: StateSettings) -> None:
    """Are the sources such that a state can be made of them?

    Raises:
        ValueError: lists of unequal length, a field that the type has not, a unit or range that
            cannot be, or a name twice.
    """
    names = [name for source in state.sources for name in source.names]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"the state sources name {twice} more than once: give each value a name of its own "
            "with source.<name>.names"
        )
    if sorted(state.joints) != sorted(names):
        raise ValueError(
            "state.joints orders the values of the state sources, so it must name each of "
            f"{names} once; it is {state.joints}"
        )
    for source in state.sources:
        try:
            _check(source)
        except ValueError as error:
            raise ValueError(f"source.{source.name}: {error}") from None


def _check(source: SourceSettings) -> None:
    if not source.fields:
        raise ValueError("fields is empty: name at least one value, as position.joint1")
    if len(source.names) != len(source.fields):
        raise ValueError(
            f"there are {len(source.fields)} fields but {len(source.names)} names: give each one"
        )
    for name in source.fields:
        if not _is_field(source.type, name):
            raise ValueError(f"a {source.type} has no field {name!r}; {_examples(source.type)}")
    if len(set(source.fields)) != len(source.fields):
        raise ValueError(f"fields has one more than once: {source.fields}")
    if source.allow_partial and source.type != JOINT_STATE:
        raise ValueError(f"allow_partial is for joint_state; its type is {source.type}")
    UnitMap.of_settings(source)


def is_position(field: str) -> bool:
    """Whether a field says where something is, so that a command can be compared with it."""
    return not field.startswith(("velocity.", "effort.", "twist.", "wrench."))


def _is_field(kind: str, name: str) -> bool:
    root, _, rest = name.partition(".")
    if kind == JOINT_STATE:
        return root in ARRAYS and bool(rest)
    if kind == ARRAY:
        return root == "data" and rest.isdecimal()
    vector, _, axis = rest.partition(".")
    return root in ROOTS[kind] and len(axis) == 1 and axis in _VECTORS[root].get(vector, "")


def _examples(kind: str) -> str:
    if kind == JOINT_STATE:
        return "it has position.JOINT, velocity.JOINT and effort.JOINT"
    if kind == ARRAY:
        return "it has data.0, data.1 and so on"
    fields = [
        f"{root}.{vector}.{axis}"
        for root in ROOTS[kind]
        for vector, axes in _VECTORS[root].items()
        for axis in axes
    ]
    return f"it has {', '.join(fields)}"


def read_fields(source: SourceSettings, message) -> tuple[dict[str, float], dict[str, float]]:
    """The values of a message.

    Args:
        source: whose.
        message: any object with the fields of its type.

    Returns:
        Values in ROS units by the policy's name, and, by the same names, the velocities of those
        that are joint positions, as far as the message has them.

    Raises:
        JointStateError: it lacks one, or has one that is not finite or beyond MAX_POSITION.
    """
    if source.type == JOINT_STATE:
        return _of_joint_state(source, message)
    values = {}
    for name, field in zip(source.names, source.fields, strict=True):
        if source.type == ARRAY:
            index = int(field.partition(".")[2])
            if index >= len(message.data):
                raise JointStateError(
                    f"the Float64MultiArray has {len(message.data)} values, so no {field}"
                )
            values[name] = float(message.data[index])
        else:
            root, _, rest = field.partition(".")
            path = f"{ROOTS[source.type][root]}.{rest}".lstrip(".")
            values[name] = float(attrgetter(path)(message))
    _check_values(values)
    return values, {}


def _of_joint_state(source: SourceSettings, message) -> tuple[dict[str, float], dict[str, float]]:
    of_fields = [field.partition(".")[::2] for field in source.fields]  # (array, joint)
    joints = list(dict.fromkeys(joint for _, joint in of_fields))
    positions = positions_by_name(message, joints, allow_partial=source.allow_partial)
    index = {name: i for i, name in enumerate(message.name) if name in positions}
    values, speeds = {}, {}
    for name, (array, joint) in zip(source.names, of_fields, strict=True):
        if joint not in positions:
            continue
        numbers = getattr(message, array)
        if not len(numbers):
            raise JointStateError(
                f"the JointState has no {array}, which {array}.{joint} asks for: its driver does "
                "not say it"
            )
        values[name] = float(numbers[index[joint]])
        if array == "position" and len(message.velocity):
            speed = float(message.velocity[index[joint]])
            speeds |= {name: speed} if math.isfinite(speed) else {}
    _check_values(values)
    return values, speeds


def _check_values(values: dict[str, float]) -> None:
    if bad := {name: v for name, v in values.items() if not abs(v) <= MAX_POSITION}:
        raise JointStateError(f"the message has NaN, infinity or impossible numbers: {bad}")
