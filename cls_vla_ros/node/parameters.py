"""The node's parameters: name, default, description, range, and whether they can change while running, in one place.

The table in the README is printed from here: `python -m cls_vla_ros.node.parameters`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import InvalidParameterException, InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from cls_vla_ros.node.joints import UNITS
from cls_vla_ros.node.settings import ActionSettings, CameraSettings, Settings, StateSettings
from cls_vla_ros.policy.scene_gate import THRESHOLD_PRESETS, parse_threshold

CHECKPOINT = "checkpoint"  # gate.threshold: what the checkpoint's configuration says
Value = bool | int | float | str | list[str] | list[float]


@dataclass(frozen=True)
class Spec:
    """One parameter.

    Attributes:
        name: as in YAML; <name> stands for a camera's name.
        default: its value unless it is set; a Parameter.Type for a list that is empty unless it is set.
        description: what it does, with its unit.
        limits: smallest and largest value.
        choices: the values it may have.
        live: whether it can change while the node is configured; the others are read by `configure`.
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
            return f"{self.name} must be one of {', '.join(map(repr, self.choices))}, got {value!r}"
        if self.check:
            try:
                self.check(value)
            except ValueError as error:
                return f"{self.name}: {error}"
        return ""

    def descriptor(self) -> ParameterDescriptor:
        described = ParameterDescriptor(description=self.description, dynamic_typing=self.check is not None)
        described.additional_constraints = ", ".join(map(repr, self.choices))
        if self.limits and isinstance(self.default, float):
            described.floating_point_range = [FloatingPointRange(from_value=self.limits[0], to_value=self.limits[1])]
        elif self.limits:
            described.integer_range = [IntegerRange(from_value=int(self.limits[0]), to_value=int(self.limits[1]))]
        return described


def check_threshold(value: Value) -> None:
    """Raises ValueError unless it is a number in [-1, 1], a preset, or 'checkpoint'."""
    if value != CHECKPOINT:
        parse_threshold(value)


PERCENT = "in rad or m; needed where a unit is a percentage, else empty"
STRINGS, DOUBLES = Parameter.Type.STRING_ARRAY, Parameter.Type.DOUBLE_ARRAY
PRESETS = ", ".join(f"{name} ({value:g})" for name, value in THRESHOLD_PRESETS.items())

SPECS = (
    Spec("policy.path", "", "checkpoint: a directory, a hub id, or 'demo' for the demo's random policy"),
    Spec("policy.device", "auto", "where the policy runs: auto (CUDA if there is one), cpu, cuda or cuda:N"),
    Spec("policy.seed", -1, "seed of the denoising noise; -1 for another one every time", limits=(-1, 2**31 - 1)),
    Spec("task", "", "the instruction that the policy follows, in words; a change is a reset", live=True),
    Spec(
        "rate_hz", 10.0, "at most this many inferences per second; each waits for a new frame of every camera",
        limits=(0.01, 1000.0), live=True,
    ),
    Spec(
        "observation.max_age_s", 0.5, "how old a camera frame or a joint's position may be, in seconds; with an "
        "older one nothing is inferred", limits=(0.001, 3600.0), live=True,
    ),
    Spec(
        "gate.threshold", CHECKPOINT, "similarity above which the scene is as predicted: a number in [-1, 1], a "
        f"preset ({PRESETS}), or '{CHECKPOINT}' for the checkpoint's own. Higher is stricter", live=True,
        check=check_threshold,
    ),
    Spec("cameras", STRINGS, "names of the cameras; each has the parameters camera.<name>.*"),
    Spec("state.topic", "joint_states", "topic of sensor_msgs/JointState"),
    Spec("state.joints", STRINGS, "names of the joints in observation.state, in the policy's order"),
    Spec("state.units", STRINGS, f"the policy's unit of each: {', '.join(map(repr, UNITS))}; if empty, as in ROS"),
    Spec("state.lower", DOUBLES, f"lower end of each joint's range, {PERCENT}"),
    Spec("state.upper", DOUBLES, f"upper end of each joint's range, {PERCENT}"),
    Spec("state.allow_partial", False, "whether a JointState may lack some of the joints (several drivers, one topic)"),
    Spec(
        "action.kind", "other", "what the actions are; with joint_positions, joint_trajectory is published",
        choices=("joint_positions", "other"),
    ),
    Spec("action.names", STRINGS, "name of each action value; the joint's where it is a joint position"),
    Spec("action.units", STRINGS, "the policy's unit of each, as in state.units; if empty, as in ROS"),
    Spec("action.lower", DOUBLES, f"lower end of each joint's range, {PERCENT}"),
    Spec("action.upper", DOUBLES, f"upper end of each joint's range, {PERCENT}"),
    Spec("action.dt_s", 1 / 30, "time between two steps of a chunk, in seconds: 1 / fps of the dataset",
         limits=(0.0001, 10.0)),
)  # fmt: skip

