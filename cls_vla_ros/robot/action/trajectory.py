"""A chunk for a controller that takes it whole: points that it can go through within its limits.

ros2_control's joint_trajectory_controller goes from the state that it has, when a trajectory
arrives, to the first point that is not past, and between points with velocities by cubics. So a
new trajectory begins with what is left of the old one until it has surely arrived; from there it
goes to the chunk and follows it, and at its end it comes to rest.
"""

from dataclasses import dataclass

import numpy as np

from cls_vla_ros.robot.action.chunk import Chunk
from cls_vla_ros.robot.action.shaping import NEAR, MotionLimits, braking_ends_at, follow
from cls_vla_ros.robot.stamps import NS

LEAD_S = 0.1  # until then a trajectory goes on as the one before it: it takes time to arrive
ARRIVES_S = 0.03  # how long it takes at most: one that stops goes on so for no longer
SOONEST = 0.25  # of a step: a point is no sooner after another
MOST_STEPS = 300  # after the last step of the chunk
TOLERANCE = 1e-6  # rad/s, rad/s²


@dataclass(frozen=True)
class Path:
    """Cubics between knots; at rest before the first and after the last.

    Attributes:
        times_ns: (N,) int64, ROS time, rising.
        positions: (N, A) rad or m.
        velocities: (N, A) per second.
    """

    times_ns: np.ndarray
    positions: np.ndarray
    velocities: np.ndarray

    @classmethod
    def resting(cls, position: np.ndarray, now_ns: int) -> "Path":
        """Of one knot, where nothing moves."""
        return cls(np.array([now_ns]), position[None], np.zeros((1, len(position))))

    def at(self, now_ns: int) -> tuple[np.ndarray, np.ndarray]:
        """(A,) position and velocity at a time."""
        index = int(np.searchsorted(self.times_ns, now_ns, side="right"))
        if index == 0:
            return self.positions[0], np.zeros_like(self.positions[0])
        if index == len(self.times_ns):
            is_end = now_ns > self.times_ns[-1]
            velocity = self.velocities[-1]
            return self.positions[-1], np.zeros_like(velocity) if is_end else velocity
        span = (self.times_ns[index] - self.times_ns[index - 1]) / NS
        x = (now_ns - self.times_ns[index - 1]) / NS / span
        p, q = self.positions[index - 1], self.positions[index]
        v, w = self.velocities[index - 1] * span, self.velocities[index] * span
        c2, c3 = 3 * (q - p) - 2 * v - w, 2 * (p - q) + v + w
        return p + x * (v + x * (c2 + x * c3)), (v + x * (2 * c2 + x * 3 * c3)) / span

    def between(self, begin_ns: int, end_ns: int) -> "Path":
        """What is left of it from one time to another, or its one knot where they are the same."""
        if end_ns <= begin_ns:
            position, velocity = self.at(begin_ns)
            return Path(np.array([begin_ns]), position[None], velocity[None])
        inner = (self.times_ns > begin_ns) & (self.times_ns < end_ns)
        ends = [self.at(begin_ns), self.at(end_ns)]
        positions = [ends[0][0][None], self.positions[inner], ends[1][0][None]]
        velocities = [ends[0][1][None], self.velocities[inner], ends[1][1][None]]
        times = [[begin_ns], self.times_ns[inner], [end_ns]]
        return Path(np.concatenate(times), np.vstack(positions), np.vstack(velocities))

    @property
    def points(self) -> "Path":
        """All but the first knot, which is where the controller is already."""
        return Path(self.times_ns[1:], self.positions[1:], self.velocities[1:])


