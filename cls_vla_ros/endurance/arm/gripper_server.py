"""An action server of a gripper controller that refuses, dies and comes back, without DDS."""

from types import SimpleNamespace

import numpy as np


class Answer:
    """What `send_goal_async` returns: a future that somebody else completes."""

    def __init__(self) -> None:
        """Not answered yet."""
        self._calls, self._accepted = [], None

    def add_done_callback(self, call) -> None:
        """As rclpy's Future."""
        self._calls.append(call)

    def answer(self, accepted: bool) -> None:
        """As the server does."""
        self._accepted = accepted
        for call in self._calls:
            call(self)

    def cancelled(self) -> bool:
        """Never."""
        return False

    def exception(self) -> None:
        """Never one."""

    def result(self):
        """A goal handle."""
        return SimpleNamespace(accepted=self._accepted)


class GripperServer:
    """Client and server in one.

    Attributes:
        goal: what the controller is going to; None: it has none, and holds.
        is_there: whether the controller runs.
        refuses: whether it refuses goals.
        goals: how many came.
    """

    def __init__(self) -> None:
        """There, without a goal."""
        self.goal: float | None = None
        self.is_there, self.refuses, self.goals = True, False, 0
        self._asked: list[tuple[float, Answer]] = []

    def server_is_ready(self) -> bool:
        """As rclpy's ActionClient."""
        return self.is_there

    def send_goal_async(self, goal) -> Answer:
        """As rclpy's ActionClient."""
        self.goals += 1
        answer = Answer()
        if self.is_there:  # else nobody will ever answer
            (position,) = np.atleast_1d(goal.command.position)
            self._asked.append((float(position), answer))
        return answer

    def destroy(self) -> None:
        """As rclpy's ActionClient."""

    def step(self) -> None:
        """Answer what was asked."""
        asked, self._asked = self._asked, []
        for position, answer in asked:
            if not self.is_there:
                continue  # it died with the question
            if not self.refuses:
                self.goal = position
            answer.answer(not self.refuses)

    def die(self) -> None:
        """It is killed, and forgets."""
        self.is_there, self.goal = False, None

    def come_back(self) -> None:
        """It is started again."""
        self.is_there = True
