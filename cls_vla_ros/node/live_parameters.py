"""Parameters that may be set while the node runs: what each of them changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rclpy.parameter import Parameter

from cls_vla_ros.inference import Statistics
from cls_vla_ros.node.command.commander import ARMED, Commander
from cls_vla_ros.node.parameters import NodeParameters
from cls_vla_ros.robot.inference_loop import InferenceLoop
from cls_vla_ros.robot.observation.observation_buffer import ObservationBuffer
from cls_vla_ros.robot.settings import Settings

if TYPE_CHECKING:
    from cls_vla_ros.inference import Session
    from cls_vla_ros.policy import CLSSmolVLAConfig


@dataclass(frozen=True)
class LiveParameters:
    """Of a configured node. Called by the executor.

    Attributes:
        declared: the parameters.
        settings: read from them at configure.
        config: of the policy.
        session: its gate and cache.
        buffer: the observations.
        loop: the inferences.
        commander: who commands the arm.
        episode_began: takes why, and what `InferenceLoop.reset` returned.
    """

    declared: NodeParameters
    settings: Settings
    config: CLSSmolVLAConfig
    session: Session
    buffer: ObservationBuffer
    loop: InferenceLoop
    commander: Commander
    episode_began: Callable[[str, int, Statistics], int]

    def apply_limits(self) -> None:
        """What bounds reuse and observations."""
        limits = self.declared.reuse_limits(self.settings.cameras, self.config)
        self.session.limits = limits
        self.buffer.limits = self.declared.observation_limits()

    def apply(self, parameters: list[Parameter]) -> None:
        """They were set.

        Args:
            parameters: each of which passed its check.
        """
        self.apply_limits()
        for parameter in parameters:
            name, value = parameter.name, parameter.value
            if name == "rate_hz":
                self.loop.rate_hz = value
            elif name == ARMED:
                self.commander.set_armed(value)
            elif name == "gate.threshold" or (name == "gate.adaptive" and not value):
                self.declared.set_thresholds(self.session, self.config)
            elif name == "task" and (reset := self.loop.set_task(value)):
                self.episode_began(f"the task is now {value!r}", *reset)

    def forbids(self, parameter: Parameter) -> str:
        """Why a parameter may not be set so now; empty if it may."""
        if parameter.name == ARMED and parameter.value is True:
            return self.commander.arming_problem()
        return ""
