"""The sections of state, action, outputs and limits."""

import math

from cls_vla_ros.policy.checkpoint.dataset_stats import Seen
from cls_vla_ros.robot.action import outputs
from cls_vla_ros.robot.joints import SCALES
from cls_vla_ros.robot.making.around import Around, Controller

ASK = "  # ??"
MANY_TURNS = 4 * math.pi
PERCENT = 110.0
MORE = 0.1  # of the dataset's range, on either side
NO_UNIT = '""'
ORDER = "is this the dataset's order? JointStates often have the alphabet's"
# Of several controllers of the same joints only one can be active.
PREFERRED = (outputs.TRAJECTORY, outputs.ARRAY, outputs.PARALLEL_GRIPPER, outputs.GRIPPER)


def units_of(seen: Seen | None, count: int) -> tuple[list[str], str]:
    """The units that the dataset's ranges suggest, and what to ask about them.

    Args:
        seen: of a feature; None if the checkpoint does not say.
        count: of its values.
    """
    if seen is None:
        return ["rad"] * count, "the checkpoint does not say where its values were"
    units = []
    for lower, upper in zip(seen.lower, seen.upper, strict=True):
        if max(abs(lower), abs(upper)) <= MANY_TURNS:
            units.append("rad")
        elif seen.is_exact and lower >= -1 and upper <= PERCENT:
            units.append("percent")
        else:
            units.append("deg")
    ranges = ", ".join(f"{a:.4g}…{b:.4g}" for a, b in zip(seen.lower, seen.upper, strict=True))
    return units, f"in the dataset: {ranges}"


def state_section(count: int, seen: Seen | None, around: Around) -> tuple[list[str], list[str]]:
    """The section `state`, and the names that it has.

    Args:
        count: values of observation.state.
        seen: where they were.
        around: the robot's topics.
    """
    fits = {t: names for t, names in around.joint_states.items() if len(names) == count}
    topic = next(iter(sorted(fits, key=len)), None)
    names = fits[topic] if topic else [f"joint{i + 1}" for i in range(count)]
    said = "; ".join(f"{t} has {', '.join(n)}" for t, n in around.joint_states.items())
    why = ORDER if topic else f"the dataset's names; {said or 'no JointState was heard'}"
    lines = [
        "state:",
        f"  topic: {topic or 'joint_states'}",
        f"  joints: {_list(names)}{ASK} {why}",
        *_units(count, seen, "  "),
    ]
    return lines, names


def action_sections(
    count: int, seen: Seen | None, names: list[str], around: Around
) -> dict[str, list[str]]:
    """The sections `action`, `output` and `limits`.

    Args:
        count: values of the action.
        seen: where they were.
        names: of the state's values.
        around: the robot's controllers.
    """
    is_joints = count == len(names)
    if not is_joints:
        return {"action": _of_no_joints(count), "output": [], "limits": []}
    taken = _controllers_for(names, around)
    lines = ["action:"]
    if not taken:
        lines.append(f"  kind: joint_positions{ASK} which controller? See config/robots")
    lines += [f"  names: {_list(names)}{ASK} the dataset's order", *_units(count, seen, "  ")]
    lines.append(f"  dt_s: 0.0333{ASK} one over the dataset's frames per second")
    output = ["output:"] if taken else []
    if taken:
        lines.append(f"  outputs: {_list([controller.name for controller in taken])}")
        left = [n for n in names if not any(n in c.joints for c in taken)]
        if left:
            lines.append(f"  ignored: {_list(left)}{ASK} no controller says that it takes them")
    for controller in taken:
        output += [
            f"  {controller.name}:",
            f"    topic: {controller.topic}",
            f"    type: {controller.type}",
            f"    names: {_list(controller.joints)}",
        ]
        if controller.type in outputs.GRIPPERS:
            output.append("    first_step: 0.0  # holding something, it is far from its command")
    return {"action": lines, "output": output, "limits": _limits(count, seen, around)}


def _controllers_for(names: list[str], around: Around) -> list[Controller]:
    found: list[Controller] = []
    left = list(names)
    for controller in sorted(around.controllers, key=lambda c: PREFERRED.index(c.type)):
        joints = controller.joints
        if not joints and controller.type == outputs.GRIPPER and len(left) == 1:
            joints = left  # it names none, and this is the one that nobody else takes
        if joints and set(joints) <= set(left):
            found.append(Controller(controller.name, controller.topic, controller.type, joints))
            left = [name for name in left if name not in joints]
    return found


def _of_no_joints(count: int) -> list[str]:
    return [
        "action:",
        f"  kind: other{ASK} not as many as the state's: where do they go? See config/robots",
        f"  names: {_list([f'value{i + 1}' for i in range(count)])}{ASK}",
        f"  units: {_list([NO_UNIT] * count)}{ASK}",
        f"  dt_s: 0.0333{ASK} one over the dataset's frames per second",
    ]


def _limits(count: int, seen: Seen | None, around: Around) -> list[str]:
    lines = ["limits:"]
    if around.has_robot_description:
        lines.append("  from_robot_description: true")
        return [*lines, "  first_step: 0.2"]
    why = "rad or m; where the dataset's actions were, and a tenth more"
    for which, values in zip(("lower", "upper"), _ends(count, seen), strict=True):
        lines.append(f"  {which}: {_list(values)}{ASK} {why}; .inf is no limit")
    lines.append(f"  velocity: {_list(['.inf'] * count)}{ASK} rad or m per second")
    return [*lines, "  first_step: 0.2"]


def _ends(count: int, seen: Seen | None) -> tuple[list[str], list[str]]:
    """Lower and upper limits in ROS units; none where the unit cannot be told."""
    lower, upper = ["-.inf"] * count, [".inf"] * count
    units, _ = units_of(seen, count)
    for i, unit in enumerate(units):
        if seen is None or unit not in SCALES:
            continue
        more = MORE * (seen.upper[i] - seen.lower[i])
        lower[i] = f"{(seen.lower[i] - more) / SCALES[unit]:.3f}"
        upper[i] = f"{(seen.upper[i] + more) / SCALES[unit]:.3f}"
    return lower, upper


def _units(count: int, seen: Seen | None, indent: str) -> list[str]:
    units, why = units_of(seen, count)
    lines = [f"{indent}units: {_list(units)}{ASK} {why}"]
    if "percent" in units:
        ends = (("lower", "0.0", "closed"), ("upper", "1.0", "open"))
        lines += [
            f"{indent}{which}: {_list([value if u == 'percent' else '0.0' for u in units])}"
            f"{ASK} where it is {state}, in rad or m; of percent alone"
            for which, value, state in ends
        ]
    return lines


def _list(items: list[str]) -> str:
    return f"[{', '.join(items)}]"