CAMERA_SPECS = (
    Spec("camera.<name>.topic", "", "topic of its pictures; if empty, <name>/image_raw"),
    Spec("camera.<name>.transport", "raw", "raw for sensor_msgs/Image, compressed for sensor_msgs/CompressedImage",
         choices=("raw", "compressed")),
    Spec("camera.<name>.feature", "", "the policy's name for its pictures; if empty, observation.images.<name>"),
)  # fmt: skip


class Parameters:
    """Declares the parameters on a node, refuses bad values with a reason, and reads them.

    A bad value in a file or on the command line does not take the node down either: it is said, `configure` fails
    with it, and setting a good value mends it.
    """

    def __init__(self, node: Node) -> None:
        """Declare all but the cameras', whose names are known only when they are read."""
        self._node = node
        self._specs: dict[str, Spec] = {}
        self._bad: dict[str, str] = {}
        self._declare(SPECS)
        node.add_post_set_parameters_callback(self._on_set)

    def problem(self, parameter: Parameter, *, is_configured: bool) -> str:
        """Why a parameter may not be set so; empty if it may."""
        spec = self._specs.get(parameter.name)
        if spec is None:
            return ""  # not ours: use_sim_time, for one
        if is_configured and not spec.live:
            return (
                f"{spec.name} is read when the node is configured, which it is already: run "
                "`ros2 lifecycle set <node> deactivate` and `cleanup`, set it, and `configure` again"
            )
        if parameter.type_ == Parameter.Type.NOT_SET:
            return f"{spec.name} cannot be removed"
        return spec.problem(parameter.value)

    def get(self, name: str) -> Value:
        """The value of a declared parameter; [] for a list that is not set."""
        value = self._node.get_parameter_or(name, None)
        if value is None or value.value is None:
            return []
        return list(value.value) if not isinstance(value.value, (bool, int, float, str)) else value.value

    def read(self) -> Settings:
        """What `configure` needs.

        Raises:
            ValueError: a value that was set in a file cannot be used, or one that is needed is missing.
        """
        names = self.get("cameras")
        self._declare(_for_camera(spec, name) for name in names for spec in CAMERA_SPECS)
        if self._bad:
            raise ValueError("; ".join(self._bad.values()))
        if not self.get("policy.path"):
            raise ValueError("policy.path is not set: expected a checkpoint's directory, a hub id, or 'demo'")
        if not names:
            raise ValueError("cameras is empty: name at least one, as config/demo.yaml does")
        action = ActionSettings(
            kind=self.get("action.kind"),
            names=self.get("action.names"),
            units=self.get("action.units") or [""] * len(self.get("action.names")),
            lower=self.get("action.lower"),
            upper=self.get("action.upper"),
            dt_s=self.get("action.dt_s"),
        )
        state = StateSettings(
            topic=self.get("state.topic"),
            joints=self.get("state.joints"),
            units=self.get("state.units") or [""] * len(self.get("state.joints")),
            lower=self.get("state.lower"),
            upper=self.get("state.upper"),
            allow_partial=self.get("state.allow_partial"),
        )
        seed = self.get("policy.seed")
        return Settings(
            policy_path=self.get("policy.path"),
            device=self.get("policy.device"),
            seed=None if seed < 0 else seed,
            cameras=[self._camera(name) for name in names],
            state=state,
            action=action,
        )

    def _camera(self, name: str) -> CameraSettings:
        return CameraSettings(
            name=name,
            topic=self.get(f"camera.{name}.topic") or f"{name}/image_raw",
            transport=self.get(f"camera.{name}.transport"),
            feature=self.get(f"camera.{name}.feature") or f"observation.images.{name}",
        )

    def _declare(self, specs: Iterable[Spec]) -> None:
        for spec in specs:
            if self._node.has_parameter(spec.name):
                continue
            self._specs[spec.name] = spec
            try:
                value = self._node.declare_parameter(spec.name, spec.default, spec.descriptor()).value
                problem = "" if value is None else spec.problem(value)
            except (InvalidParameterTypeException, InvalidParameterValueException, InvalidParameterException) as error:
                problem = str(error)
                self._node.declare_parameter(spec.name, spec.default, spec.descriptor(), ignore_override=True)
            if problem:
                self._bad[spec.name] = problem
                self._node.get_logger().error(f"parameter refused: {problem}")

    def _on_set(self, parameters: list[Parameter]) -> None:
        """A value that was accepted takes the place of a bad one."""
        for parameter in parameters:
            self._bad.pop(parameter.name, None)


def _for_camera(spec: Spec, name: str) -> Spec:
    return Spec(
        spec.name.replace("<name>", name), spec.default, spec.description.replace("<name>", name), choices=spec.choices
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
