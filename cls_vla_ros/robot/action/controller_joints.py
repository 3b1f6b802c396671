"""An output's names against what its controller says of itself."""

from cls_vla_ros.robot.action.outputs import (
    ARRAY,
    JOINT_STATE,
    PARALLEL_GRIPPER,
    TRAJECTORY,
    kind_of,
)
from cls_vla_ros.robot.settings import OutputSettings

# By type: the parameters in which the controllers of ros2_control have their joints. A
# gripper_command names no joint, a twist or a pose neither.
JOINTS = {
    ARRAY: "joints",
    TRAJECTORY: "joints",
    JOINT_STATE: "joints",
    PARALLEL_GRIPPER: "joint",
}
INTERFACE = "interface_name"  # of a forward_command_controller
PARTIAL = "allow_partial_joints_goal"  # of a joint_trajectory_controller


def problem_with(
    output: OutputSettings, joints: list[str], *, interface: str = "", allows_partial: bool = False
) -> str:
    """Why the controller would refuse or misunderstand what the output sends; empty if not.

    Args:
        output: from the parameters.
        joints: the controller's own, in its order.
        interface: what it forwards its numbers to; "" where it does not say.
        allows_partial: whether it takes a trajectory for some of its joints.
    """
    ours, where = output.rename, f"output.{output.name}.rename" if output.name else "action.names"
    missing, more = (sorted(set(a) - set(b)) for a, b in ((joints, ours), (ours, joints)))
    if more or (missing and not (allows_partial and output.type == TRAJECTORY)):
        return (
            f"the controller of {output.topic} has the joints {joints}, and {where} is {ours}: "
            f"{_differ(missing, more)}. It would refuse every command"
        )
    if output.type == ARRAY and ours != joints:
        return (
            f"the controller of {output.topic} has its joints in the order {joints}, and {where} "
            f"is {ours}: an array has no names, so each number would go to another joint. Give "
            "names and rename in the controller's order"
        )
    if output.type == ARRAY and interface and interface != kind_of(output):
        return (
            f"the controller of {output.topic} forwards to the interface {interface!r}, and the "
            f"values are {kind_of(output)}: another controller, or another "
            f"output.{output.name}.kind"
        )
    return ""


def _differ(missing: list[str], more: list[str]) -> str:
    texts = [f"{missing} are missing"] if missing else []
    return ", ".join(texts + ([f"{more} are not its"] if more else []))
