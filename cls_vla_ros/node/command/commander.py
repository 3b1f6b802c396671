"""What ends commands, and what lets them begin: the node's part of who commands the arm."""

import time
from collections.abc import Callable

from rclpy.lifecycle import LifecycleNode

from cls_vla_ros.node.command.bond import Bond
from cls_vla_ros.node.command.run_policy import RunPolicyServer
from cls_vla_ros.node.command.services import Services
from cls_vla_ros.node.command.takeover import TakeoverTopic
from cls_vla_ros.node.health.reporter import Reporter
from cls_vla_ros.node.output.action_output import ActionOutput
from cls_vla_ros.node.parameters import NodeParameters
from cls_vla_ros.policy.checkpoint.dataset_stats import Seen
from cls_vla_ros.robot.action.check_settings import following_limits
from cls_vla_ros.robot.command.authority import Authority
from cls_vla_ros.robot.command.following import Following
from cls_vla_ros.robot.command.preflight import Preflight
from cls_vla_ros.robot.inference_loop import InferenceLoop, Result
from cls_vla_ros.robot.observation.observation_buffer import ObservationBuffer
from cls_vla_ros.robot.settings import Settings

ARMED = "execution.armed"


class Commander:
    """Of a configured node. The inference thread calls `admit`, the executor all else.

    Attributes:
        authority: who commands the arm.
        takeover: the teleoperator's topic.
        services: what others ask for.
        runs: the action run_policy.
    """

    def __init__(
        self,
        node: LifecycleNode,
        settings: Settings,
        declared: NodeParameters,
        *,
        loop: InferenceLoop,
        output: ActionOutput,
        buffer: ObservationBuffer,
        reporter: Reporter,
        seen: dict[str, Seen],
        reset: Callable[[str], int],
    ) -> None:
        """Begin unarmed, or to be armed, as execution.armed says.

        Args:
            node: whose parameter execution.armed follows what happens.
            settings: from the parameters.
            declared: the parameters.
            loop: the inferences.
            output: to the controllers.
            buffer: knows where the joints are.
            reporter: hears of it.
            seen: the ranges in the policy's data, by feature.
            reset: begins an episode for a reason, and returns its number.
        """
        self._node, self._declared, self._loop, self._output = node, declared, loop, output
        self._buffer, self._reporter = buffer, reporter
        self._preflight = Preflight(settings, seen)
        self._reset = reset
        self.services = Services(
            reset=reset, pause=self.pause, arm=self.arm, take_over=self.take_over
        )
        self.runs = RunPolicyServer(
            node,
            refusal=self._run_refusal,
            begin=self._begin_run,
            arm=self.arm,
            is_armed=lambda: declared.get(ARMED),
            hold=lambda: reporter.health.why_holding or self.authority.why,
        )
        self._bond = Bond(node, reporter.say)
        self.authority = Authority(self._on_change)
        self.takeover = TakeoverTopic(settings.takeover, self.take_over)
        for_s = settings.limits.following_error_s
        self._following = Following(settings.action.names, following_limits(settings), for_s)
        self.authority.want(declared.get(ARMED))

    # Arming

    def arm(self, armed: bool) -> str:
        """Set execution.armed, as the service does.

        Returns:
            Why it is not armed; empty if it is, or will be with the next observation.
        """
        return self._declared.set(ARMED, armed)

    def arming_problem(self) -> str:
        """Why execution.armed may not become true now; empty if it may."""
        if self._loop.paused:
            return "paused: call the service pause with data: false first"
        state = self._buffer.state_now()
        return "" if state is None else self._forbids(state)

    def set_armed(self, armed: bool) -> None:
        """The parameter was set."""
        self.authority.want(armed)

    def admit(self, result: Result) -> None:
        """An observation is good: if arming was asked for, look at the arm, and arm.

        Args:
            result: which holds it.
        """
        if not self.authority.is_pending:
            return
        if problem := self._forbids(result.snapshot.observation.state):
            self.disarm(problem)
        else:
            self.authority.grant()

    def disarm(self, reason: str) -> None:
        """A fault: stop at once, and do not begin again by yourself.

        Args:
            reason: in words.
        """
        self.authority.want(False, reason)
        self._reporter.disarmed(reason)
        # Not from here: this may be the inference thread.
        self._node.executor.create_task(self.arm, False)

    def _forbids(self, state) -> str:
        if not self._declared.get("execution.preflight"):
            return ""
        bad, doubts = self._preflight.look(state)
        if bad:
            return (
                f"the arm is not where the policy knows it: {'; '.join(bad)} Set "
                "execution.preflight to false to arm all the same"
            )
        for doubt in doubts:
            self._reporter.note("preflight", doubt)
        return ""

    # The arm's other masters

    def take_over(self, who: str, taken: bool) -> None:
        """Somebody takes the arm, or gives it back.

        Args:
            who: in words.
            taken: which.
        """
        self.authority.take_over(who, taken)
        self._output.is_taken_over = self.authority.is_taken_over
        self._reporter.note("takeover", f"{who} {'has' if taken else 'gives back'} the arm")

    def pause(self, paused: bool) -> None:
        """Infer and command no more, or go on; it outlives the policy."""
        self._loop.pause(paused)
        if paused:
            self._output.flush("paused", repeats=False)
            self._reporter.hold("paused")
            self.runs.stopped("paused")

    def watch(self) -> None:
        """Ten times a second."""
        self._reporter.health.authority(self.authority.why)
        self.takeover.look()
        self.runs.look()
        told, measured = self._output.lag()
        if problem := self._following.look(told, measured, time.monotonic()):
            self._output.forget()  # where it was told to go says no more where it shall stop
            self.disarm(problem)

    def activated(self) -> None:
        """A lifecycle manager may hear that this node lives."""
        self._bond.begin()

    def deactivated(self) -> None:
        """Others may have the arm until the node is active again."""
        self._output.flush("inactive", repeats=False, forgets=True)
        self.runs.stopped("the node was deactivated")
        self._bond.end()
        self.authority.revoke()

    def _run_refusal(self) -> str:
        if not self._loop.is_running:
            return "the node is not active"
        if self.authority.is_taken_over:
            return self.authority.why
        return self.arming_problem()

    def _begin_run(self, task: str) -> None:
        if task and task != self._declared.get("task"):
            self._declared.set("task", task)  # which is a reset
        else:
            self._reset("run_policy was called")

    def _on_change(self, commands: bool, why: str) -> None:
        self._output.command(commands, why)
        self._reporter.authority(commands, why)
        if not commands:
            self.runs.stopped(why)
