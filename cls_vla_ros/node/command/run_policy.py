"""The action run_policy: an episode that somebody asks for, watches, and may end."""

import math
import time
from collections.abc import Callable

from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.lifecycle import LifecycleNode
from rclpy.task import Future

from cls_vla_ros.action import RunPolicy
from cls_vla_ros.msg import SceneChange

Result = RunPolicy.Result


class RunPolicyServer:
    """One run at a time. `inferred` comes from the inference thread, all else from the executor.

    What ends a run ends it at once: the arm is told to stop before the client hears of it.
    """

    def __init__(
        self,
        node: LifecycleNode,
        *,
        refusal: Callable[[], str],
        begin: Callable[[str], None],
        arm: Callable[[bool], str],
        is_armed: Callable[[], bool],
        hold: Callable[[], str],
    ) -> None:
        """Offer it.

        Args:
            node: whose.
            refusal: why no run can begin now; empty if one can.
            begin: takes the instruction, and begins an episode.
            arm: arms or disarms; returns why not.
            is_armed: whether it is.
            hold: why nothing is commanded; empty if all is well.
        """
        self._refusal, self._begin, self._arm, self._is_armed = refusal, begin, arm, is_armed
        self._hold, self._say = hold, node.get_logger().info
        self._node = node
        self._run: _Run | None = None
        self._server = ActionServer(
            node,
            RunPolicy,
            "run_policy",
            self._execute,
            goal_callback=self._asked,
            cancel_callback=self._cancelled,
        )

    def close(self) -> None:
        """Offer it no longer."""
        self.end(Result.OUTCOME_STOPPED, "the node was cleaned up")
        self._server.destroy()

    def inferred(self, change: SceneChange) -> None:
        """An inference was handed over.

        Args:
            change: what the gate saw in it.
        """
        if (run := self._run) is not None:
            run.inferred(change, self._hold())

    def look(self) -> None:
        """Is its time over? Ten times a second."""
        run = self._run
        if run is None:
            return
        goal = run.handle.request
        if 0 < goal.timeout_s <= run.elapsed_s:
            self.end(Result.OUTCOME_TIMEOUT, f"timeout_s, {goal.timeout_s:g} s, has passed")
        elif 0 < goal.max_inferences <= run.inferences:
            text = f"max_inferences, {goal.max_inferences}, were made"
            self.end(Result.OUTCOME_MAX_INFERENCES, text)
        elif time.monotonic() - run.told_s > 0.1:
            run.tell(self._hold())

    def stopped(self, reason: str) -> None:
        """Something else than the client, or its limits, has ended what is executed."""
        self.end(Result.OUTCOME_STOPPED, reason)

    def end(self, outcome: int, reason: str) -> None:
        """End the run, if there is one."""
        run, self._run = self._run, None
        if run is None:
            return
        run.outcome, run.reason = outcome, reason
        if (
            self._is_armed()
        ):  # which stops it; also where it was before: who ends a run wants the arm to stand
            self._arm(False)
        run.over.set_result(None)

    def _asked(self, goal: RunPolicy.Goal) -> GoalResponse:
        problem = self._refusal()
        if self._run is not None:
            problem = "another run is under way: cancel it first"
        elif not (math.isfinite(goal.timeout_s) and goal.timeout_s >= 0):
            problem = f"timeout_s must be 0 or above, got {goal.timeout_s}"
        elif not goal.timeout_s and not goal.max_inferences:
            problem = "give timeout_s or max_inferences: nobody else knows when the task is done"
        if problem:
            self._node.get_logger().warning(f"run_policy: the goal is rejected: {problem}")
            return GoalResponse.REJECT
        return GoalResponse.ACCEPT

    def _cancelled(self, handle: ServerGoalHandle) -> CancelResponse:
        run = self._run
        if run is not None and run.handle.goal_id == handle.goal_id:
            self.end(Result.OUTCOME_CANCELED, "cancelled")
        return CancelResponse.ACCEPT

    async def _execute(self, handle: ServerGoalHandle) -> Result:
        goal = handle.request
        run = _Run(handle, over=Future(executor=self._node.executor))
        if self._run is not None:  # both were accepted before either began
            run.outcome, run.reason = Result.OUTCOME_STOPPED, "another run is under way"
            handle.abort()
            return run.result()
        self._begin(goal.task)
        self._run = run
        if problem := self._arm(True):
            self.end(Result.OUTCOME_STOPPED, problem)
        await run.over
        if run.outcome == Result.OUTCOME_CANCELED:
            handle.canceled()
        elif run.outcome == Result.OUTCOME_STOPPED:
            handle.abort()
        else:
            handle.succeed()
        self._say(f"run_policy: {run.reason}, after {run.inferences} inferences")
        return run.result()


class _Run:
    """One goal and what has become of it."""

    def __init__(self, handle: ServerGoalHandle, *, over: Future) -> None:
        self.handle, self.over = handle, over
        self.outcome, self.reason = Result.OUTCOME_STOPPED, ""
        self.inferences = self.scene_changes = 0
        self._similarity = self._reuse_rate = math.nan
        self._began_s = self.told_s = time.monotonic()
        self._elapsed_s: float | None = None

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._began_s

    def inferred(self, change: SceneChange, hold: str) -> None:
        self.inferences += 1
        self.scene_changes += change.scene_changed
        self._similarity, self._reuse_rate = change.similarity, change.reuse_rate
        self.tell(hold)

    def tell(self, hold: str) -> None:
        self.told_s = time.monotonic()
        if self.handle.is_active:
            self.handle.publish_feedback(
                RunPolicy.Feedback(
                    inferences=self.inferences,
                    scene_changes=self.scene_changes,
                    similarity=self._similarity,
                    reuse_rate=self._reuse_rate,
                    elapsed_s=self.elapsed_s,
                    hold=hold,
                )
            )

    def result(self) -> Result:
        return Result(
            outcome=self.outcome,
            reason=self.reason,
            inferences=self.inferences,
            scene_changes=self.scene_changes,
            elapsed_s=self.elapsed_s,
        )
