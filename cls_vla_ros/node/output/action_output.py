"""From the policy's actions to what is published: checked, and, in stream mode, played by time."""

from collections.abc import Callable

import numpy as np
from rclpy.publisher import Publisher
from std_msgs.msg import String

from cls_vla_ros.node.health.reporter import Reporter
from cls_vla_ros.node.output.messages import to_action_chunk, to_command, to_joint_trajectory
from cls_vla_ros.robot.action.action_limits import check_chunk
from cls_vla_ros.robot.action.chunk_player import Chunk, ChunkPlayer, Hold, next_index
from cls_vla_ros.robot.action.joint_limits import JointLimits
from cls_vla_ros.robot.inference_loop import Result
from cls_vla_ros.robot.joints import UnitMap, ros_unit
from cls_vla_ros.robot.settings import Settings

JOINT_POSITIONS = "joint_positions"
LATE_TICKS = 3  # commands further apart than so many periods are looked at for a leap


class ActionOutput:
    """Whatever it refuses is reported, and nothing is published in its place.

    Results come from the inference thread; ticks, flushes and the URDF from the executor's.
    """

    def __init__(
        self,
        settings: Settings,
        reporter: Reporter,
        now_ns: Callable[[], int],
        positions: Callable[[list[str]], np.ndarray],
    ) -> None:
        """Start on hold.

        Args:
            settings: of the actions, their limits and their execution.
            reporter: is told what was refused.
            now_ns: ROS time.
            positions: where joints are, (A,) rad or m, NaN where unknown; by names.

        Raises:
            ValueError: the settings contradict each other.
        """
        _check(settings)
        self._settings, self._reporter = settings, reporter
        self._now_ns, self._positions = now_ns, positions
        action, execution = settings.action, settings.execution
        self._units = UnitMap.of_settings(action)
        self._is_positions = action.kind == JOINT_POSITIONS
        self._given = {
            name: _by_joint(name, values, action.names)
            for name, values in (
                ("lower", settings.limits.lower),
                ("upper", settings.limits.upper),
                ("velocity", settings.limits.velocity),
            )
        }
        units = [ros_unit(unit) for unit in action.units]
        self._limits: JointLimits | None = JointLimits.of(action.names, units, **self._given)
        if settings.limits.from_robot_description:
            self._limits = None  # until it has come
        self._commanded: tuple[np.ndarray, int] | None = None  # (A,) and when
        self.player: ChunkPlayer | None = None
        if execution.mode == "stream":
            self.player = ChunkPlayer(
                blend_s=execution.blend_s, hold_publish_s=execution.hold_publish_s
            )
        self.action_chunk: Publisher | None = None
        self.joint_trajectory: Publisher | None = None
        self.command: Publisher | None = None

    def take_robot_description(self, message: String) -> None:
        """Read the limits out of a URDF; a bad one leaves those of a good one.

        Args:
            message: of the topic robot_description.
        """
        try:
            names = self._settings.action.names
            self._limits = JointLimits.from_urdf(message.data, names, **self._given)
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
        in_force = self.player.in_force(now_ns) if self.player else None
        measured = self._positions(action.names)
        checked = check_chunk(
            actions,
            action.dt_s,
            self._limits,
            mode=limits.mode,
            first_index=self._next_index(stamp_ns, now_ns),
            positions_now=measured if in_force is None else in_force,
            first_step=(limits.first_step or None) if self._is_positions else None,
        )
        if checked.actions is None:
            return self._refuse(checked.text)
        if checked.violations:
            self._reporter.clamped(checked.text)
        return self._publish(result, checked.actions, now_ns, measured)

    def _publish(
        self, result: Result, actions: np.ndarray, now_ns: int, measured: np.ndarray
    ) -> bool:
        action, stamp_ns = self._settings.action, result.snapshot.newest_frame_ns
        if self.player is not None:
            start = measured if np.isfinite(measured).all() else None
            refused = self.player.put(Chunk(actions, stamp_ns, action.dt_s), now_ns, start)
            if refused:
                return self._refuse(refused)
        self.action_chunk.publish(to_action_chunk(result, actions, action))
        if self.joint_trajectory is not None:
            first = self._next_index(stamp_ns, now_ns)
            self.joint_trajectory.publish(to_joint_trajectory(result, actions, action, first))
        return True

    def _refuse(self, reason: str) -> bool:
        # The chunk before it is no longer played either: what holds commands nothing.
        self.flush(reason)
        self._reporter.hold(reason)
        return False

    def tick(self) -> None:
        """Command what is due now; stream mode only."""
        now_ns = self._now_ns()
        sample = self.player.sample(now_ns)
        if isinstance(sample, Hold) and sample.values is None:
            self._commanded = None
            return
        if leap := self._leap(sample.values, now_ns):
            self._refuse(leap)
            return
        self._commanded = sample.values, now_ns
        execution, names = self._settings.execution, self._settings.action.names
        self.command.publish(
            to_command(execution.command, names, sample.values, now_ns, execution.rate_hz)
        )

    def _leap(self, values: np.ndarray, now_ns: int) -> str:
        """Why a command does not follow the last one; empty if it does.

        A chunk is continuous, but time is not: it may jump, or the ticks may stall.
        """
        first_step, last = self._settings.limits.first_step, self._commanded
        if not first_step or last is None:
            return ""
        apart_s = (now_ns - last[1]) / 1e9
        distance = float(np.abs(values - last[0]).max())
        is_late = apart_s > LATE_TICKS / self._settings.execution.rate_hz
        if not is_late or distance <= first_step:
            return ""
        return (
            f"the next command would be a leap of {distance:.3g}, at most {first_step:g} "
            f"(limits.first_step) may be: {apart_s:.2f} s have passed at once, because the clock "
            "jumped or the node was held up"
        )

    def flush(self, reason: str) -> None:
        """Play nothing any more until another chunk comes.

        Args:
            reason: why, in words.
        """
        if self.player is not None:
            self.player.flush(reason)
            self._commanded = None  # what comes next begins where the arm is

    def _next_index(self, stamp_ns: int, now_ns: int) -> int:
        """Which step is executed next. A trajectory's point is due one step after its command."""
        if not self._is_positions:
            return 0
        dt_s = self._settings.action.dt_s
        leads_ns = 0 if self.player is not None else round(dt_s * 1e9)
        return next_index(stamp_ns + leads_ns, dt_s, now_ns)


