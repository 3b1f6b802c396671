"""What must hold of every command, looked at from where the controllers are."""

import numpy as np

from cls_vla_ros.endurance.arm.scenario import (
    BEGINS_NS,
    CHUNK,
    DT_S,
    FIRST_STEP,
    FOLLOWING,
    FOLLOWING_S,
    JOINTS,
    RATE_HZ,
    Scenario,
)
from cls_vla_ros.robot.action.chunk import next_index
from cls_vla_ros.robot.stamps import NS, to_ns

TOLERANCE = 1e-6  # rad, rad/s, relative
PERIOD_S = 1 / RATE_HZ
OUTSIDE = 1e-3  # rad or m
GAP_S = 3.5 * PERIOD_S  # commands further apart are not one motion
MEASURED_S = 0.4  # so long a measurement counts
KEPT = 20
ANEW_S = 0.3
ON_ITS_WAY = 1.25  # a controller gets what it is told a little later
RESTS_S = 0.35  # after a stop, without the time that braking takes


class Watch:
    """Notes what was wrong; empty `problems` is what a sequence must end with.

    Attributes:
        problems: in words, with the time.
        stopped: whether nothing at all may be published.
        may_command: whether controllers may be commanded.
        is_cut_off: whether controllers are dead, so that nobody has what they are told.
        commands: how many came.
        chunks: how many were published.
        last_chunk_s: when the last was.
        last_command_s: likewise.
    """

    def __init__(self, scenario: Scenario) -> None:
        """Begin.

        Args:
            scenario: whose limits count.
        """
        self.problems: list[str] = []
        self.stopped, self.may_command, self.commands, self.chunks = False, False, 0, 0
        self.last_chunk_s = self.last_command_s = -np.inf
        self.episode, self.episode_began_ns = 1, 0
        self.is_cut_off = False
        self._velocity = np.minimum(scenario.velocity, FIRST_STEP / DT_S)
        self._acceleration = scenario.acceleration
        lower, upper = (scenario.parameters.get(f"limits.{end}") for end in ("lower", "upper"))
        self._lower = np.array(lower[:3] if lower else [-np.inf] * 3)
        self._upper = np.array(upper[:3] if upper else [np.inf] * 3)
        self._measured: list[tuple[float, np.ndarray]] = []
        self._last: dict[str, tuple[float, np.ndarray, np.ndarray | None, float]] = {}
        self._index: dict[str, list[int]] = {}
        self._stops: dict[str, float] = {}  # when each has come to rest
        self._leads_ns = round(DT_S * NS) if scenario.mode == CHUNK else 0
        self._anew: dict[str, tuple[float, np.ndarray]] = {}
        self.now_s = 0.0

    def _now_ns(self) -> int:
        return BEGINS_NS + round(self.now_s * NS)

    def wrong(self, what: str) -> None:
        """Something that must never be."""
        if len(self.problems) < KEPT:
            self.problems.append(f"{self.now_s:.3f} s: {what}")

    def measured(self, position: np.ndarray) -> None:
        """The node was told where the joints are."""
        self._measured = [m for m in self._measured if self.now_s - m[0] < MEASURED_S]
        self._measured.append((self.now_s, position))

    def chunk(self, message) -> None:
        """An ActionChunk was published."""
        self.chunks, self.last_chunk_s = self.chunks + 1, self.now_s
        if self.stopped:
            self.wrong("a chunk after a stop")
        if message.armed != self.may_command:
            self.wrong("a chunk that does not say whether it is executed")
        if message.episode != self.episode:
            self.wrong(f"a chunk of episode {message.episode} in {self.episode}")
        if to_ns(message.header.stamp) < self.episode_began_ns - NS // 10:
            self.wrong("a chunk of what was seen before the episode")
        actions = np.array(message.data).reshape(message.chunk_size, -1)[:, : len(JOINTS)]
        if not np.isfinite(actions).all():
            self.wrong("a chunk with NaN")
            return
        self._most(
            "chunk", JOINTS, "leaps", np.abs(np.diff(actions, axis=0)).max(axis=0), FIRST_STEP
        )
        if (
            self._measured and not self.is_cut_off
        ):  # its next step, from where the joints are or were told to be
            stamp_ns = to_ns(message.header.stamp) + self._leads_ns
            first = min(next_index(stamp_ns, DT_S, self._now_ns()), len(actions) - 1)
            ends = np.array([p for _, p in self._measured] + self._told())
            low, high = np.nanmin(ends, axis=0), np.nanmax(ends, axis=0)
            beyond = np.maximum(low - actions[first], actions[first] - high)
            self._most("chunk", JOINTS, "begins with a leap", beyond, FIRST_STEP * ON_ITS_WAY)

    def _told(self) -> list[np.ndarray]:
        """(3,) what each controller was told last, NaN for the joints of others."""
        told = []
        for topic, index in self._index.items():
            told.append(np.full(len(JOINTS), np.nan))
            told[-1][index] = self._last[topic][1]
        return told

    def changed(self, *, stopped: bool, commands: bool, episode: int, now_ns: int) -> None:
        """Who commands, and in which episode."""
        if self.may_command and not commands:
            speeds = {
                name: last[2]
                for name, last in self._last.items()
                if last[2] is not None and self._is_near(name, last[1])
            }
            self._stops = {name: self._rests_at(name, speed) for name, speed in speeds.items()}
        elif commands:
            self._stops = {}
        self.stopped, self.may_command = stopped, commands
        if episode != self.episode:
            self.episode, self.episode_began_ns = episode, now_ns

    def _is_near(self, topic: str, position: np.ndarray) -> bool:
        """Whether a joint is where its controller is; else that may come back slowly."""
        if not self._measured:
            return False
        apart = np.abs(self._measured[-1][1][self._index[topic]] - position)
        return bool((apart < FIRST_STEP[self._index[topic]] / 2).all())

    @property
    def is_new(self) -> bool:
        """Whether a controller was started anew that the node believes to be elsewhere."""
        return any(self.now_s < until_s for until_s, _ in self._anew.values())

    def _rests_at(self, topic: str, speed: np.ndarray) -> float:
        strongest = self._acceleration[self._index[topic]]
        return self.now_s + RESTS_S + float((np.abs(speed) / strongest).max())

    def begins_at(self, topic: str, position: np.ndarray, *, is_known: bool) -> None:
        """A controller was started anew, and holds where the joints are.

        Args:
            topic: whose.
            position: (J,) where that is.
            is_known: whether the node stopped it before. Else it goes at first to where the node
                believes it to be, which is no farther than a joint may stay behind.
        """
        self._last[topic] = -np.inf, position.copy(), None, 0.0
        self._stops.pop(topic, None)
        if not is_known:
            self._anew[topic] = np.inf, position.copy()

    def told(self, topic: str) -> None:
        """The controller has got a message."""
        if topic in self._anew and self._anew[topic][0] == np.inf:
            self._anew[topic] = self.now_s + ANEW_S, self._anew[topic][1]

    def stands(self, topic: str = "") -> None:
        """What moves next begins at rest."""
        for name in [topic] if topic else list(self._last):
            if name in self._last:
                self._last[name] = (-np.inf, *self._last[name][1:])

    def note(self, topic: str, joints: list[str], values: np.ndarray) -> None:
        """A setpoint of a controller that begins each trajectory where the joints are."""
        self._index[topic] = [JOINTS.index(joint) for joint in joints]
        self._last[topic] = -np.inf, values.copy(), None, 0.0

    def command(self, topic: str, joints: list[str], values: np.ndarray) -> None:
        """A command of positions, or a controller's own setpoint of the next cycle.

        Args:
            topic: whose.
            joints: of the values.
            values: (J,) rad or m.
        """
        self.commands, self.last_command_s = self.commands + 1, self.now_s
        index = self._index[topic] = [JOINTS.index(joint) for joint in joints]
        if not np.isfinite(values).all():
            self.wrong(f"{topic}: NaN")
            return
        fastest, strongest = self._velocity[index], self._acceleration[index]
        beyond = np.maximum(self._lower[index] - values, values - self._upper[index])
        begin = np.array([p[index] for _, p in self._measured])
        if begin.size:  # it may have been brought there
            inside = np.maximum(self._lower[index] - begin, begin - self._upper[index]).max(axis=0)
            beyond = beyond - np.maximum(inside, 0.0)
        self._most(topic, joints, "outside its range", beyond, np.full(len(index), OUTSIDE))
        last = self._last.get(topic)
        until_s, anew = self._anew.get(topic, (-np.inf, None))
        if self.now_s < until_s:
            most = FOLLOWING + FIRST_STEP[index] + fastest * (FOLLOWING_S + ANEW_S + 0.1)
            self._most(topic, joints, "leaps from where it was", np.abs(values - anew), most)
            span_s = min(self.now_s - last[0], PERIOD_S)
            speed = (values - last[1]) / span_s
            self._last[topic] = self.now_s, values.copy(), speed, self.now_s - span_s / 2
            return
        if last is None or self.now_s - last[0] > GAP_S:
            self._first(topic, joints, values, begin if last is None else [*begin, last[1]])
            return
        at_s, position, before, middle_s = last
        span_s = self.now_s - at_s
        speed, middle = (values - position) / span_s, self.now_s - span_s / 2
        if self.now_s > self._stops.get(topic, np.inf):
            self._most(topic, joints, "moves after a stop", np.abs(speed), 0.0 * speed)
        self._most(topic, joints, "faster than its limit", np.abs(speed), fastest)
        if before is None:  # from rest since a period before the first
            change = np.abs(speed) / (middle - at_s + PERIOD_S)
        else:
            change = np.abs(speed - before) / (middle - middle_s)
        self._most(topic, joints, "accelerates more than its limit", change, strongest)
        self._last[topic] = self.now_s, values.copy(), speed, middle

    def _first(self, topic: str, joints: list[str], values: np.ndarray, begin) -> None:
        """A motion begins: at the last command, or where the joints are."""
        index = [JOINTS.index(joint) for joint in joints]
        if len(begin):
            nearest = np.abs(values - np.array(begin)).min(axis=0)
            most = self._velocity[index] * PERIOD_S
            self._most(topic, joints, "begins with a leap", nearest, most)
        self._last[topic] = self.now_s, values.copy(), None, self.now_s

    def _most(
        self, topic: str, joints: list[str], what: str, found: np.ndarray, limit: np.ndarray
    ) -> None:
        # Differences of positions over a period lose digits.
        allowed = limit * (1 + TOLERANCE) + TOLERANCE / PERIOD_S
        for joint, value, most, at_most in zip(joints, found, limit, allowed, strict=True):
            if value > at_most:
                self.wrong(f"{topic}: {joint} {what}: {value:.4g}, {most:.4g} may be")
