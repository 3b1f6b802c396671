"""The robots of one replica: who they are, and which episode each of them is in."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cls_vla_ros.serve.request import Request, RequestError

if TYPE_CHECKING:
    from cls_vla_ros.inference import PolicyServer


class FullError(Exception):
    """There is no room for another robot."""


@dataclass
class Robot:
    """One robot.

    Attributes:
        owner: the connection that it speaks by; None while it has none.
        episode: its own number of the present episode; None before it has said one.
        is_new: whether nothing has come by this connection yet.
        left_s: when it had its last connection, monotonic seconds.
    """

    owner: object | None
    episode: int | None = None
    is_new: bool = True
    left_s: float = 0.0


class Sessions:
    """Of a replica. `open` and `close` in its event loop, `begin` in its inference thread."""

    def __init__(self, server: PolicyServer, max_sessions: int, idle_s: float) -> None:
        """Begin without robots.

        Args:
            server: has a session for each.
            max_sessions: of them.
            idle_s: how long one without a connection is kept.
        """
        self._server, self._max_sessions, self._idle_s = server, max_sessions, idle_s
        self._robots: dict[str, Robot] = {}

    @property
    def connected(self) -> int:
        return sum(robot.owner is not None for robot in list(self._robots.values()))

    def __len__(self) -> int:
        return len(self._robots)

    def open(self, name: str, owner: object) -> object | None:
        """A robot speaks by this connection from now on.

        Returns:
            The connection that it spoke by until now, if it has one still.

        Raises:
            FullError: there are too many.
        """
        self.sweep()
        robot = self._robots.get(name)
        if robot is None:
            if len(self._robots) >= self._max_sessions and not self._forget_idle():
                raise FullError(
                    f"this replica has {self._max_sessions} robots, which is all that it takes: "
                    "start more replicas, or let it take more (--max-sessions)"
                )
            self._robots[name] = Robot(owner)
            return None
        before, robot.owner, robot.is_new = robot.owner, owner, True
        return before

    def close(self, name: str, owner: object, *, forgets: bool) -> None:
        """A connection has ended; its robot may come back unless it is forgotten."""
        robot = self._robots.get(name)
        if robot is not None and robot.owner is owner:
            robot.owner, robot.left_s = None, time.monotonic()
            if forgets:
                self._forget(name)

    def sweep(self) -> None:
        """Forget the robots that have been gone for long."""
        since_s = time.monotonic() - self._idle_s
        for name, robot in list(self._robots.items()):
            if robot.owner is None and robot.left_s <= since_s:
                self._forget(name)

    def _forget_idle(self) -> bool:
        idle = [(robot.left_s, name) for name, robot in self._robots.items() if not robot.owner]
        if idle:
            self._forget(min(idle)[1])
        return bool(idle)

    def _forget(self, name: str) -> None:
        del self._robots[name]
        self._server.remove_session(name)

    def begin(self, name: str, owner: object, request: Request) -> int | None:
        """A request's turn has come: its episode, noise and limits are in force.

        Returns:
            The robot's number of the episode.

        Raises:
            RequestError: it is of an episode that is over, or of a connection that is.
        """
        robot = self._robots.get(name)
        if robot is None or robot.owner is not owner:
            raise RequestError("another connection of this robot has taken its place")
        if request.episode is not None and request.episode != robot.episode:
            if not robot.is_new and robot.episode is not None and request.episode < robot.episode:
                raise RequestError(
                    f"episode {request.episode} is over: {robot.episode} has begun by this "
                    "connection"
                )
            self._server.reset(name)
            robot.episode = request.episode
        elif request.reset:
            self._server.reset(name)
            if request.episode is None:
                robot.episode = (robot.episode or 0) + 1
        robot.is_new = False
        if request.seed is not None:
            self._server.seed(request.seed, name)
        if request.reuse is not None:
            session = self._server.session(name)
            session.set_thresholds(request.reuse.threshold, request.reuse.by_interval)
            session.limits = request.reuse.limits
        return robot.episode
