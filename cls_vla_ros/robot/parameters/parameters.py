"""The node's parameters, wherever their values come from, read as what they mean."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import fields, replace
from typing import TYPE_CHECKING

from cls_vla_ros.inference import ReuseLimits
from cls_vla_ros.robot.observation.observation_buffer import ObservationLimits
from cls_vla_ros.robot.parameters.outputs import read_action
from cls_vla_ros.robot.parameters.parameter_specs import CHECKPOINT, GROUPS, SPECS
from cls_vla_ros.robot.parameters.sources import read_state
from cls_vla_ros.robot.parameters.spec import Spec, Value
from cls_vla_ros.robot.parameters.unknown import is_of_ros, unknown_problem
from cls_vla_ros.robot.settings import (
    CameraSettings,
    ExecutionSettings,
    LimitSettings,
    Settings,
    TakeoverSettings,
)

if TYPE_CHECKING:
    from cls_vla_ros.inference import Session
    from cls_vla_ros.policy.configuration_cls_smolvla import CLSSmolVLAConfig


class Parameters(ABC):
    """Reads the parameters; where their values are, a subclass knows."""

    def __init__(self) -> None:
        """Declare all but the cameras', whose names are known only when they are read."""
        self._specs: dict[str, Spec] = {}
        self._bad: dict[str, str] = {}
        self._declare(SPECS)
        self._declare(self._of_groups())
        for problem in self._unknown():
            self._say(problem)

    @abstractmethod
    def get(self, name: str) -> Value:
        """The value of a declared parameter; [] for a list that is not set."""

    @abstractmethod
    def _given(self) -> Iterable[str]:
        """The names that a file, the command line or a launch file set, known or not."""

    @abstractmethod
    def _declare_one(self, spec: Spec) -> str:
        """Make a parameter known, with its default where the value that was set cannot be used.

        Returns:
            Why it cannot be used; empty if it can.
        """

    @abstractmethod
    def _say(self, problem: str) -> None:
        """Tell of a value that cannot be used, as soon as that is known."""

    def read(self) -> Settings:
        """What `configure` needs.

        Raises:
            ValueError: there is no such parameter, a value that was set in a file cannot be used,
                or one that is needed is missing.
        """
        names = self.get("cameras")
        of_groups = self._of_groups()
        self._declare(of_groups)
        wanted = {spec.name for spec in (*SPECS, *of_groups)}
        problems = [text for name, text in self._bad.items() if name in wanted]
        problems += self._unknown()
        path, server = self.get("policy.path"), self.get("policy.server")
        if not (path or server or self._bad.keys() & {"policy.path", "policy.server"}):
            problems.append(
                "policy.path is not set: expected a checkpoint's directory, a hub id, or 'demo'; "
                "or policy.server, where the policy runs elsewhere"
            )
        if path and server:
            problems.append(f"policy.path is {path!r} and policy.server {server!r}: set one")
        if not names and "cameras" not in self._bad:
            problems.append("cameras is empty: name at least one, as config/template.yaml does")
        if problems:
            raise ValueError("; ".join(problems))
        seed = self.get("policy.seed")
        return Settings(
            policy_path=path,
            policy_server=server,
            token_file=self.get("policy.token_file"),
            server_timeout_s=self.get("policy.server_timeout_s"),
            jpeg_quality=self.get("policy.jpeg_quality"),
            device=self.get("policy.device"),
            engine=self.get("policy.engine"),
            dtype=self.get("policy.dtype"),
            num_steps=self.get("policy.num_steps"),
            seed=None if seed < 0 else seed,
            cameras=[self._camera(name) for name in names],
            state=read_state(self.get),
            action=read_action(self.get),
            limits=LimitSettings(**self._group("limits", LimitSettings)),
            execution=ExecutionSettings(**self._group("execution", ExecutionSettings)),
            takeover=TakeoverSettings(**self._group("takeover", TakeoverSettings)),
        )

    def reuse_limits(self, cameras: list[CameraSettings], config: CLSSmolVLAConfig) -> ReuseLimits:
        """What the parameters say of reuse now.

        Args:
            cameras: from `read`.
            config: of the policy, for what they leave to the checkpoint.
        """
        limits = {
            name: self.get(f"cache.{name}")
            for name in (
                *("enabled", "max_age_s", "max_reuses", "max_motion"),
                *("glance_threshold", "guard_threshold", "guard_frozen"),
            )
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

    def _of_groups(self) -> list[Spec]:
        """Of each camera, source of the state and so on, whose names are parameters too."""
        return [
            _for_name(spec, name)
            for names, (_, specs) in GROUPS.items()
            for name in self.get(names)
            for spec in specs
        ]

    def _unknown(self) -> list[str]:
        """What is wrong with each name that was set and that nobody reads."""
        members = {group: (names, self.get(names)) for names, (group, _) in GROUPS.items()}
        # A camera that was taken out of `cameras` meanwhile is known yet.
        known = set(self._specs)
        return [
            unknown_problem(name, known, members)
            for name in self._given()
            if name not in known
            and not is_of_ros(name)
            and (self.get("cameras") or not name.startswith("camera."))  # `cameras is empty`
        ]

    def _camera(self, name: str) -> CameraSettings:
        return CameraSettings(
            name=name,
            topic=self.get(f"camera.{name}.topic") or f"{name}/image_raw",
            transport=self.get(f"camera.{name}.transport"),
            feature=self.get(f"camera.{name}.feature") or f"observation.images.{name}",
            guard=self.get(f"camera.{name}.guard"),
            reliability=self.get(f"camera.{name}.reliability"),
            depth=self.get(f"camera.{name}.depth"),
            allow_several_publishers=self.get(f"camera.{name}.allow_several_publishers"),
        )

    def _group(self, name: str, settings: type) -> dict[str, Value]:
        """The parameters <name>.*, which are called as the fields are."""
        return {field.name: self.get(f"{name}.{field.name}") for field in fields(settings)}

    def _declare(self, specs: Iterable[Spec]) -> None:
        for spec in specs:
            if spec.name in self._specs:
                continue
            self._specs[spec.name] = spec
            if problem := self._declare_one(spec):
                self._bad[spec.name] = problem
                self._say(problem)


def _for_name(spec: Spec, name: str) -> Spec:
    texts = {
        field: getattr(spec, field).replace("<name>", name) for field in ("name", "description")
    }
    return replace(spec, **texts)
