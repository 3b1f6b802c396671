"""From the policy's actions to what is published: checked, played by time or sent as chunks."""

from collections.abc import Callable
from threading import RLock

import numpy as np
from rclpy.publisher import Publisher
from std_msgs.msg import String

from cls_vla_ros.node.health.reporter import Reporter
from cls_vla_ros.node.output.limits import Limits
from cls_vla_ros.node.output.messages import ToWhom, to_action_chunk
from cls_vla_ros.node.output.outlet import Outlet, Sender
from cls_vla_ros.node.output.switch import Switch
from cls_vla_ros.robot.action.action_limits import check_chunk, leap_problem
from cls_vla_ros.robot.action.chunk import Chunk, Command, Hold, next_index
from cls_vla_ros.robot.action.chunk_player import LATE_PERIODS, ChunkPlayer
from cls_vla_ros.robot.action.orientation import continuous, nearest_turn
from cls_vla_ros.robot.action.outputs import ValueTable, is_played
from cls_vla_ros.robot.action.planner import Planner
from cls_vla_ros.robot.action.standing import Standing
from cls_vla_ros.robot.inference_loop import Result
from cls_vla_ros.robot.joints import UnitMap
from cls_vla_ros.robot.observation.observation_buffer import ObservationBuffer
from cls_vla_ros.robot.settings import Settings
from cls_vla_ros.robot.stamps import NS

LATE_NS = LATE_PERIODS * NS


