"""The parameters of the state: of one JointState, or of several sources."""

from cls_vla_ros.robot.joints import UNITS
from cls_vla_ros.robot.observation.state_fields import JOINT_STATE, ROOTS
from cls_vla_ros.robot.parameters.action_specs import OFFSET, PERCENT, SIGN
from cls_vla_ros.robot.parameters.spec import DOUBLES, STRINGS, Spec
from cls_vla_ros.robot.settings import RELIABILITIES

STATE_SPECS = (
    Spec("state.topic", "joint_states", "topic of sensor_msgs/JointState"),
    Spec(
        "state.joints", STRINGS, "names of the joints in observation.state, in the policy's order"
    ),
    Spec(
        "state.sources",
        STRINGS,
        "names of the sources of observation.state, where it is more than positions of one "
        "JointState; each has the parameters source.<name>.*. Then state.joints is empty or the "
        "order of their values, and the other state.* are not used",
    ),
    Spec(
        "state.units",
        STRINGS,
        f"the policy's unit of each: {', '.join(map(repr, UNITS))}; if empty, as in ROS",
    ),
    Spec("state.lower", DOUBLES, f"lower end of each joint's range, {PERCENT}"),
    Spec("state.upper", DOUBLES, f"upper end of each joint's range, {PERCENT}"),
    Spec("state.offset", DOUBLES, OFFSET),
    Spec("state.sign", DOUBLES, SIGN),
    Spec(
        "state.reliability",
        "best_effort",
        "of its subscription, as for a camera",
        choices=RELIABILITIES,
    ),
    Spec("state.depth", 5, "how many messages its subscription keeps", limits=(1, 1000)),
    Spec(
        "state.allow_partial",
        False,
        "whether a JointState may lack some of the joints (several drivers, one topic)",
    ),
    Spec(
        "state.allow_several_publishers",
        False,
        "whether more than one may publish on it; else no action is published while they do, "
        "since a second one may say where the arm is not. state.allow_partial implies it",
    ),
)

SOURCE_SPECS = (
    Spec("source.<name>.topic", "", "topic of its messages; if empty, <name>/joint_states"),
    Spec(
        "source.<name>.type",
        JOINT_STATE,
        "of its messages",
        choices=tuple(ROOTS),
    ),
    Spec(
        "source.<name>.fields",
        STRINGS,
        "which values of a message, in order: position.JOINT, velocity.JOINT or effort.JOINT with "
        "the driver's name of the joint; data.0; twist.linear.x; pose.position.x; wrench.force.x",
    ),
    Spec(
        "source.<name>.names",
        STRINGS,
        "what the policy calls each; if empty, the joint of position.JOINT, else the field itself",
    ),
    Spec("source.<name>.units", STRINGS, "as state.units, of this source's values"),
    Spec("source.<name>.lower", DOUBLES, "as state.lower"),
    Spec("source.<name>.upper", DOUBLES, "as state.upper"),
    Spec("source.<name>.offset", DOUBLES, "as state.offset"),
    Spec("source.<name>.sign", DOUBLES, "as state.sign"),
    Spec("source.<name>.allow_partial", False, "as state.allow_partial"),
    Spec(
        "source.<name>.reliability",
        "best_effort",
        "of its subscription, as for a camera",
        choices=RELIABILITIES,
    ),
    Spec("source.<name>.depth", 5, "how many messages its subscription keeps", limits=(1, 1000)),
    Spec("source.<name>.allow_several_publishers", False, "as state.allow_several_publishers"),
)

CAMERA_SPECS = (
    Spec("camera.<name>.topic", "", "topic of its pictures; if empty, <name>/image_raw"),
    Spec(
        "camera.<name>.transport",
        "raw",
        "raw for sensor_msgs/Image, compressed for sensor_msgs/CompressedImage",
        choices=("raw", "compressed"),
    ),
    Spec(
        "camera.<name>.feature",
        "",
        "the policy's name for its pictures; if empty, observation.images.<name>",
    ),
    Spec(
        "camera.<name>.reliability",
        "best_effort",
        "of its subscription: best_effort hears every publisher, reliable asks for what was lost",
        choices=RELIABILITIES,
    ),
    Spec(
        "camera.<name>.depth",
        1,
        "how many messages its subscription keeps; only the newest is of use",
        limits=(1, 1000),
    ),
    Spec(
        "camera.<name>.guard",
        True,
        "whether the frame guard looks at it; false for a camera that moves with the arm",
    ),
    Spec(
        "camera.<name>.allow_several_publishers",
        False,
        "whether more than one may publish on it; else no action is published while they do",
    ),
)
