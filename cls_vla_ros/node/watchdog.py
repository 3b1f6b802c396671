"""Looks from outside whether the inference thread lives, and whether time goes on."""

from collections.abc import Callable

from cls_vla_ros.node.health.reporter import Reporter
from cls_vla_ros.node.output.action_output import ActionOutput
from cls_vla_ros.robot.inference_loop import InferenceLoop
from cls_vla_ros.robot.stamps import NS


class Watchdog:
    """Called ten times a second in the executor's thread."""

    def __init__(
        self,
        loop: InferenceLoop,
        output: ActionOutput,
        reporter: Reporter,
        *,
        now_ns: Callable[[], int],
        timeout_s: Callable[[], float],
        on_time_back: Callable[[float], None],
    ) -> None:
        """Begin.

        Args:
            loop: whose thread is watched.
            output: stops while that hangs.
            reporter: hears of it.
            now_ns: ROS time.
            timeout_s: how long an inference may take.
            on_time_back: takes by how many seconds the time went back.
        """
        self._loop, self._output, self._reporter = loop, output, reporter
        self._now_ns, self._timeout_s, self._on_time_back = now_ns, timeout_s, on_time_back
        self._looked_ns = 0

    def look(self) -> None:
        """Is all well?"""
        now_ns = self._now_ns()
        if now_ns < self._looked_ns:  # rclpy tells of the jumps of /clock, not of the system's
            self._on_time_back((self._looked_ns - now_ns) / NS)
        self._looked_ns = now_ns
        if self._loop.busy_s > self._timeout_s():
            self._output.flush("the inference hangs")
            self._reporter.hanging(self._loop.busy_s)

    def jumped(self, jump) -> None:
        """Rclpy tells of a jump of /clock.

        Args:
            jump: rclpy's TimeJump.
        """
        by_s = jump.delta.nanoseconds / NS
        if by_s > 0:
            self._output.forget()  # no controller has done all that was due meanwhile
            self._output.flush(f"the time jumped forth by {by_s:.3f} s", repeats=False)
        else:
            self._looked_ns = 0  # said once
            self._on_time_back(-by_s)

    def late(self) -> str:
        """Why what the inference under way makes is not used; empty if it may be."""
        took_s, at_most_s = self._loop.busy_s, self._timeout_s()
        if took_s <= at_most_s:
            return ""
        # It was given up: what it saw is long past.
        return f"an inference took {took_s:.1f} s; at most {at_most_s:g} may be"