def lead_s(
    begins: Path, elsewhere: list[np.ndarray], speed: np.ndarray, limits: MotionLimits
) -> float:
    """How long a trajectory goes on as what was commanded before it.

    From rest so long that a controller which was started anew meanwhile and begins where the
    joints are, or which was not and has what it had, comes there within the limits by its one
    cubic.

    Args:
        begins: what is commanded now, of one knot.
        elsewhere: (A,) each, where a controller may be instead; NaN where that is unknown.
        speed: (A,) how fast it may be there.
        limits: of the A values.
    """
    if begins.velocities.any():
        return LEAD_S
    apart = np.nan_to_num(np.abs(np.stack(elsewhere) - begins.positions[0])).max(axis=0)
    apart = apart + speed * ARRIVES_S  # it goes on until it knows
    # The highest speed of a cubic, and the acceleration at its beginning.
    fast = np.where(speed > 0, 2.0, 1.5) * apart / limits.velocity
    most = limits.acceleration
    turns = np.sqrt((4 * speed / most) ** 2 + 24 * apart / most) / 2 + 2 * speed / most
    return max(LEAD_S, ARRIVES_S + float(np.maximum(fast, turns).max()))


def to_chunk(begins: Path, chunk: Chunk, limits: MotionLimits) -> Path:
    """From a path to the steps of a chunk, and along them.

    A step is passed exactly, at the chunk's own speed, where the limits allow it; else the way to
    it is shaped, see `shaping.follow`. After the last step it comes to rest.

    Args:
        begins: what is gone along first.
        chunk: step k is due at its stamp + k dt.
        limits: of the A values.
    """
    limits = limits.with_steps(chunk.dt_s)
    knots = _Knots(begins)
    due_ns = chunk.stamp_ns + np.round(np.arange(len(chunk.actions)) * chunk.dt_s * NS)
    first = int(np.searchsorted(due_ns, knots.time_ns + SOONEST * chunk.dt_s * NS))
    speeds = _speeds(chunk)
    runs = _feasible(chunk, speeds, limits)
    index = first
    while index < len(chunk.actions):
        target, speed = chunk.actions[index], speeds[index]
        if index > first and runs[index - 1] and knots.is_at(chunk.actions[index - 1]):
            knots.add(int(due_ns[index]), target, speed)
        else:
            knots.go(int(due_ns[index]), target, speed, limits)
        index += 1
    rest, step_ns = np.zeros_like(speeds[-1]), round(chunk.dt_s * NS)
    for _ in range(MOST_STEPS):
        if knots.is_at(chunk.actions[-1]) and not knots.velocity.any():
            return knots.path
        knots.go(knots.time_ns + step_ns, chunk.actions[-1], rest, limits)
    return to_rest(knots.path, chunk.dt_s, limits)


def to_rest(begins: Path, dt_s: float, limits: MotionLimits, within_s: float = LEAD_S) -> Path:
    """From a path to where it comes to rest within the limits.

    Args:
        begins: what is gone along first.
        dt_s: time between two knots.
        limits: of the A values.
        within_s: how soon, of what is at rest already, or where no acceleration is limited.
    """
    knots = _Knots(begins)
    end = braking_ends_at(knots.position, knots.velocity, limits)
    if not np.isfinite(limits.acceleration).any() or not np.nan_to_num(knots.velocity).any():
        within_s = min(within_s, _inside_s(knots.position, knots.velocity, limits))
        knots.add(int(begins.times_ns[-1]) + round(within_s * NS), end, 0 * end)
        return knots.path
    limits = limits.with_steps(dt_s)
    for _ in range(MOST_STEPS):
        knots.go(knots.time_ns + round(dt_s * NS), end, 0 * end, limits)
        if not np.nan_to_num(knots.velocity).any():
            break
    else:  # at the speeds and accelerations of a joint it has long come to rest
        knots.velocities[-1] = 0 * end
    return knots.path


def _inside_s(position: np.ndarray, velocity: np.ndarray, limits: MotionLimits) -> float:
    """How soon it must stop where it is, so that the cubic does not leave the range meanwhile.

    It goes on by 4/27 of the way that it would go in that time.
    """
    room = np.where(velocity > 0, limits.upper - position, position - limits.lower)
    with np.errstate(divide="ignore", invalid="ignore"):
        soon = 27 / 4 * np.maximum(room, 0.0) / np.abs(velocity)
    return max(ARRIVES_S, float(np.nanmin(np.where(velocity == 0, np.inf, soon))))


