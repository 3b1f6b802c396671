"""Where the values of an action go: an ordered list of outputs.

`action.outputs` in the parameters names them, and each has a group `output.<name>.*`: topic (or
action name), type, `names` (which of action.names it takes, in its own order), `rename` (what the
controller calls them), kind, hold and first_step. Unit, offset, sign and limits of a value stand
in the lists of action.* and limits.*, in the order of action.names: they belong to the value,
wherever it goes. Where `action.outputs` is empty, action.kind and execution.* make the one output
of the short form: joint_trajectory, or joint_command in stream mode.

A chunk goes out whole only to a joint_trajectory in chunk mode. Everything else is played by time,
by this node: one command after the other.

kind: positions are compared with where the joints are; velocities begin at standing still;
relative values (how far to go in a step) are played as velocities, value / action.dt_s, and only
by a twist. hold: stop (nothing more is sent; a trajectory that was sent whole is ended where the
joints are), repeat (the last command, for execution.hold_publish_s), zero (at once, and for half a
second), auto (zero for velocities and relative values, which go on if they are repeated; repeat
for positions, which with hold_publish_s 0.0 is nothing).
"""

from dataclasses import dataclass

import numpy as np

from cls_vla_ros.robot.settings import OutputSettings, Settings

TRAJECTORY, ARRAY, JOINT_STATE = "joint_trajectory", "float64_multi_array", "joint_state"
TWIST, TWIST_STAMPED, POSE = "twist", "twist_stamped", "pose_stamped"
GRIPPER, PARALLEL_GRIPPER = "gripper_command", "parallel_gripper_command"
TYPES = (
    *(TRAJECTORY, ARRAY, JOINT_STATE, TWIST, TWIST_STAMPED, POSE),
    *(GRIPPER, PARALLEL_GRIPPER),
)
TWISTS, GRIPPERS = (TWIST, TWIST_STAMPED), (GRIPPER, PARALLEL_GRIPPER)
POSITION, VELOCITY, RELATIVE = "position", "velocity", "relative"
KINDS = ("auto", POSITION, VELOCITY, RELATIVE)
STOP, REPEAT, ZERO = "stop", "repeat", "zero"
HOLDS = ("auto", STOP, REPEAT, ZERO)
USUAL_DT_S = 1 / 30
AXES = "xyz"
TWIST_NAMES = tuple(f"{vector}.{axis}" for vector in ("linear", "angular") for axis in AXES)
POSITION_NAMES = tuple(f"position.{axis}" for axis in AXES)
QUATERNION = tuple(f"orientation.{axis}" for axis in "xyzw")
EULER = ("orientation.roll", "orientation.pitch", "orientation.yaw")
ALL_OF_POSE = (set(POSITION_NAMES + QUATERNION), set(POSITION_NAMES + EULER))


def kind_of(output: OutputSettings) -> str:
    """What the output's values are, with "auto" resolved: POSITION, VELOCITY or RELATIVE."""
    if output.kind != "auto":
        return output.kind
    return VELOCITY if output.type in TWISTS else POSITION


def hold_of(output: OutputSettings) -> str:
    """What a hold means for the output, with "auto" resolved: STOP, REPEAT or ZERO."""
    if output.hold != "auto":
        return output.hold
    if output.type in GRIPPERS:
        return STOP
    return REPEAT if kind_of(output) == POSITION else ZERO


def is_played(output: OutputSettings, mode: str) -> bool:
    """Whether this node plays it by time, and does not send whole chunks.

    Args:
        output: one of them.
        mode: execution.mode.
    """
    return mode == "stream" or output.type != TRAJECTORY


@dataclass(frozen=True)
class ValueTable:
    """What the outputs say of each action value.

    Attributes:
        first_step: (A,) how far the next step may be from where the value is; infinity for any.
        step: (A,) how far each other step may be from the one before it; likewise.
        is_position: (A,) bool, of values that state says the place of.
        is_played: (A,) bool, of values that this node plays by time.
        urdf_names: of the values that are joint positions, by action name.
    """

    first_step: np.ndarray
    step: np.ndarray
    is_position: np.ndarray
    is_played: np.ndarray
    urdf_names: dict[str, str]

    @classmethod
    def of(cls, settings: Settings) -> "ValueTable":
        """From the parameters."""
        names = settings.action.names
        first_step, urdf_names = np.full(len(names), np.inf), {}
        is_position, played = np.zeros(len(names), bool), np.zeros(len(names), bool)
        for output in settings.action.outputs:
            index = [names.index(name) for name in output.names]
            first_step[index] = [step or np.inf for step in output.first_step]
            is_position[index] = kind_of(output) == POSITION
            played[index] = is_played(output, settings.execution.mode)
            if kind_of(output) == POSITION and output.type != POSE:
                # A gripper's number may be the width between two fingers: no joint has that.
                urdf_names |= {
                    name: renamed
                    for name, renamed in zip(output.names, output.rename, strict=True)
                    if output.type != GRIPPER or name in settings.state.joints
                }
        step = _steps(settings, first_step, is_position)
        return cls(first_step, step, is_position, played, urdf_names)