def _check(settings: Settings) -> None:
    action, limits, execution = settings.action, settings.limits, settings.execution
    is_positions = action.kind == JOINT_POSITIONS
    if execution.mode == "stream" and not is_positions:
        raise ValueError(
            "execution.mode 'stream' interpolates between joint positions, but action.kind is "
            f"{action.kind!r}: set it to {JOINT_POSITIONS!r} if that is what they are, else set "
            "execution.mode to 'chunk'"
        )
    if limits.from_robot_description and not is_positions:
        raise ValueError(
            "limits.from_robot_description needs action.kind 'joint_positions', because a URDF "
            f"knows joints only; it is {action.kind!r}"
        )
    unknown = [name for name in action.names if name not in settings.state.joints]
    if is_positions and limits.first_step and unknown:
        raise ValueError(
            f"limits.first_step compares an action with where its joint is, but {unknown} are not "
            f"among state.joints {settings.state.joints}: call them as there, or set "
            "limits.first_step to 0.0"
        )


def _by_joint(which: str, values: list[float], names: list[str]) -> dict[str, float]:
    if values and len(values) != len(names):
        raise ValueError(
            f"limits.{which} has {len(values)} values, action.names {len(names)}: give each of "
            "them one (-.inf and .inf are no limit), or none at all"
        )
    return dict(zip(names, values, strict=True)) if values else {}
