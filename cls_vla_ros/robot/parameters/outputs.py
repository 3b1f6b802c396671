"""From the parameters to the table of the action's outputs; see `robot.action.outputs`."""

from collections.abc import Callable

from cls_vla_ros.robot.action import outputs
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
    made = tuple(_output(name, get) for name in listed) if listed else _short_form(get)
    action = ActionSettings(
        kind=get("action.kind"),
        names=names,
        units=get("action.units") or [""] * len(names),
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


def _short_form(get: Callable[[str], Value]) -> tuple[OutputSettings, ...]:
    if get("action.kind") != JOINT_POSITIONS:
        return ()
    names, is_stream = get("action.names"), get("execution.mode") == "stream"
    output = OutputSettings(
        name="",
        topic="joint_command" if is_stream else "joint_trajectory",
        type=get("execution.command") if is_stream else outputs.TRAJECTORY,
        names=[name for name in names if name not in get("action.ignored")],
        rename=[name for name in names if name not in get("action.ignored")],
        kind=outputs.POSITION,
        hold="auto",
        first_step=get("limits.first_step"),
    )
    return (output,)


def _output(name: str, get: Callable[[str], Value]) -> OutputSettings:
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
        first_step=of("first_step"),
        frame_id=of("frame_id"),
        max_effort=of("max_effort"),
        goal_step=of("goal_step"),
        controller=of("controller"),
    )
    if made.first_step >= 0:
        return made
    is_position = outputs.kind_of(made) == outputs.POSITION
    # The limit is of joints: a pose mixes metres with a quaternion.
    is_joints = is_position and made.type != outputs.POSE
    first_step = get("limits.first_step") if is_joints else 0.0
    return OutputSettings(**(vars(made) | {"first_step": first_step}))
