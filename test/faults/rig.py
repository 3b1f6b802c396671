"""The node in this process, sensors that can be made to fail, a tame policy, and the recorder."""

import threading
import time
from collections.abc import Callable

import numpy as np
from faults.recorder import Bounds, Recorder
from node.conftest import JOINTS, PARAMETERS, Robot, wait_until
from rosgraph_msgs.msg import Clock
from std_srvs.srv import Trigger

from cls_vla_ros.node import connections
from cls_vla_ros.node.output.stamps import to_time
from cls_vla_ros.robot.stamps import NS, to_ns

HOME = {"shoulder": 0.9, "elbow": -0.6, "gripper": 0.4}  # none of them near another, or zero
PERIOD_S = 0.04  # of the sensors
DT_S, CHUNK_SIZE = 0.05, 50
FAULT_PARAMETERS = PARAMETERS | {
    "rate_hz": 20.0,
    "observation.max_age_s": 0.3,
    "observation.max_skew_s": 0.2,
    "observation.frozen_s": 0.4,
    "inference.timeout_s": 0.6,
    "takeover.topic": "joy",
    "takeover.fresh_s": 0.2,
    "limits.first_step": 0.2,
    "limits.lower": [position - 2.0 for position in HOME.values()],
    "limits.upper": [position + 2.0 for position in HOME.values()],
}


def tame(state: np.ndarray) -> np.ndarray:
    """(T, A): a small wave around where the arm is."""
    steps = np.arange(CHUNK_SIZE)[:, None]
    return state + 0.15 * np.sin(2 * np.pi * steps / CHUNK_SIZE)


def ramp(state: np.ndarray) -> np.ndarray:
    """(T, A): away from where the arm is, at 0.3 rad/s."""
    return state + 0.3 * DT_S * np.arange(CHUNK_SIZE)[:, None]


class Sensors:
    """Two cameras and the joints, 25 times a second, and /clock if there is one."""

    def __init__(self, peer, use_sim_time: bool = False) -> None:
        self.peer = peer
        self.change: dict[str, Callable] = {}  # of a message: to one, None, or several
        self.offset_ns = 0  # of their clock; the node's too with /clock
        self.clock_offset_ns = 0
        self._clock = peer.create_publisher(Clock, "/clock", 1) if use_sim_time else None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def now_ns(self) -> int:
        """The node's time."""
        return time.time_ns() + self.clock_offset_ns

    def close(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(PERIOD_S):
            if self._clock is not None:
                self._clock.publish(Clock(clock=to_time(self.now_ns())))
            names = ["gripper", "other", "shoulder", "elbow"]
            positions = [HOME.get(name, 7.0) for name in names]
            self._publish("joints", self.peer.joints, self.peer.joint_state(names, positions))
            self._publish("wrist", self.peer.wrist, self.peer.jpeg())
            self._publish("front", self.peer.front, self.peer.image())

    def _publish(self, name: str, publisher, message) -> None:
        message.header.stamp = to_time(time.time_ns() + self.offset_ns)
        changed = self.change.get(name, lambda m: m)(message)
        for message in changed if isinstance(changed, list) else [changed]:
            if message is not None:
                publisher.publish(message)


class Rig:
    """What a fault is injected into; `mode` is execution.mode."""

    def __init__(self, checkpoint, mode: str, *, use_sim_time: bool = False) -> None:
        connections.DIAGNOSTICS_PERIOD_S = 0.1  # so that the suite is quick
        parameters = FAULT_PARAMETERS | {
            "policy.path": str(checkpoint),
            "execution.mode": mode,
            "use_sim_time": use_sim_time,
        }
        self.mode, self.use_sim_time = mode, use_sim_time
        self.robot = Robot(parameters)
        self.peer = self.robot.peer
        self.sensors = Sensors(self.peer, use_sim_time)
        if not use_sim_time:
            self.robot.node._now_ns = self.sensors.now_ns  # so that it can jump
        self.policy = ramp if use_sim_time else tame
        bounds = Bounds(JOINTS, np.array(list(HOME.values())))
        bounds.reach = 0.8 if use_sim_time else bounds.reach
        self.recorder = Recorder(bounds, self.sensors.now_ns)
        self.recorder.listen(self.peer, mode)
        self._reset = self.peer.create_client(Trigger, "reset")
        self.start()
        assert self._reset.wait_for_service(10)

    def start(self) -> None:
        """Configure and activate."""
        self.robot.start()
        self.server = self.robot.node._server
        self._infer = self.server.infer
        self._last_seen_s = (0, 0.0)
        self.server.infer = self._watched

    def _watched(self, observation, **kwargs):
        """The policy sees nothing that is broken; what it makes is tame."""
        wrong = self.recorder.problems.append
        if np.abs(observation.state - list(HOME.values())).max() > 1e-5:
            wrong(f"the policy saw the joints at {observation.state}")
        for name, picture in observation.images.items():
            if picture.mean() < 4:
                wrong(f"the policy saw a black picture of {name}")
        if (kwargs["episode"], observation.stamp_s) < self._last_seen_s:
            wrong("the policy saw an older picture after a newer one")
        self._last_seen_s = kwargs["episode"], observation.stamp_s
        inference = self._infer(observation, **kwargs)
        inference.actions[:] = self.policy(observation.state)
        return inference

    @property
    def episode(self) -> int:
        return self.robot.node._session.episode

    def reset(self):
        """Ask for a new episode; the recorder hears the answer."""

        def answered(future):
            self.recorder.episode_began(int(future.result().message.split()[1]))

        future = self._reset.call_async(Trigger.Request())
        future.add_done_callback(answered)
        return future

    def jump(self, seconds: float, *, sensors_too: bool) -> None:
        """The clock goes on somewhere else."""
        self.recorder.jumped_at_s = time.time()
        self.sensors.clock_offset_ns += round(seconds * NS)
        if sensors_too:
            self.sensors.offset_ns = self.sensors.clock_offset_ns

    def diagnosis(self) -> tuple[bytes, str, dict[str, str]]:
        """Level, message and values that were said last."""
        level = self.peer.heard["/diagnostics"][-1].status[0].level
        return (level, *self.peer.diagnosis())

    def is_healthy(self) -> bool:
        """Whether it does its work, at this moment."""
        count, commands = len(self.recorder.chunks), self.recorder.commands
        wait_until(lambda: len(self.recorder.chunks) > count + 1, "chunks")
        if self.mode == "stream":
            wait_until(lambda: self.recorder.commands > commands + 1, "commands")
        wait_until(lambda: self.diagnosis()[1] == "inferring", "the diagnostics say inferring")
        return True

    def has_acted_since(self, at_s: float, at_ns: int) -> bool:
        """Whether a chunk of what was seen after a time has come, and is executed."""
        fresh = [c for c in self.recorder.chunks[-20:] if to_ns(c.header.stamp) > at_ns]
        return bool(fresh) and self.recorder.count_since(at_s) > len(fresh)

    def close(self) -> None:
        self.sensors.close()
        self.robot.close()
