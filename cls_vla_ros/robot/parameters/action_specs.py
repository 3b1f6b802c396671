"""The parameters of the actions: what they are, what they may be, and who executes them."""

from cls_vla_ros.robot.action.action_limits import MODES
from cls_vla_ros.robot.parameters.first_step import AUTO, SLIDE, TURN, check_first_step
from cls_vla_ros.robot.parameters.spec import DOUBLES, STRINGS, Spec
from cls_vla_ros.robot.settings import COMMANDS

PERCENT = (
    "in rad or m; needed where a unit is percent, signed_percent or unit, else empty; swapped for "
    "a joint that goes the other way"
)
OFFSET = "the policy's number, in its unit, where ROS has 0; if empty, 0"
SIGN = "-1.0 for a joint that turns the other way than the policy's; if empty, 1.0"

ACTION_SPECS = (
    Spec(
        "action.kind",
        "other",
        "what the actions are; with joint_positions, joint_trajectory is published",
        choices=("joint_positions", "other"),
    ),
    Spec(
        "action.names",
        STRINGS,
        "name of each action value; the joint's where it is a joint position",
    ),
    Spec(
        "action.units",
        STRINGS,
        "the policy's unit of each, as in state.units; if empty, as in ROS",
    ),
    Spec("action.lower", DOUBLES, f"lower end of each joint's range, {PERCENT}"),
    Spec("action.upper", DOUBLES, f"upper end of each joint's range, {PERCENT}"),
    Spec("action.offset", DOUBLES, OFFSET),
    Spec("action.sign", DOUBLES, SIGN),
    Spec(
        "action.outputs",
        STRINGS,
        "names of what executes the actions, where it is more than one thing or takes no joint "
        "positions; each has the parameters output.<name>.*. Then action.kind and "
        "execution.command are not used",
    ),
    Spec(
        "action.ignored",
        STRINGS,
        "which of action.names no output takes, as a padding or an end-of-task flag",
    ),
    Spec(
        "action.dt_s",
        1 / 30,
        "time between two steps of a chunk, in seconds: 1 / fps of the dataset",
        limits=(0.0001, 10.0),
    ),
    Spec(
        "limits.mode",
        "refuse",
        "what happens to a chunk beyond a limit: it is refused as a whole, or moved into the "
        "limits; either is reported",
        choices=MODES,
    ),
    Spec(
        "limits.lower",
        DOUBLES,
        "lower limit of each action value, in rad or m; -.inf for none; if empty, none",
    ),
    Spec("limits.upper", DOUBLES, "upper limit, likewise"),
    Spec("limits.velocity", DOUBLES, "limit of its speed, in rad/s or m/s; likewise"),
    Spec(
        "limits.acceleration",
        DOUBLES,
        "limit of its acceleration, in rad/s² or m/s²; likewise, and no URDF has one. No chunk is "
        "refused for it: what is commanded follows the chunk within it, later where it must",
    ),
    Spec(
        "limits.first_step",
        AUTO,
        "how far the next step may be from what the joint was told last, or from where it is, in "
        "rad or m, in [0, 100]: one number, or one for each of action.names; 0 for no limit. "
        f"auto: {TURN} rad, and {SLIDE} m where the unit is m. For joint positions only",
        check=check_first_step,
    ),
    Spec(
        "limits.step",
        AUTO,
        "how far a step of a chunk may be from the one before it, as limits.first_step; auto: as "
        "far as that, and in proportion more where action.dt_s is above 1/30 s",
        check=check_first_step,
    ),
    Spec(
        "limits.continuous",
        STRINGS,
        "which of action.names are joints that turn without end (with "
        "limits.from_robot_description, those of this type too): they go the short way, and what "
        "is commanded does not jump by a turn",
    ),
    Spec(
        "limits.from_robot_description",
        False,
        "whether limits that are not set are those of the URDF on robot_description; until it has "
        "come, no action is published",
    ),
    Spec(
        "execution.mode",
        "chunk",
        "chunk: whoever takes action_chunk or joint_trajectory executes it; stream: this node "
        "plays it by time, on joint_command",
        choices=("chunk", "stream"),
    ),
    Spec(
        "execution.command",
        "float64_multi_array",
        "type of joint_command: std_msgs/Float64MultiArray (forward_command_controller), "
        "sensor_msgs/JointState, or trajectory_msgs/JointTrajectory with one point",
        choices=tuple(COMMANDS),
    ),
    Spec(
        "execution.rate_hz",
        50.0,
        "commands per second in stream mode",
        limits=(1.0, 1000.0),
    ),
    Spec(
        "execution.blend_s",
        0.2,
        "how long a new chunk takes over from the old one in stream mode, in seconds",
        limits=(0.0, 10.0),
    ),
    Spec(
        "execution.hold_publish_s",
        0.0,
        "how long the last command is repeated once there is nothing to play, in seconds; then "
        "nothing is published, and the controller holds",
        limits=(0.0, 10.0),
    ),
    Spec(
        "execution.rtc",
        "auto",
        "whether a chunk is made to go on where the last one will be (real-time chunking): on, "
        "off, or auto (in stream mode). Chunks of relative actions are left without it",
        choices=("auto", "on", "off"),
    ),
)
