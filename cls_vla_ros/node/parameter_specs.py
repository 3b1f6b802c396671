"""Every parameter of the node in one place: default, description, range, live or not.

The table in the README is printed from here: `python -m cls_vla_ros.node.parameter_specs`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.parameter import Parameter

from cls_vla_ros.engine import DTYPES, ENGINES
from cls_vla_ros.node.joints import UNITS
from cls_vla_ros.policy.scene_gate import THRESHOLD_PRESETS, parse_threshold

CHECKPOINT = "checkpoint"  # gate.threshold: what the checkpoint's configuration says
Value = bool | int | float | str | list[str] | list[float]


@dataclass(frozen=True)
class Spec:
    """One parameter.

    Attributes:
        name: as in YAML; <name> stands for a camera's name.
        default: its value unless it is set; a Parameter.Type for a list that is empty unless it is
            set.
        description: what it does, with its unit.
        limits: smallest and largest value.
        choices: the values it may have.
        live: whether it can change while the node is configured; the others are read by
            `configure`.
        check: raises ValueError for a value that cannot be used.
    """

    name: str
    default: Value | Parameter.Type
    description: str
    limits: tuple[float, float] | None = None
    choices: tuple[str, ...] = ()
    live: bool = False
    check: Callable[[Value], None] | None = None

    def problem(self, value: Value) -> str:
        """Why the value cannot be used; empty if it can."""
        if self.limits and not self.limits[0] <= value <= self.limits[1]:
            return f"{self.name} must be in [{self.limits[0]:g}, {self.limits[1]:g}], got {value}"
        if self.choices and value not in self.choices:
            return (
                f"{self.name} must be one of {', '.join(map(repr, self.choices))}, got {value!r}"
            )
        if self.check:
            try:
                self.check(value)
            except ValueError as error:
                return f"{self.name}: {error}"
        return ""

    def descriptor(self) -> ParameterDescriptor:
        described = ParameterDescriptor(
            description=self.description, dynamic_typing=self.check is not None
        )
        described.additional_constraints = ", ".join(map(repr, self.choices))
        if self.limits and isinstance(self.default, float):
            described.floating_point_range = [
                FloatingPointRange(from_value=self.limits[0], to_value=self.limits[1])
            ]
        elif self.limits:
            described.integer_range = [
                IntegerRange(from_value=int(self.limits[0]), to_value=int(self.limits[1]))
            ]
        return described


def check_threshold(value: Value) -> None:
    """Raises ValueError unless it is a number in [-1, 1], a preset, or 'checkpoint'."""
    if value != CHECKPOINT:
        parse_threshold(value)


PERCENT = "in rad or m; needed where a unit is a percentage, else empty"
STRINGS, DOUBLES = Parameter.Type.STRING_ARRAY, Parameter.Type.DOUBLE_ARRAY
PRESETS = ", ".join(f"{name} ({value:g})" for name, value in THRESHOLD_PRESETS.items())

SPECS = (
    Spec(
        "policy.path",
        "",
        "checkpoint: a directory, a hub id, or 'demo' for the demo's random policy",
    ),
    Spec(
        "policy.device",
        "auto",
        "where the policy runs: auto (CUDA if there is one), cpu, cuda or cuda:N",
    ),
    Spec(
        "policy.engine",
        "auto",
        "how it runs: eager (one operation after another), cuda_graph (recorded once, then "
        "replayed; needs CUDA), or auto (cuda_graph on CUDA)",
        choices=ENGINES,
    ),
    Spec(
        "policy.dtype",
        "auto",
        "what it computes in; auto is bfloat16 on CUDA, float32 on a CPU",
        choices=DTYPES,
    ),
    Spec(
        "policy.num_steps",
        0,
        "denoising steps: fewer are faster and less exact; 0 for the checkpoint's own",
        limits=(0, 100),
    ),
    Spec(
        "policy.seed",
        -1,
        "seed of the denoising noise; -1 for another one every time",
        limits=(-1, 2**31 - 1),
    ),
    Spec(
        "task",
        "",
        "the instruction that the policy follows, in words; a change is a reset",
        live=True,
    ),
    Spec(
        "rate_hz",
        10.0,
        "at most this many inferences per second; each waits for a new frame of every camera",
        limits=(0.01, 1000.0),
        live=True,
    ),
    Spec(
        "observation.max_age_s",
        0.5,
        "how old a camera frame or a joint's position may be, in seconds; with an "
        "older one nothing is inferred",
        limits=(0.001, 3600.0),
        live=True,
    ),
    Spec(
        "gate.threshold",
        CHECKPOINT,
        "similarity above which the scene is as predicted: a number in [-1, 1], a "
        f"preset ({PRESETS}), or '{CHECKPOINT}' for the checkpoint's own. Higher is stricter",
        live=True,
        check=check_threshold,
    ),
    Spec(
        "gate.allow_untrained",
        False,
        "whether an untrained CLS head may open the gate; its similarity is noise",
        live=True,
    ),
    Spec(
        "gate.adaptive",
        False,
        "whether the threshold follows the hit rate, to keep it in [0.3, 0.8]; it stays in "
        "[0.2, 0.8]",
        live=True,
    ),
    Spec(
        "cache.enabled",
        True,
        "whether a cached prefix is reused while the scene is as predicted",
        live=True,
    ),
    Spec(
        "cache.max_age_s",
        1.0,
        "how old a reused prefix may be, in seconds",
        limits=(0.0, 3600.0),
        live=True,
    ),
    Spec(
        "cache.max_reuses",
        4,
        "how often in a row a prefix is reused before the gate looks again",
        limits=(0, 1000),
        live=True,
    ),
    Spec(
        "cache.guard_threshold",
        0.25,
        "frame guard: change of a patch of a picture, as a share of the mean brightness, above "
        "which the prefix is computed",
        limits=(0.0, 100.0),
        live=True,
    ),
    Spec(
        "cache.guard_frozen",
        True,
        "frame guard: whether a picture with the same bytes as the one before it is a fault",
        live=True,
    ),
    Spec("cameras", STRINGS, "names of the cameras; each has the parameters camera.<name>.*"),
    Spec("state.topic", "joint_states", "topic of sensor_msgs/JointState"),
    Spec(
        "state.joints", STRINGS, "names of the joints in observation.state, in the policy's order"
    ),
    Spec(
        "state.units",
        STRINGS,
        f"the policy's unit of each: {', '.join(map(repr, UNITS))}; if empty, as in ROS",
    ),
    Spec("state.lower", DOUBLES, f"lower end of each joint's range, {PERCENT}"),
    Spec("state.upper", DOUBLES, f"upper end of each joint's range, {PERCENT}"),
    Spec(
        "state.allow_partial",
        False,
        "whether a JointState may lack some of the joints (several drivers, one topic)",
    ),
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
    Spec(
        "action.dt_s",
        1 / 30,
        "time between two steps of a chunk, in seconds: 1 / fps of the dataset",
        limits=(0.0001, 10.0),
    ),
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
        "camera.<name>.guard",
        True,
        "whether the frame guard looks at it; false for a camera that moves with the arm",
    ),
)


def markdown_table() -> str:
    """The parameters, for the README."""
    lines = ["| parameter | default | live | what it does |", "|---|---|---|---|"]
    for spec in (*SPECS, *CAMERA_SPECS):
        default = "[]" if isinstance(spec.default, Parameter.Type) else f"{spec.default!r}"
        default = f"{spec.default:.4g}" if isinstance(spec.default, float) else default
        what = spec.description + (f" ({' or '.join(spec.choices)})" if spec.choices else "")
        what += f"; in [{spec.limits[0]:g}, {spec.limits[1]:g}]" if spec.limits else ""
        lines.append(f"| `{spec.name}` | `{default}` | {'yes' if spec.live else ''} | {what} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(markdown_table())
