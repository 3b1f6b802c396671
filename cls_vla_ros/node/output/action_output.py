"""From the policy's actions to what is published: checked, played by time or sent as chunks."""

from collections.abc import Callable
from threading import RLock

import numpy as np
from rclpy.publisher import Publisher
from std_msgs.msg import String

from cls_vla_ros.node.health.reporter import Reporter
from cls_vla_ros.node.output.messages import ToWhom, to_action_chunk
from cls_vla_ros.node.output.outlet import Outlet, Sender
from cls_vla_ros.node.output.switch import Switch
from cls_vla_ros.robot.action.action_limits import check_chunk
from cls_vla_ros.robot.action.check_settings import given_limits
from cls_vla_ros.robot.action.chunk_player import Chunk, ChunkPlayer, Hold, next_index
from cls_vla_ros.robot.action.joint_limits import JointLimits
from cls_vla_ros.robot.action.orientation import continuous
from cls_vla_ros.robot.action.outputs import ValueTable, is_played
from cls_vla_ros.robot.action.standing import Standing
from cls_vla_ros.robot.action.trajectory import point_velocities, reachable_from
from cls_vla_ros.robot.inference_loop import Result
from cls_vla_ros.robot.joints import UnitMap, ros_unit
from cls_vla_ros.robot.observation.observation_buffer import ObservationBuffer
from cls_vla_ros.robot.settings import Settings

