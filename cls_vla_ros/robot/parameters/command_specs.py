"""Who commands the arm: the parameters of arming, of taking over, and of following."""

from cls_vla_ros.robot.parameters.spec import DOUBLES, Spec

COMMAND_SPECS = (
    Spec(
        "execution.armed",
        False,
        "whether controllers get the actions; until then they are published on ~/preview/... "
        "alone, from where the arm is. The service arm sets it",
        live=True,
    ),
    Spec(
        "execution.preflight",
        True,
        "whether arming is refused while a value of the state is far outside of the range that it "
        "had in the policy's dataset: its unit, offset or sign is wrong then",
        live=True,
    ),
    Spec(
        "limits.following_error",
        DOUBLES,
        "how far a joint may be from what it is told, for following_error_s, in rad or m; then "
        "the arm is stopped and disarmed. One for each of action.names, .inf for none, as for a "
        "gripper, which may hold something; if empty, none",
    ),
    Spec(
        "limits.following_error_s",
        1.0,
        "for how long it may be farther from it than limits.following_error, in seconds",
        limits=(0.0, 60.0),
    ),
    Spec(
        "takeover.topic",
        "",
        "a teleoperator's topic: while messages come on it, the arm is the teleoperator's, and "
        "this node commands nothing; empty: only the service takeover does that",
    ),
    Spec("takeover.type", "sensor_msgs/msg/Joy", "type of the messages on takeover.topic"),
    Spec(
        "takeover.button",
        -1,
        "of a Joy: the button that must be down, from 0; -1: each message counts",
        limits=(-1, 100),
    ),
    Spec(
        "takeover.fresh_s",
        0.5,
        "how long after the last message the arm is given back, in seconds",
        limits=(0.05, 60.0),
    ),
)
