"""Declares the node's parameters, refuses bad values with a reason, and reads them."""

from collections.abc import Iterable
from dataclasses import fields, replace

from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from cls_vla_ros.inference import ReuseLimits, Session
from cls_vla_ros.policy.configuration_cls_smolvla import CLSSmolVLAConfig
from cls_vla_ros.robot.observation.observation_buffer import ObservationLimits
from cls_vla_ros.robot.parameters.parameter_specs import CAMERA_SPECS, CHECKPOINT, SPECS
from cls_vla_ros.robot.parameters.spec import Spec, Value
from cls_vla_ros.robot.settings import (
    ActionSettings,
    CameraSettings,
    ExecutionSettings,
    LimitSettings,
    Settings,
    StateSettings,
)


class Parameters:
    """Declares the parameters on a node, refuses bad values with a reason, and reads them.

    A bad value in a file or on the command line does not take the node down either: it is said,
    `configure` fails with it, and setting a good value mends it.
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
                "`ros2 lifecycle set <node> deactivate` and `cleanup`, set it, and `configure` "
                "again"
            )
        if parameter.type_ == Parameter.Type.NOT_SET:
            return f"{spec.name} cannot be removed"
        return spec.problem(parameter.value)

    def get(self, name: str) -> Value:
        """The value of a declared parameter; [] for a list that is not set."""
        value = self._node.get_parameter_or(name, None)
        if value is None or value.value is None:
            return []
        return (
            list(value.value)
            if not isinstance(value.value, (bool, int, float, str))
            else value.value
        )

    def read(self) -> Settings:
        """What `configure` needs.

        Raises:
            ValueError: a value that was set in a file cannot be used, or one that is needed is
                missing.
        """
        names = self.get("cameras")
        of_cameras = [_for_camera(spec, name) for name in names for spec in CAMERA_SPECS]
        self._declare(of_cameras)
        wanted = {spec.name for spec in (*SPECS, *of_cameras)}
        if problems := [text for name, text in self._bad.items() if name in wanted]:
            raise ValueError("; ".join(problems))
        if not self.get("policy.path"):
            raise ValueError(
                "policy.path is not set: expected a checkpoint's directory, a hub id, or 'demo'"
            )
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
            reliability=self.get("state.reliability"),
            depth=self.get("state.depth"),
        )
        seed = self.get("policy.seed")
        return Settings(
            policy_path=self.get("policy.path"),
            device=self.get("policy.device"),
            engine=self.get("policy.engine"),
            dtype=self.get("policy.dtype"),
            num_steps=self.get("policy.num_steps"),
            seed=None if seed < 0 else seed,
            cameras=[self._camera(name) for name in names],
            state=state,
            action=action,
            limits=LimitSettings(**self._group("limits", LimitSettings)),
            execution=ExecutionSettings(**self._group("execution", ExecutionSettings)),
        )

    def reuse_limits(self, cameras: list[CameraSettings], config: CLSSmolVLAConfig) -> ReuseLimits:
        """What the parameters say of reuse now.

        Args:
            cameras: from `read`.
            config: of the policy, for what they leave to the checkpoint.
        """
        limits = {
            name: self.get(f"cache.{name}")
            for name in ("enabled", "max_age_s", "max_reuses", "guard_threshold", "guard_frozen")
        }
        return replace(
            ReuseLimits.of_checkpoint(config),
            unguarded=frozenset(camera.feature for camera in cameras if not camera.guard),
            allow_untrained=self.get("gate.allow_untrained"),
            adaptive=self.get("gate.adaptive"),
            **{name: value for name, value in limits.items() if value != CHECKPOINT},
        )

    def set_thresholds(self, session: Session, config: CLSSmolVLAConfig) -> None:
        """Give a session the thresholds that gate.threshold says.

        Args:
            session: of the policy.
            config: likewise.
        """
        value = self.get("gate.threshold")
        if value == CHECKPOINT:
            session.set_thresholds(config.cls_similarity_threshold, config.cls_thresholds)
        else:
            session.threshold = value

    def observation_limits(self) -> ObservationLimits:
        """What the parameters say of observations now."""
        return ObservationLimits(**self._group("observation", ObservationLimits))

    def _camera(self, name: str) -> CameraSettings:
        return CameraSettings(
            name=name,
            topic=self.get(f"camera.{name}.topic") or f"{name}/image_raw",
            transport=self.get(f"camera.{name}.transport"),
            feature=self.get(f"camera.{name}.feature") or f"observation.images.{name}",
            guard=self.get(f"camera.{name}.guard"),
            reliability=self.get(f"camera.{name}.reliability"),
            depth=self.get(f"camera.{name}.depth"),
        )

    def _group(self, name: str, settings: type) -> dict[str, Value]:
        """The parameters <name>.*, which are called as the fields are."""
        return {field.name: self.get(f"{name}.{field.name}") for field in fields(settings)}

    def _declare(self, specs: Iterable[Spec]) -> None:
        for spec in specs:
            if self._node.has_parameter(spec.name):
                continue
            self._specs[spec.name] = spec
            try:
                value = self._node.declare_parameter(
                    spec.name, spec.default, spec.descriptor()
                ).value
                problem = "" if value is None else spec.problem(value)
            except (InvalidParameterTypeException, InvalidParameterValueException) as error:
                problem = str(error)
                if isinstance(spec.default, float) and "'INTEGER'" in problem:
                    problem += " (write it with a decimal point, as 10.0)"
            if not self._node.has_parameter(spec.name):
                self._node.declare_parameter(
                    spec.name, spec.default, spec.descriptor(), ignore_override=True
                )
            if problem:
                self._bad[spec.name] = problem
                self._node.get_logger().error(f"parameter refused: {problem}")

    def _on_set(self, parameters: list[Parameter]) -> None:
        """A value that was accepted takes the place of a bad one."""
        for parameter in parameters:
            self._bad.pop(parameter.name, None)


def _for_camera(spec: Spec, name: str) -> Spec:
    texts = {
        field: getattr(spec, field).replace("<name>", name) for field in ("name", "description")
    }
    return replace(spec, **texts)