LATE_TICKS = 3  # commands further apart than so many periods are looked at for a leap


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
        self._given = given_limits(settings)
        units = [ros_unit(unit) for unit in action.units]
        try:
            self._limits: JointLimits | None = JointLimits.of(action.names, units, **self._given)
        except ValueError as error:
            raise ValueError(f"limits: {error}") from None
        if settings.limits.from_robot_description:
            self._limits = None  # until it has come
        self._commanded: tuple[np.ndarray, int] | None = None  # (A,) and when
        self._standing = Standing(self._table.first_step)
        self.player: ChunkPlayer | None = None
        if any(is_played(output, execution.mode) for output in action.outputs):
            self.player = ChunkPlayer(
                blend_s=execution.blend_s, hold_publish_s=execution.hold_publish_s
            )
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
            self.commands = commands
            for switch in self._switches:
                switch.is_real = commands

    def to_whom(self) -> ToWhom:
        """Where actions go now."""
        return ToWhom(armed=self.commands, taken_over=self.is_taken_over)

    def lag(self) -> tuple[np.ndarray, np.ndarray]:
        """(A,) what joints are told now, and (A,) where they are; NaN where unknown."""
        with self._lock:
            told = self._standing.at(self._now_ns())
            is_told = self.commands & self._table.is_position
            return np.where(is_told, told, np.nan), self._measured()

    def take_robot_description(self, message: String) -> None:
        """Read the limits out of a URDF; a bad one leaves those of a good one.

        Args:
            message: of the topic robot_description.
        """
        try:
            self._limits = JointLimits.from_urdf_and_given(
                message.data, self._settings.action.names, self._table.urdf_names, self._given
            )
        except ValueError as error:
            self._reporter.refused("robot_description", str(error))

    def take(self, result: Result) -> bool:
        """Check the actions of a result, and publish them.

        Returns:
            Whether they were good enough for that.
        """
        if self._limits is None:
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
        actions = continuous(actions, near, action)
        checked = check_chunk(
            actions,
            action.dt_s,
            self._limits,
            mode=limits.mode,
            first_index=self._next_index(stamp_ns, now_ns),
            positions_now=np.where(has_first_step, near, 0.0),
            first_step=self._table.first_step if has_first_step.any() else None,
        )
        if checked.actions is None:
            return self._refuse(checked.text)
        if checked.violations:
            self._reporter.clamped(checked.text)
        return self._publish(result, checked.actions, now_ns, start)

    def _measured(self) -> np.ndarray:
        return self._buffer.positions(self._settings.action.names)

    def _start(self, now_ns: int) -> np.ndarray:
        """(A,) where what is commanded begins; NaN where a joint has not said where it is.

        That is what it was told last, so that a grip stays one, unless others moved it since.
        Velocities begin at standing still.
        """
        with self._lock:
            begin = self._standing.start(self._measured(), now_ns)
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
                self._send(by_chunk, stamp_ns, actions, start, now_ns)
            self.follows = self.commands
        return True

    def _begin_anew(self) -> None:
        """Nobody follows the preview: each chunk of it begins where the joints are."""
        with self._lock:
            self._standing.forget()
            self._commanded = None
            if self.player is not None:
                self.player.flush("not armed", repeats=False)

    def _send(
        self,
        outlets: list[Outlet],
        stamp_ns: int,
        actions: np.ndarray,
        start: np.ndarray,
        now_ns: int,
    ) -> None:
        """To controllers that take chunks whole: what they can reach from where they are."""
        dt_s, which = self._settings.action.dt_s, self._table.is_position & ~self._table.is_played
        reached_ns = stamp_ns + round(dt_s * 1e9)  # a step after it is commanded
        first, late_ns = reachable_from(
            Chunk(actions, reached_ns, dt_s),
            np.where(which, start, np.nan),
            self._limits.velocity,
            now_ns,
        )
        measured = self._buffer.velocities(self._settings.action.names)
        speeds = point_velocities(actions, dt_s, measured, self._limits.velocity)
        for outlet in outlets:
            outlet.chunk(stamp_ns + late_ns, actions, first, speeds[first:])
        due = Chunk(actions[first:], reached_ns + late_ns + round(first * dt_s * 1e9), dt_s)
        self._standing.sent(due, self._measured(), which, now_ns)

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
            elif leap := self._leap(sample.values, now_ns):
                self._refuse(leap)
            else:
                self._commanded = sample.values, now_ns
                if isinstance(sample, Hold):
                    self._hold(sample.values, now_ns)
                    return
                for outlet in self._outlets:
                    if outlet.is_played:
                        outlet.command(sample.values, now_ns)
                which = self._table.is_played & self._table.is_position
                self._standing.told(sample.values, self._measured(), which)

    def _hold(self, repeated: np.ndarray | None, now_ns: int) -> None:
        self.follows = False
        measured = self._measured()
        for outlet in self._outlets:
            if outlet.is_played:
                outlet.hold(repeated, measured, now_ns)

    def _leap(self, values: np.ndarray, now_ns: int) -> str:
        """Why a command does not follow the last one; empty if it does.

        A chunk is continuous, but time is not: it may jump, or the ticks may stall.
        """
        last = self._commanded
        if last is None:
            return ""
        apart_s = (now_ns - last[1]) / 1e9
        if apart_s <= LATE_TICKS / self._settings.execution.rate_hz:
            return ""
        distances, first_step = np.abs(values - last[0]), self._table.first_step
        worst = int(np.argmax(distances - first_step))
        if distances[worst] <= first_step[worst]:
            return ""
        return (
            f"the next command would be a leap of {distances[worst]:.3g} for "
            f"{self._settings.action.names[worst]!r}, at most {first_step[worst]:g} (first_step) "
            f"may be: {apart_s:.2f} s have passed at once, because the clock jumped or the node "
            "was held up"
        )

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
            begin = self._standing.start(self._measured(), now_ns)
            ended = np.zeros(len(begin), bool)
            for outlet in self._outlets:
                ended |= outlet.hold(None, begin, now_ns)
            self._standing.told(begin, self._measured(), ended)
            if forgets:
                self._standing.forget()

    def forget(self) -> None:
        """What controllers were told says no more where the arm is."""
        with self._lock:
            self._standing.forget()

    def _next_index(self, stamp_ns: int, now_ns: int) -> int:
        """Which step is executed next. A trajectory's point is due one step after its command."""
        action, mode = self._settings.action, self._settings.execution.mode
        if not action.outputs:
            return 0
        has_trajectory = not all(is_played(output, mode) for output in action.outputs)
        leads_ns = round(action.dt_s * 1e9) if has_trajectory else 0
        return next_index(stamp_ns + leads_ns, action.dt_s, now_ns)
