"""What the policy node makes of its parts, without ROS's node and in simulated time."""

from collections.abc import Callable

import numpy as np

from cls_vla_ros.endurance.arm.policy import Policy
from cls_vla_ros.endurance.arm.scenario import DT_S, FOLLOWING_S, MAX_AGE_S, TIMEOUT_S
from cls_vla_ros.node.health.reporter import Reporter
from cls_vla_ros.node.output.action_output import ActionOutput
from cls_vla_ros.node.watchdog import Watchdog
from cls_vla_ros.robot.action.check_settings import following_limits
from cls_vla_ros.robot.command.authority import Authority
from cls_vla_ros.robot.command.following import Following
from cls_vla_ros.robot.inference_loop import InferenceLoop, Result
from cls_vla_ros.robot.observation.observation_buffer import ObservationBuffer, ObservationLimits
from cls_vla_ros.robot.settings import Settings

INFER_EVERY_S = 0.1


class Silent:
    """A logger."""

    def info(self, text: str) -> None:
        """Nobody reads it."""

    warning = error = info


class Heard(Reporter):
    """Keeps why the node holds."""

    said = ""

    def hold(self, reason: str) -> None:
        """See there."""
        self.said = reason
        super().hold(reason)


class Node:
    """As PolicyNode and Commander do it.

    Attributes:
        buffer: of the observations.
        output: to the controllers.
        is_active: the lifecycle's.
        is_inferring: whether an inference is under way.
    """

    def __init__(
        self,
        settings: Settings,
        policy: Policy,
        now_ns: Callable[[], int],
        now_s: Callable[[], float],
        changed: Callable[[], None],
    ) -> None:
        """Inactive, and to be armed.

        Args:
            settings: from the parameters.
            policy: makes the chunks.
            now_ns: ROS time.
            now_s: since the beginning.
            changed: is called when it begins or ends to command, or an episode begins.
        """
        self._now_s, self._changed, self._policy = now_s, changed, policy
        limits = ObservationLimits(MAX_AGE_S, 1.0, np.inf, 0.0)
        self.buffer = ObservationBuffer(settings.cameras, settings.state, limits)
        self.reporter = Heard(Silent())
        self.output = ActionOutput(settings, self.reporter, now_ns, self.buffer)
        self._loop = InferenceLoop(
            policy,
            self.buffer,
            now_ns=now_ns,
            task="open the drawer",
            rate_hz=1 / INFER_EVERY_S,
            inference_id=0,
            chunk_dt_s=DT_S if settings.execution.uses_rtc else None,
            follows=lambda: self.output.follows,
            on_result=self._on_result,
            on_hold=self._hold,
            on_error=lambda error: self._hold(f"the inference failed: {error}"),
            on_device_failed=self._hold,
            clock=now_s,
        )
        self._watchdog = Watchdog(
            self._loop,
            self.output,
            self.reporter,
            now_ns=now_ns,
            timeout_s=lambda: TIMEOUT_S,
            on_time_back=lambda s: self.reset(),
        )
        self._following = Following(settings.action.names, following_limits(settings), FOLLOWING_S)
        self._authority = Authority(self._commands)
        self.is_active = self.is_inferring = False
        self._due_s = 0.0
        self.arm()

    @property
    def is_stopped(self) -> bool:
        """Whether nothing at all may be published."""
        return self._loop.paused or not self.is_active

    def infer(self) -> None:
        """If it is time to."""
        if not self.is_active or self._now_s() < self._due_s:
            return
        if self.buffer.wait_for_new_frames(0.0):
            self._due_s = self._now_s() + INFER_EVERY_S
            self.is_inferring = True
            self._loop.infer()
            self.is_inferring = False

    def watch(self) -> bool:
        """Ten times a second.

        Returns:
            Whether the arm followed; else it is disarmed now.
        """
        self._watchdog.look()
        if self._following.look(*self.output.lag(), self._now_s()):
            self.output.forget()
            self._authority.want(False, "it does not follow")
            return False
        return True

    def arm(self) -> None:
        """With the next good observation."""
        self._authority.want(True)

    def pause(self, paused: bool) -> None:
        """Or go on."""
        self._loop.pause(paused)
        if paused:
            self.output.flush("paused", repeats=False)
            self.reporter.hold("paused")
        self._changed()

    def take_over(self, taken: bool) -> None:
        """Somebody takes the arm, or gives it back."""
        self._authority.take_over("somebody", taken)
        self.output.is_taken_over = self._authority.is_taken_over

    def deactivate(self) -> None:
        """See the lifecycle."""
        self._loop.hush()
        self.output.flush("inactive", repeats=False, forgets=True)
        self._authority.revoke()
        self.is_active = False
        self._changed()

    def activate(self) -> None:
        """See the lifecycle."""
        if not self.is_active:
            self.is_active = True
            self._loop.begin()
            self._changed()

    def reset(self) -> None:
        """A new episode."""
        self._loop.reset()
        self.output.flush("a reset")
        self._changed()

    def _commands(self, commands: bool, why: str) -> None:
        self.output.command(commands, why)
        self._changed()

    def _on_result(self, result: Result) -> None:
        if problem := self._watchdog.late():
            self._hold(problem)
        else:
            if self._authority.is_pending:
                self._authority.grant()
            self.output.take(result)

    def _hold(self, reason: str) -> None:
        self.output.flush(reason)
        self.reporter.hold(reason)
