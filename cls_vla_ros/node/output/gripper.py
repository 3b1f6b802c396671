"""A gripper that takes goals of an action, as ros2_control's gripper controllers do."""

import math
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from rclpy.action import ActionClient
from rclpy.task import Future
from sensor_msgs.msg import JointState

from cls_vla_ros.node.message_types import type_of
from cls_vla_ros.robot.action.outputs import GRIPPER
from cls_vla_ros.robot.settings import OutputSettings

# Each goal takes the place of the one before it, and a controller answers each.
GOAL_PERIOD_S = 0.1
STILL = 1e-7  # rad or m: less is what floating point makes of the same
SETTLED_S = 0.3  # a command that stands still so long is where the gripper shall be, exactly
SILENT_S = 0.1  # after a hold, others may have sent another goal: ours is sent again


def to_goal(output: OutputSettings, values: np.ndarray):
    """A goal of GripperCommand or ParallelGripperCommand.

    Args:
        output: from the parameters.
        values: (A,) of this output, m or rad.
    """
    goal = type_of(output.type).Goal()
    if output.type == GRIPPER:
        goal.command.position, goal.command.max_effort = float(values[0]), output.max_effort
    else:
        effort = [output.max_effort] * len(values) if output.max_effort else []
        goal.command = JointState(name=output.rename, position=values.tolist(), effort=effort)
    return goal


class GripperGoals:
    """Sends a goal where a command has moved, not for each command. Called by the executor.

    Less than goal_step is no move, or a policy's noise would be goal after goal; but where a
    command ends a little beyond the last goal, it is sent once it stands still.
    """

    def __init__(
        self,
        client: ActionClient,
        output: OutputSettings,
        say: Callable[[str, str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the client of the action.

        Args:
            client: of the action; closed with this.
            output: from the parameters.
            say: takes the action's name and why no goal is taken.
            clock: seconds, for how long ago the last goal was.
        """
        self._client = client
        self._output, self._say, self._clock = output, say, clock
        self._sent: np.ndarray | None = None
        self._sent_at_s = self._called_at_s = -math.inf
        self._asked: np.ndarray | None = None  # the last command, sent or not
        self._asked_since_s = 0.0

    def close(self) -> None:
        """Destroy the client."""
        self._client.destroy()

    def publish(self, goal) -> None:
        """Send a goal, unless it is as good as the last one, or comes too soon after it.

        Args:
            goal: from `to_goal`. What comes too soon is not lost: the next command is newer.
        """
        values, now_s = _values(goal), self._clock()
        was_silent = now_s - self._called_at_s > SILENT_S
        self._called_at_s = now_s
        if was_silent or not self._client.server_is_ready():
            self._sent = None  # a controller that was started anew meanwhile has no goal
        if self._asked is None or np.abs(values - self._asked).max() > STILL:
            self._asked, self._asked_since_s = values, now_s
        if now_s - self._sent_at_s < GOAL_PERIOD_S or not self._has_moved(values, now_s):
            return
        self._sent_at_s = now_s
        if not self._client.server_is_ready():
            self._say(
                self._output.topic,
                "no controller offers this action: start it, or see output."
                f"{self._output.name}.topic and type. The gripper stays as it is",
            )
            return
        self._sent = values
        self._client.send_goal_async(goal).add_done_callback(partial(self._answered, values))

    def _has_moved(self, values: np.ndarray, now_s: float) -> bool:
        if self._sent is None:
            return True
        if now_s - self._asked_since_s >= SETTLED_S:
            return np.abs(values - self._sent).max() > STILL
        return np.abs(values - self._sent).max() > self._output.goal_step

    def _answered(self, values: np.ndarray, future: Future) -> None:
        if future.cancelled() or future.exception() is not None or future.result().accepted:
            return
        self._sent = None  # the next command tries again
        self._say(
            self._output.topic,
            f"the controller rejected the goal {values.tolist()}: is it within its limits, and "
            "does it have these joints?",
        )


def _values(goal) -> np.ndarray:
    position = goal.command.position
    return np.atleast_1d(np.array(position, np.float64))
