"""What is wrong with what came."""

import numpy as np
from lerobot.utils.constants import ACTION, OBS_STATE

from cls_vla_ros.policy.checkpoint.dataset_stats import Seen
from cls_vla_ros.robot.action.outputs import ValueTable
from cls_vla_ros.robot.checking.findings import Findings
from cls_vla_ros.robot.checking.heard import Heard
from cls_vla_ros.robot.checking.values import (
    Value,
    swapped_units,
    unit_problems,
    units_of_state_values,
    value_problem,
    values_of,
)
from cls_vla_ros.robot.joints import UnitMap
from cls_vla_ros.robot.observation.state_fields import JOINT_STATE
from cls_vla_ros.robot.observation.state_values import units_of_state
from cls_vla_ros.robot.settings import Settings


def judge_sources(settings: Settings, heard: Heard, findings: Findings) -> None:
    """What was refused, and why there was no observation."""
    came = {c.topic: heard.cameras[c.name].refused for c in settings.cameras}
    came |= {s.topic: heard.states[s.name].refused for s in settings.state.sources}
    for topic, refused in came.items():
        for reason, count in refused.most_common(2):
            findings.bad.append(f"{count} messages on {topic} refused: {reason}")
    if heard.snapshot is None:
        for reason, _ in heard.held.most_common(1):
            findings.bad.append(f"it would hold: {reason}")
    elif held := heard.held.total():
        reason, _ = heard.held.most_common(1)[0]
        findings.doubts.append(
            f"it would have held {held} of {held + heard.observations} times, as for: {reason}"
        )


def judge_values(
    settings: Settings, heard: Heard, seen: dict[str, Seen], findings: Findings
) -> tuple[list[Value], list[Value]]:
    """The joints and the actions against the dataset.

    Args:
        settings: from the parameters.
        heard: what came.
        seen: of the checkpoint, by feature.
        findings: get what is strange.

    Returns:
        The values of the state and of the action.
    """
    names, units = settings.state.joints, units_of_state(settings.state)
    measured = heard.buffer.positions(names)
    if heard.snapshot is not None:
        measured = units.to_ros(heard.snapshot.observation.state.astype(np.float64))
    state_units = units_of_state_values(settings)
    state = values_of(names, state_units, units, seen.get(OBS_STATE), measured)
    of_action = settings.action
    nothing = np.full(len(of_action.names), np.nan)
    action_map = UnitMap.of_settings(of_action)
    action = values_of(of_action.names, of_action.units, action_map, seen.get(ACTION), nothing)
    joints = {
        name
        for source in settings.state.sources
        if source.type == JOINT_STATE
        for name, field in zip(source.names, source.fields, strict=True)
        if field.startswith("position.")
    }
    commanded = set(ValueTable.of(settings).urdf_names)
    findings.bad += unit_problems("state.units", state, joints)
    findings.bad += unit_problems("action.units", action, commanded)
    findings.bad += swapped_units(state, [v for v in action if v.name in commanded])
    for value in state:
        is_bad, text = value_problem(value)
        if text:
            (findings.bad if is_bad else findings.doubts).append(text)
    findings.doubts += _beyond_limits(settings, action)
    return state, action


def _beyond_limits(settings: Settings, action: list[Value]) -> list[str]:
    limits, found = settings.limits, []
    for i, value in enumerate(action):
        low, high = sorted([value.to_ros(value.lower), value.to_ros(value.upper)])
        if (limits.lower and low < limits.lower[i]) or (limits.upper and high > limits.upper[i]):
            found.append(
                f"the dataset commanded {value.name!r} from {low:.3g} to {high:.3g} in ROS units, "
                "which goes beyond limits.lower and limits.upper: chunks that go there are "
                f"{'refused' if limits.mode == 'refuse' else 'clamped'}"
            )
    return found
