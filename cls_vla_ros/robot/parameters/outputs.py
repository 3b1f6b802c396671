"""From the parameters to the table of the action's outputs; see `robot.action.outputs`."""

from collections.abc import Callable

from cls_vla_ros.robot.action import outputs
from cls_vla_ros.robot.parameters.first_step import first_steps
from cls_vla_ros.robot.parameters.sources import check_units
from cls_vla_ros.robot.parameters.spec import Value
from cls_vla_ros.robot.settings import ActionSettings, OutputSettings

JOINT_POSITIONS = "joint_positions"
TOPICS = {
    outputs.TRAJECTORY: "<name>/joint_trajectory",
    outputs.ARRAY: "<name>/commands",
    outputs.JOINT_STATE: "<name>/joint_commands",
    outputs.TWIST: "cmd_vel",
    outputs.TWIST_STAMPED: "cmd_vel",
    outputs.POSE: "<name>/target_pose",
    outputs.GRIPPER: "<name>/gripper_cmd",
    outputs.PARALLEL_GRIPPER: "<name>/gripper_cmd",
}


def read_action(get: Callable[[str], Value]) -> ActionSettings:
    """What the parameters say of the actions.

    Args:
        get: a parameter's value, by name.

    Raises:
        ValueError: both forms are used at once, or units or ranges that cannot be.
    """
    names, listed = get("action.names"), get("action.outputs")
    if listed and get("action.kind") == JOINT_POSITIONS:
        raise ValueError(
            "action.kind is of the short form, and action.outputs is set too: leave it out, each "
            "output has its output.<name>.type and kind"
        )
    units = get("action.units") or [""] * len(names)
    steps = first_steps(get("limits.first_step"), names, units)
    outputs_of = (_output(name, get, steps) for name in listed)
    made = tuple(outputs_of) if listed else _short_form(get, steps)
    action = ActionSettings(
        kind=get("action.kind"),
        names=names,
        units=units,
        lower=get("action.lower"),
        upper=get("action.upper"),
        dt_s=get("action.dt_s"),
        offset=get("action.offset"),
        sign=get("action.sign"),
        outputs=made,
        ignored=get("action.ignored"),
    )
    check_units("action", action)
    return action


def _short_form(
    get: Callable[[str], Value], steps: dict[str, float]
) -> tuple[OutputSettings, ...]:
    if get("action.kind") != JOINT_POSITIONS:
        return ()
    is_stream = get("execution.mode") == "stream"
    names = [name for name in get("action.names") if name not in get("action.ignored")]
    output = OutputSettings(
        name="",
        topic="joint_command" if is_stream else "joint_trajectory",
        type=get("execution.command") if is_stream else outputs.TRAJECTORY,
        names=names,
        rename=names,
        kind=outputs.POSITION,
        hold="auto",
        first_step=[steps[name] for name in names],
    )
    return (output,)


def _output(name: str, get: Callable[[str], Value], steps: dict[str, float]) -> OutputSettings:
    def of(key: str) -> Value:
        return get(f"output.{name}.{key}")

    made = OutputSettings(
        name=name,
        topic=of("topic") or TOPICS[of("type")].replace("<name>", name),
        type=of("type"),
        names=of("names"),
        rename=of("rename") or of("names"),
        kind=of("kind"),
        hold=of("hold"),
        first_step=[of("first_step")] * len(of("names")),
        frame_id=of("frame_id"),
        max_effort=of("max_effort"),
        goal_step=of("goal_step"),
        controller=of("controller"),
    )
    if of("first_step") >= 0:
        return made
    is_position = outputs.kind_of(made) == outputs.POSITION
    # The limit is of joints: a pose mixes metres with a quaternion.
    is_joints = is_position and made.type != outputs.POSE
    first_step = [steps.get(name, 0.0) if is_joints else 0.0 for name in made.names]
    return OutputSettings(**(vars(made) | {"first_step": first_step}))
