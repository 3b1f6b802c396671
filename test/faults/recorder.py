"""Hears all that the node publishes for an arm, and notes what must never be published."""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from cls_vla_ros.msg import ActionChunk
from cls_vla_ros.robot.stamps import NS, to_ns

MARGIN_S = 0.4  # for two busy cores
CONTINUOUS_S = 0.3  # commands closer than that are one motion


@dataclass
class Bounds:
    """What holds for every output.

    Attributes:
        names: of the joints.
        home: (A,) where they are all the time.
        reach: how far from there a good policy goes, in rad: less than to zero for each joint.
        first_step: as limits.first_step.
        max_age_s: as observation.max_age_s.
        inference_s: how long an inference takes at most.
    """

    names: list[str]
    home: np.ndarray
    reach: float = 0.3
    first_step: float = 0.2
    max_age_s: float = 0.3
    inference_s: float = 0.6

    @property
    def oldest_s(self) -> float:
        return self.max_age_s + self.inference_s + MARGIN_S


@dataclass
class Recorder:
    """Subscribes at once; `problems` says what was wrong.

    Attributes:
        bounds: see there.
        now_ns: the rig's ROS time.
        published_at_s: time.time() of each publication.
        chunks: all of them.
    """

    bounds: Bounds
    now_ns: Callable[[], int]
    problems: list[str] = field(default_factory=list)
    published_at_s: list[float] = field(default_factory=list)
    chunks: list[ActionChunk] = field(default_factory=list)
    chunks_at_s: list[float] = field(default_factory=list)
    commands: int = 0
    jumped_at_s: float = -math.inf  # when the rig's clock jumped: around that, ages mean nothing
    _floor: tuple[int, float] = (0, math.inf)  # no older episode is published after this time
    _last_command: tuple[np.ndarray, float] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def listen(self, node, mode: str) -> None:
        """Subscribe."""
        node.create_subscription(ActionChunk, "action_chunk", self._chunk, 100)
        if mode == "stream":
            node.create_subscription(Float64MultiArray, "joint_command", self._command, 100)
        else:
            node.create_subscription(JointTrajectory, "joint_trajectory", self._trajectory, 100)

    def forget(self) -> None:
        """Another process numbers anew."""
        self.chunks.clear()
        self.chunks_at_s.clear()
        self._floor, self._last_command = (0, math.inf), None

    def episode_began(self, episode: int) -> None:
        """The node has answered that: from now on nothing older may be published."""
        with self._lock:
            if episode > self._floor[0]:
                self._floor = episode, time.time()

    def count_since(self, at_s: float) -> int:
        """How many outputs were published after this time."""
        return sum(published > at_s for published in self.published_at_s)

    def chunks_since(self, at_s: float) -> list[ActionChunk]:
        """The chunks that were published after this time."""
        return self.chunks[len(self.chunks) - sum(at > at_s for at in self.chunks_at_s) :]

    def fresh_chunks(self, at_s: float, stamped_after_ns: int) -> int:
        """How many chunks show what was seen after a time."""
        return sum(to_ns(c.header.stamp) > stamped_after_ns for c in self.chunks)

    def _wrong(self, what: str) -> None:
        self.problems.append(what)

    def _chunk(self, message: ActionChunk, info: dict) -> None:
        at_s = info["source_timestamp"] / NS
        with self._lock:
            stamp_ns = self._fresh("chunk", message, at_s)
            floor, since_s = self._floor
            if message.episode < floor and at_s > since_s:
                self._wrong(f"a chunk of episode {message.episode} after {floor} had begun")
            if self.chunks:
                before = self.chunks[-1]
                if message.inference_id <= before.inference_id:
                    self._wrong(f"inference {message.inference_id} comes again")
                if message.episode < before.episode:
                    self._wrong(f"episode {message.episode} comes after {before.episode}")
                same = message.episode == before.episode
                if same and stamp_ns <= to_ns(before.header.stamp):
                    self._wrong("a chunk of the same observation again, or of an older one")
            values = np.array(message.data).reshape(message.chunk_size, message.action_dim)
            self._in_bounds("chunk", values, list(message.names))
            self.chunks.append(message)
            self.chunks_at_s.append(at_s)
            self.published_at_s.append(at_s)

    def _trajectory(self, message: JointTrajectory, info: dict) -> None:
        at_s = info["source_timestamp"] / NS
        with self._lock:
            self._fresh("trajectory", message, at_s)
            values = np.array([point.positions for point in message.points])
            self._in_bounds("trajectory", values, list(message.joint_names))
            if np.abs(values[0] - self.bounds.home).max() > self.bounds.first_step + 1e-6:
                self._wrong(f"a trajectory begins at {values[0]}, far from the joints")
            self.published_at_s.append(at_s)

    def _command(self, message: Float64MultiArray, info: dict) -> None:
        at_s = info["source_timestamp"] / NS
        values = np.array(message.data)
        with self._lock:
            self._in_bounds("command", values[None], self.bounds.names)
            begins, from_where = True, self.bounds.home
            if self._last_command is not None:
                last, last_at_s = self._last_command
                begins = at_s - last_at_s > CONTINUOUS_S
                from_where = self.bounds.home if begins else last
            # Within CONTINUOUS_S it may have been stopped, and have begun again where the arm is.
            distance = np.abs(values - from_where).max()
            if not begins:
                distance = min(distance, np.abs(values - self.bounds.home).max())
            if distance > self.bounds.first_step + 1e-6:
                self._wrong(f"a command jumps by {distance:.3f}")
            if self.chunks and self._is_clock_steady(at_s):
                self._fresh("the chunk of a command", self.chunks[-1], at_s)
            self._last_command = values, at_s
            self.commands += 1
            self.published_at_s.append(at_s)

    def _is_clock_steady(self, at_s: float) -> bool:
        return abs(at_s - self.jumped_at_s) > MARGIN_S

    def _fresh(self, what: str, message, at_s: float) -> int:
        stamp_ns = to_ns(message.header.stamp)
        published_ns = self.now_ns() - round((time.time() - at_s) * NS)
        age_s = (published_ns - stamp_ns) / NS
        if self._is_clock_steady(at_s) and not -0.1 < age_s < self.bounds.oldest_s:
            self._wrong(f"{what} is {age_s:.2f} s old")
        return stamp_ns

    def _in_bounds(self, what: str, values: np.ndarray, names: list[str]) -> None:
        if names != self.bounds.names:
            self._wrong(f"{what} is for {names}")
        if not np.isfinite(values).all():
            self._wrong(f"{what} has NaN")
        elif np.abs(values - self.bounds.home).max() > self.bounds.reach:
            self._wrong(f"{what} goes where no good chunk goes: {values[0]}")
