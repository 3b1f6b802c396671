"""The parameters of an output of the actions, where there are several, or another than joints."""

from cls_vla_ros.robot.action.outputs import HOLDS, KINDS, TRAJECTORY, TYPES
from cls_vla_ros.robot.parameters.spec import STRINGS, Spec

OUTPUT_SPECS = (
    Spec(
        "output.<name>.topic",
        "",
        "topic, or name of the gripper's action; if empty, <name>/joint_trajectory, "
        "<name>/commands, <name>/joint_commands, cmd_vel, <name>/target_pose or "
        "<name>/gripper_cmd, by its type",
    ),
    Spec("output.<name>.type", TRAJECTORY, "of its messages or its action", choices=TYPES),
    Spec("output.<name>.names", STRINGS, "which of action.names it takes, in its own order"),
    Spec(
        "output.<name>.rename",
        STRINGS,
        "what the controller calls each; if empty, as in names. For a twist linear.x to "
        "angular.z, for a pose position.x to orientation.w, or orientation.roll, .pitch and .yaw",
    ),
    Spec(
        "output.<name>.kind",
        "auto",
        "what the values are; auto: velocity for a twist, else position. Relative ones are how "
        "far to go in a step: a twist plays them as velocities",
        choices=KINDS,
    ),
    Spec(
        "output.<name>.hold",
        "auto",
        "what it gets when there is nothing to command: stop (nothing more; a trajectory is ended "
        "where the joints are), repeat (the last command, for execution.hold_publish_s), zero, or "
        "auto (zero for velocities and relative values, stop for a gripper, else repeat)",
        choices=HOLDS,
    ),
    Spec(
        "output.<name>.first_step",
        -1.0,
        "as limits.first_step, for this output; -1 for that one, for positions, and no limit for "
        "others",
        limits=(-1.0, 100.0),
    ),
    Spec("output.<name>.frame_id", "", "frame of its headers: of a twist or a pose"),
    Spec(
        "output.<name>.max_effort",
        0.0,
        "of a gripper's goals, in N or Nm; 0 for what the controller has",
        limits=(0.0, 10000.0),
    ),
    Spec(
        "output.<name>.goal_step",
        0.001,
        "how far a gripper's command must have moved for another goal, in rad or m",
        limits=(0.0, 100.0),
    ),
    Spec(
        "output.<name>.controller",
        "",
        "node of ros2_control whose joints are compared with rename when the node is configured; "
        "if empty, the one that the topic belongs to, as arm of arm/joint_trajectory",
    ),
)