class ActionOutput:
    """Whatever it refuses is reported, and nothing is published in its place.

    Results come from the inference thread; ticks, flushes and the URDF from the executor's. What
    one of them has begun to send it ends before another sends: after a flush's zero no command
    follows that was due before it.
    """

    def __init__(
        self,
        settings: Settings,
        reporter: Reporter,
        now_ns: Callable[[], int],
        buffer: ObservationBuffer,
    ) -> None:
        """Start on hold.

        Args:
            settings: of the actions, their limits and their execution; see `check_settings`.
            reporter: is told what was refused.
            now_ns: ROS time.
            buffer: knows where the joints are.

        Raises:
            ValueError: the limits contradict each other.
        """
        self._settings, self._reporter = settings, reporter
        self._now_ns, self._buffer = now_ns, buffer
        self._lock = RLock()
        action, execution = settings.action, settings.execution
        self._units = UnitMap.of_settings(action)
        self._table = ValueTable.of(settings)
        self._limits = Limits(settings, self._table, reporter)
        self._commanded: tuple[np.ndarray, int] | None = None  # (A,) and when
        self._standing = Standing(self._table.first_step)
        which = self._table.is_position & ~self._table.is_played
        self._planner = Planner(self._standing, which, action.dt_s)
        self.player: ChunkPlayer | None = None
        if any(is_played(output, execution.mode) for output in action.outputs):
            self.player = ChunkPlayer(
                blend_s=execution.blend_s,
                hold_publish_s=execution.hold_publish_s,
                period_s=1 / execution.rate_hz,
            )
        self._use_limits()
        self.action_chunk: Publisher | None = None
        self.follows = False  # whether the last chunk is being executed
        self._outlets: list[Outlet] = []
        self._switches: list[Switch] = []
        self.commands = False  # controllers; else the previews
        self.is_taken_over = False

    def connect(self, number: int, real: Sender, preview: Sender) -> None:
        """Send commands from now on.

        Args:
            number: of the output in settings.action.outputs.
            real: to its topic or action.
            preview: to look at, while the controller is not commanded.
        """
        switch = Switch(real, preview, self._settings.action.outputs[number])
        self._outlets.append(Outlet(self._settings, number, switch))
        self._switches.append(switch)

    def command(self, commands: bool, reason: str) -> None:
        """Command controllers from now on, or no longer: then they get a stop first.

        Args:
            commands: which.
            reason: why, in words.
        """
        with self._lock:
            self.flush(reason, repeats=False, forgets=True)
            self.commands = self._standing.is_followed = commands
            for switch in self._switches:
                switch.is_real = commands

    def to_whom(self) -> ToWhom:
        """Where actions go now."""
        return ToWhom(armed=self.commands, taken_over=self.is_taken_over)

    def lag(self) -> tuple[np.ndarray, np.ndarray]:
        """(A,) what joints are told now, and (A,) where they are; NaN where unknown."""
        with self._lock:
            now_ns = self._now_ns()
            told = self._standing.at(now_ns)
            is_told = self.commands & self._table.is_position
            return np.where(is_told, told, np.nan), self._measured(now_ns)

    def take_robot_description(self, message: String) -> None:
        """Read the limits out of a URDF; a bad one leaves those of a good one.

        Args:
            message: of the topic robot_description.
        """
        if self._limits.take_robot_description(message):
            self._use_limits()

    def _use_limits(self) -> None:
        self._planner.limits = self._limits.motion
        if self.player is not None:
            self.player.limits = self._limits.motion

    def take(self, result: Result) -> bool:
        """Check the actions of a result, and publish them.

        Returns:
            Whether they were good enough for that.
        """
        if self._limits.joints is None:
            return self._refuse("no message yet on robot_description, which has the limits")
        action, limits = self._settings.action, self._settings.limits
        actions = self._units.to_ros(result.inference.actions)  # (T, A)
        now_ns, stamp_ns = self._now_ns(), result.snapshot.newest_frame_ns
        if self._table.is_position.any() and (stale := self._buffer.state_problem(now_ns)):
            return self._refuse(stale)  # it was fresh when the inference began
        if not self.commands:
            self._begin_anew()
        in_force = self.player.in_force(now_ns) if self.player else None
        start = self._start(now_ns)
        has_first_step = np.isfinite(self._table.first_step)
        near = start if in_force is None else np.where(self._table.is_played, in_force, start)
        actions = continuous(actions, near, action, self._limits.joints.continuous)
        checked = check_chunk(
            actions,
            action.dt_s,
            self._limits.joints,
            mode=limits.mode,
            first_index=self._next_index(stamp_ns, now_ns),
            positions_now=np.where(has_first_step, near, 0.0),
            measured=np.where(has_first_step, self._measured(now_ns), 0.0),
            first_step=self._table.first_step if has_first_step.any() else None,
            step=self._table.step,
        )
        if checked.actions is None:
            return self._refuse(checked.text)
        if checked.violations:
            self._reporter.clamped(checked.text)
        return self._publish(result, checked.actions, now_ns, start)

    def _measured(self, now_ns: int) -> np.ndarray:
        positions = self._buffer.positions(self._settings.action.names)
        if self._limits.joints is None:
            return positions
        turns = self._limits.joints.continuous
        return nearest_turn(positions, self._standing.at(now_ns), turns)

    def _start(self, now_ns: int) -> np.ndarray:
        """(A,) where what is commanded begins; NaN where a joint has not said where it is.

        That is what it was told last, so that a grip stays one, unless others moved it since.
        Velocities begin at standing still.
        """
        with self._lock:
            begin = self._standing.start(self._measured(now_ns), now_ns)
        return np.where(self._table.is_position, begin, 0.0)

    def _publish(
        self, result: Result, actions: np.ndarray, now_ns: int, start: np.ndarray
    ) -> bool:
        action, stamp_ns = self._settings.action, result.snapshot.newest_frame_ns
        first = self._next_index(stamp_ns, now_ns)
        with self._lock:
            if self.player is not None:
                # A joint that nobody measures begins with the chunk's own first step.
                begin = np.where(np.isfinite(start), start, actions[min(first, len(actions) - 1)])
                chunk = Chunk(actions, stamp_ns, action.dt_s)
                is_known = np.isfinite(start).any()
                if refused := self.player.put(chunk, now_ns, begin if is_known else None):
                    return self._refuse(refused)
            self.action_chunk.publish(to_action_chunk(result, actions, action, self.to_whom()))
            if by_chunk := [outlet for outlet in self._outlets if not outlet.is_played]:
                reached_ns = stamp_ns + round(action.dt_s * NS)  # a step after it is commanded
                chunk, measured = Chunk(actions, reached_ns, action.dt_s), self._measured(now_ns)
                path = self._planner.to_chunk(chunk, start, measured, now_ns)
                for outlet in by_chunk:
                    outlet.path(stamp_ns, path)
            self.follows = self.commands
        return True

    def _begin_anew(self) -> None:
        """Nobody follows the preview: each chunk of it begins where the joints are."""
        with self._lock:
            self._standing.forget(self._now_ns())
            self._commanded = None
            if self.player is not None:
                self.player.flush("not armed", repeats=False)

    def _refuse(self, reason: str) -> bool:
        # The chunk before it is no longer played either: what holds commands nothing.
        self.flush(reason)
        self._reporter.hold(reason)
        return False

    def tick(self) -> None:
        """Command what is due now."""
        with self._lock:
            now_ns = self._now_ns()
            sample = self.player.sample(now_ns)
            if isinstance(sample, Hold) and sample.values is None:
                self._commanded = None
                self._hold(None, now_ns)
            elif leap := self._leap(getattr(sample, "target", sample.values), now_ns):
                self.flush(leap, repeats=False)  # it has not been commanded
                self._reporter.hold(leap)
            else:
                self._commanded = sample.values, now_ns
                if isinstance(sample, Hold) and not sample.brakes:
                    self._hold(sample.values, now_ns)
                    return
                self.follows &= not isinstance(sample, Hold)
                for outlet in self._outlets:
                    if outlet.is_played:
                        do = outlet.command if isinstance(sample, Command) else outlet.brake
                        do(sample.values, now_ns)
                self._tell(sample.values, now_ns)

    def _tell(self, values: np.ndarray, now_ns: int) -> None:
        which = self._table.is_played & self._table.is_position
        self._standing.told(values, self._measured(now_ns), which)

    def _hold(self, repeated: np.ndarray | None, now_ns: int) -> None:
        self.follows = False
        for outlet in self._outlets:
            if outlet.is_played:
                outlet.hold(repeated, None, now_ns)

    def _leap(self, target: np.ndarray, now_ns: int) -> str:
        last = self._commanded
        if last is None or (now_ns - last[1]) * self._settings.execution.rate_hz <= LATE_NS:
            return ""
        names, apart_s = self._settings.action.names, (now_ns - last[1]) / 1e9
        return leap_problem(names, target, last[0], self._table.first_step, apart_s)

    def flush(self, reason: str, *, repeats: bool = True, forgets: bool = False) -> None:
        """Play nothing any more until another chunk comes, and end what controllers still play.

        Args:
            reason: why, in words.
            repeats: whether the last command may be repeated, for execution.hold_publish_s.
            forgets: whether others may have the arm now: what comes next begins where it is.
        """
        with self._lock:
            self.follows = False
            if self.player is not None:
                self.player.flush(reason, repeats=repeats)
                self._commanded = None
            now_ns = self._now_ns()
            stop = self._planner.stop(self._measured(now_ns), now_ns)
            ended = np.zeros(len(self._settings.action.names), bool)
            for outlet in self._outlets:
                ended |= outlet.hold(None, stop, now_ns)
            if ended.any():
                self._standing.sent(stop, self._measured(now_ns), ended, now_ns)
            if forgets:
                self._standing.forget(now_ns)

    def forget(self) -> None:
        """What controllers were told says no more where the arm is."""
        with self._lock:
            self._standing.forget(self._now_ns())

    def _next_index(self, stamp_ns: int, now_ns: int) -> int:
        """Which step is executed next. A trajectory's point is due one step after its command."""
        action, mode = self._settings.action, self._settings.execution.mode
        if not action.outputs:
            return 0
        has_trajectory = not all(is_played(output, mode) for output in action.outputs)
        leads_ns = round(action.dt_s * 1e9) if has_trajectory else 0
        return next_index(stamp_ns + leads_ns, action.dt_s, now_ns)