class _Knots:
    """A path that grows."""

    def __init__(self, begins: Path) -> None:
        self._times_ns = begins.times_ns.tolist()
        self._positions = list(begins.positions)
        self.velocities = list(begins.velocities)

    @property
    def time_ns(self) -> int:
        return self._times_ns[-1]

    @property
    def position(self) -> np.ndarray:
        return self._positions[-1]

    @property
    def velocity(self) -> np.ndarray:
        return self.velocities[-1]

    @property
    def path(self) -> Path:
        return Path(np.array(self._times_ns), np.stack(self._positions), np.stack(self.velocities))

    def is_at(self, position: np.ndarray) -> bool:
        return self._positions[-1] is position or np.array_equal(self._positions[-1], position)

    def add(self, time_ns: int, position: np.ndarray, velocity: np.ndarray) -> None:
        self._times_ns.append(time_ns)
        self._positions.append(position)
        self.velocities.append(velocity)

    def go(
        self, time_ns: int, target: np.ndarray, speed: np.ndarray, limits: MotionLimits
    ) -> None:
        """To the target, each value exactly if the limits allow it."""
        span_s = (time_ns - self.time_ns) / NS
        here, fast = self.position, self.velocity
        exactly = _within(here, fast, target, speed, span_s, limits)
        position, velocity = follow(here, fast, target, speed, span_s, limits)
        there = (np.abs(position - target) < NEAR) & (np.abs(velocity - speed) < TOLERANCE)
        exactly |= there
        self.add(time_ns, np.where(exactly, target, position), np.where(exactly, speed, velocity))


def _speeds(chunk: Chunk) -> np.ndarray:
    """(T, A) how fast a chunk is at its steps; at rest at the last.

    The controller refuses another end by default since Jazzy
    (allow_nonzero_velocity_at_trajectory_end), and a chunk that nothing follows ends there.
    """
    speeds = np.zeros_like(chunk.actions)
    if len(speeds) > 1:
        speeds[:-1] = np.gradient(chunk.actions, chunk.dt_s, axis=0)[:-1]
    return speeds


def _feasible(chunk: Chunk, speeds: np.ndarray, limits: MotionLimits) -> np.ndarray:
    """(T - 1,) bool: whether the way from a step to the next one is within the limits."""
    p, v = chunk.actions, speeds
    return _within(p[:-1], v[:-1], p[1:], v[1:], chunk.dt_s, limits).all(axis=1)


def _within(
    p: np.ndarray,
    v: np.ndarray,
    q: np.ndarray,
    w: np.ndarray,
    span_s: float,
    limits: MotionLimits,
) -> np.ndarray:
    """(..., A) bool: whether the cubic from p, v to q, w is within the limits, and may go on."""
    mean = (q - p) / span_s
    first = (6 * mean - 4 * v - 2 * w) / span_s
    last = (-6 * mean + 2 * v + 4 * w) / span_s
    most = limits.acceleration + TOLERANCE
    room = np.where(w > 0, limits.upper - q, q - limits.lower) + NEAR
    # A Bézier curve is between the least and the largest of these.
    bends = np.stack([p, p + v * span_s / 3, q - w * span_s / 3, q])
    return (
        (bends.min(axis=0) >= np.minimum(limits.lower, p) - NEAR)
        & (bends.max(axis=0) <= np.maximum(limits.upper, p) + NEAR)
        & (_peak(mean, v, w) <= limits.velocity + TOLERANCE)
        & (np.abs(first) <= most)
        & (np.abs(last) <= most)
        & (w**2 <= 2 * limits.acceleration * room)
        & (np.abs(w) * span_s <= 2 * room)
    )


def _peak(mean: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The highest speed of a cubic, from its mean and those at its ends."""
    turn = 12 * mean - 6 * before - 6 * after
    with np.errstate(divide="ignore", invalid="ignore"):
        at = (6 * mean - 4 * before - 2 * after) / turn
    at = np.clip(np.where(np.abs(turn) > TOLERANCE, at, 0.0), 0.0, 1.0)
    speed = 6 * mean * at * (1 - at) + before * (1 - at) * (1 - 3 * at) + after * at * (3 * at - 2)
    ends = np.maximum(np.abs(before), np.abs(after))
    return np.maximum(np.maximum(np.abs(speed), np.abs(mean)), ends)
