"""Robots that ask a server, each in its own time, with what a recording shows."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from cls_vla_ros.inference import Observation
from cls_vla_ros.inference.remote.link import LinkError
from cls_vla_ros.inference.remote.remote_server import RemotePolicyServer

DRIFT = 0.01  # of one robot's period against the next one's: nobody's clock is another's


@dataclass(frozen=True)
class Asked:
    """One request.

    Attributes:
        robot: from 0.
        at_s: when it was made, since all began.
        took_ms: until its answer, coding included; or until it was given up.
        server_ms: of it, from its turn to its end; NaN without an answer.
        batch: robots that were served at once; 0 without an answer.
        replica: which did it.
        reason: why its prefix was computed, or REUSED; or why there is no answer.
        is_answered: whether there is one.
    """

    robot: int
    at_s: float
    took_ms: float
    server_ms: float
    batch: int
    replica: str
    reason: str
    is_answered: bool


def drive(
    where: str,
    recordings: Sequence[Sequence[Observation]],
    *,
    rate_hz: float,
    seconds: float,
    token: str = "",
    timeout_s: float = 1.0,
    jpeg_quality: int = 95,
    meanwhile: Callable[[float, list[RemotePolicyServer]], None] = lambda at_s, robots: None,
) -> list[Asked]:
    """Let robots replay their recordings, over and over, an episode each time.

    Args:
        where: the server.
        recordings: of each robot.
        rate_hz: of each robot's requests; one that is late asks at once, and the rest is left out.
        seconds: how long.
        token: see `RemotePolicyServer`.
        timeout_s: likewise.
        jpeg_quality: likewise.
        meanwhile: called ten times a second with the seconds since the beginning and the robots.

    Raises:
        LinkError: there is no server.
    """
    options = {"token": token, "timeout_s": timeout_s, "jpeg_quality": jpeg_quality}
    robots = [
        RemotePolicyServer(where, session=f"robot{n}", seed=n, **options)
        for n in range(len(recordings))
    ]
    asked: list[Asked] = []
    began_s = time.monotonic()

    def replay(n: int) -> None:
        robot, observations = robots[n], recordings[n]
        due_s, index = began_s + n / rate_hz / len(robots), 0
        period_s = (1 + DRIFT * n) / rate_hz
        while (now_s := time.monotonic()) < began_s + seconds:
            if now_s < due_s:
                time.sleep(due_s - now_s)
                continue
            due_s = max(due_s + period_s, now_s)
            if index and index % len(observations) == 0:
                robot.reset()
            observation = observations[index % len(observations)]
            index += 1
            asked.append(_ask(robot, n, replace(observation, stamp_s=now_s), now_s - began_s))

    threads = [threading.Thread(target=replay, args=(n,), daemon=True) for n in range(len(robots))]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        meanwhile(time.monotonic() - began_s, robots)
        time.sleep(0.1)
    for robot in robots:
        robot.close()
    return sorted(asked, key=lambda one: one.at_s)


def _ask(robot: RemotePolicyServer, n: int, observation: Observation, at_s: float) -> Asked:
    started = time.perf_counter()
    try:
        inference = robot.infer(observation)
    except LinkError as error:
        took_ms = (time.perf_counter() - started) * 1e3
        return Asked(n, at_s, took_ms, float("nan"), 0, "", str(error), False)
    times, reason = robot.times, inference.reason.name
    batch = int(times["batch"])
    return Asked(
        n,
        at_s,
        inference.total_ms,
        times["batch_ms"],
        batch,
        robot.replica["replica"],
        reason,
        True,
    )