def _steps(settings: Settings, first_step: np.ndarray, is_position: np.ndarray) -> np.ndarray:
    """From limits.step; by default as first_step, which is meant for steps of 1/30 s or less."""
    given = settings.limits.step
    if given == "auto":
        return first_step * max(1.0, settings.action.dt_s / USUAL_DT_S)
    steps = np.array(given if isinstance(given, list) else [given] * len(first_step), np.float64)
    if len(steps) != len(first_step):
        raise ValueError(
            f"limits.step has {len(steps)} values, action.names {len(first_step)}: give each of "
            "them one (0.0 is no limit), or one number for all"
        )
    return np.where((steps > 0) & is_position, steps, np.inf)


def check_outputs(settings: Settings) -> None:
    """Is everything commanded once, and to something that can take it?

    Raises:
        ValueError: a value without or with two outputs, lists of unequal length, a name that the
            type does not know, or a kind or hold that it cannot have.
    """
    action, state = settings.action, settings.state
    if not action.outputs:
        return
    if len(set(action.names)) != len(action.names):
        raise ValueError(f"action.names names something more than once: {action.names}")
    taken = [name for output in action.outputs for name in output.names]
    taken += action.ignored
    if unknown := sorted(set(taken) - set(action.names)):
        raise ValueError(f"the outputs take {unknown}, but action.names has only {action.names}")
    if twice := sorted({name for name in taken if taken.count(name) > 1}):
        raise ValueError(f"{twice} are taken by more than one output, or twice: one each")
    if left := [name for name in action.names if name not in taken]:
        raise ValueError(
            f"{left} of action.names are taken by no output: add them to output.<name>.names, or, "
            "if nothing executes them, to action.ignored"
        )
    for output in action.outputs:
        try:
            _check(output)
        except ValueError as error:
            raise ValueError(f"output.{output.name}: {error}") from None
        limited = [n for n, s in zip(output.names, output.first_step, strict=True) if s]
        unknown = [name for name in limited if name not in state.joints]
        if kind_of(output) == POSITION and unknown:
            first_step = f"output.{output.name}.first_step" if output.name else "limits.first_step"
            raise ValueError(
                f"{first_step} compares an action with where its joint is, but {unknown} are not "
                f"among state.joints {state.joints}: call them as there, or set {first_step} "
                "to 0.0"
            )
    topics = [output.topic for output in action.outputs]
    if twice := sorted({topic for topic in topics if topics.count(topic) > 1}):
        raise ValueError(f"more than one output has the topic {twice}: give each its own")


def _check(output: OutputSettings) -> None:
    kind, hold = kind_of(output), hold_of(output)
    if not output.names:
        raise ValueError("names is empty: which values of action.names does it take?")
    if len(output.rename) != len(output.names) or len(set(output.rename)) != len(output.rename):
        raise ValueError(
            f"rename must have one name for each of {output.names}, each its own, or none at all; "
            f"it is {output.rename}"
        )
    _check_names(output)
    if kind == RELATIVE and output.type not in TWISTS:
        raise ValueError(
            f"relative values can be played by a twist alone, and its type is {output.type}"
        )
    if kind == VELOCITY and output.type in (POSE, *GRIPPERS, TRAJECTORY):
        raise ValueError(f"a {output.type} takes positions; its kind is velocity")
    if kind == POSITION and output.type in TWISTS:
        raise ValueError("a twist takes velocities or relative values; its kind is position")
    if hold == REPEAT and (kind != POSITION or output.type in GRIPPERS):
        raise ValueError(
            f"hold 'repeat' is for a stream of positions: what is {kind} would go on moving. Set "
            "it to zero or stop"
        )
    if hold == ZERO and kind == POSITION:
        raise ValueError("hold 'zero' is for velocities: a position of 0 is a place to go to")


def _check_names(output: OutputSettings) -> None:
    if output.type in TWISTS and not set(output.rename) <= set(TWIST_NAMES):
        raise ValueError(
            f"a twist has {', '.join(TWIST_NAMES)}; rename says {output.rename}: say which of "
            "them each value is"
        )
    if output.type == POSE and set(output.rename) not in ALL_OF_POSE:
        raise ValueError(
            f"a pose needs {', '.join(POSITION_NAMES)} and either {', '.join(QUATERNION)} or "
            f"{', '.join(EULER)}; rename says {output.rename}"
        )
    if output.type == GRIPPER and len(output.names) != 1:
        raise ValueError(f"a gripper_command has one position; names is {output.names}")
