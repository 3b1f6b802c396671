"""The loop with a small fake policy server and buffer, so that order and time are the test's."""

import threading
import time
from dataclasses import dataclass, field, fields

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from cls_vla_ros.inference import Handover, Inference, Observation
from cls_vla_ros.robot.inference_loop import InferenceLoop
from cls_vla_ros.robot.observation.observation_buffer import (
    NotReadyError,
    ObservationLimits,
    Snapshot,
)


def inference_of(episode: int) -> Inference:
    numbers = {f.name: 0 for f in fields(Inference)}
    return Inference(**numbers | {"episode": episode, "actions": np.zeros((2, 1))})


@dataclass
class FakeServer:
    """Counts episodes; an inference takes as long as the gate is shut."""

    episode: int = 0
    open: threading.Event = field(default_factory=threading.Event)
    under_way: threading.Event = field(default_factory=threading.Event)
    error: Exception | None = None
    seen: list = field(default_factory=list)
    handovers: list = field(default_factory=list)
    delay_s: float = 0.0

    def reset(self) -> tuple[int, None]:
        self.episode += 1
        return self.episode, None

    def session(self):
        return self

    def infer(self, observation: Observation, episode: int, handover) -> Inference:
        self.seen.append((episode, observation.task))
        self.handovers.append(handover)
        time.sleep(self.delay_s)
        self.under_way.set()
        assert self.open.wait(10)
        self.under_way.clear()
        if self.error:
            raise self.error
        return inference_of(episode)


class FakeBuffer:
    """Always has something new."""

    limits = ObservationLimits(1.0, 1.0, 1.0, 0.0)

    def __init__(self):
        self.not_ready = ""

    def wait_for_new_frames(self, timeout_s):
        time.sleep(0.001)
        return True

    def missing(self):
        return ""

    def clear(self):
        pass

    def snapshot(self, task, now_ns):
        if self.not_ready:
            raise NotReadyError(self.not_ready)
        return Snapshot(Observation({}, np.zeros(1), task, 0.0), now_ns, now_ns)


class Rig:
    def __init__(self, rate_hz=1000.0, chunk_dt_s=None):
        self.server, self.buffer = FakeServer(), FakeBuffer()
        self.results, self.holds, self.errors = [], [], []
        self.follows = True
        self.loop = InferenceLoop(
            self.server, self.buffer, now_ns=time.monotonic_ns, task="a", rate_hz=rate_hz,
            inference_id=0, chunk_dt_s=chunk_dt_s,
            follows=lambda: self.follows,
            on_result=self.results.append, on_hold=self.holds.append, on_error=self.errors.append,
            on_device_failed=self.errors.append,
        )  # fmt: skip

    def until(self, condition):
        deadline = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.001)


@pytest.fixture
def rig():
    rig = Rig()
    yield rig
    rig.server.open.set()
    rig.loop.stop()


def test_each_start_is_a_new_episode_and_ids_never_repeat(rig):
    rig.server.open.set()
    for _ in range(2):
        rig.loop.start()
        count = len(rig.results)
        rig.until(lambda c=count: len(rig.results) >= c + 3)
        rig.loop.stop()
    ids = [result.inference_id for result in rig.results]
    assert ids == sorted(set(ids))
    assert {result.inference.episode for result in rig.results} == {1, 2}


def test_reset_does_not_wait_and_what_began_before_it_is_dropped(rig):
    rig.loop.start()
    assert rig.server.under_way.wait(10)
    began = time.monotonic()
    episode, _ = rig.loop.reset()
    assert time.monotonic() - began < 1
    rig.server.open.set()
    rig.until(lambda: len(rig.results) >= 2)
    assert {result.inference.episode for result in rig.results} == {episode}
    assert rig.loop.discarded == 1


def test_after_stop_nothing_is_handed_over(rig):
    rig.loop.start()
    assert rig.server.under_way.wait(10)
    stopper = threading.Thread(target=rig.loop.stop)
    stopper.start()
    time.sleep(0.05)
    rig.server.open.set()
    stopper.join(10)
    assert not rig.loop.is_running
    assert not rig.results


def test_a_change_of_task_takes_observation_and_episode_along(rig):
    rig.server.open.set()
    rig.loop.start()
    rig.until(lambda: rig.results)
    assert rig.loop.set_task("a") is None
    episode, _ = rig.loop.set_task("b")
    rig.until(lambda: rig.results[-1].inference.episode == episode)
    assert {task for seen, task in rig.server.seen if seen == episode} == {"b"}
    assert {task for seen, task in rig.server.seen if seen < episode} == {"a"}


def test_it_keeps_its_rate():
    rig = Rig(rate_hz=50.0)
    rig.server.open.set()
    rig.loop.start()
    time.sleep(1.0)
    rig.loop.stop()
    assert 25 <= len(rig.results) <= 52


def test_what_is_not_ready_holds_and_what_raises_is_told_and_the_loop_goes_on(rig):
    rig.server.open.set()
    rig.buffer.not_ready = "no picture"
    rig.loop.start()
    rig.until(lambda: rig.holds)
    assert rig.holds[0] == "no picture"
    rig.buffer.not_ready = ""
    rig.server.error = RuntimeError("lost")
    rig.until(lambda: rig.errors)
    rig.server.error = None
    rig.until(lambda: rig.results)


@settings(max_examples=20, deadline=None)
@given(steps=st.lists(st.sampled_from(["reset", "stop", "start", "task", "wait"]), max_size=10))
def test_no_result_ever_belongs_to_an_episode_that_is_over(steps):
    rig = Rig()
    rig.server.open.set()
    over = []
    rig.loop._on_result = lambda result: over.append(
        result.inference.episode != rig.server.episode
    )
    for number, step in enumerate(steps):
        if step == "reset":
            rig.loop.reset()
        elif step == "stop":
            rig.loop.stop()
            count = len(over)
            time.sleep(0.005)
            assert len(over) == count
        elif step == "start" and not rig.loop.is_running:
            rig.loop.start()
        elif step == "task":
            rig.loop.set_task(f"task {number}")
        else:
            time.sleep(0.005)
    rig.loop.stop()
    assert not any(over)


def test_while_paused_nothing_is_inferred_and_it_says_so(rig):
    rig.server.open.set()
    rig.loop.start()
    rig.until(lambda: rig.results)
    rig.loop.pause(True)
    rig.holds.clear()
    rig.until(lambda: rig.holds)
    count = len(rig.results)
    assert "paused" in rig.holds[0]
    time.sleep(0.02)
    assert len(rig.results) == count
    rig.loop.pause(False)
    rig.until(lambda: len(rig.results) > count)


def test_a_pause_discards_the_inference_under_way(rig):
    rig.server.open.clear()
    rig.loop.start()
    rig.until(rig.server.under_way.is_set)
    rig.loop.pause(True)
    rig.server.open.set()
    rig.until(lambda: rig.loop.discarded)
    assert not rig.results


def test_how_long_an_inference_is_under_way(rig):
    assert rig.loop.busy_s == 0
    rig.server.open.clear()
    rig.loop.start()
    rig.until(lambda: rig.loop.busy_s > 0.02)
    rig.server.open.set()
    rig.until(lambda: rig.results)
    rig.loop.stop()
    assert rig.loop.busy_s == 0


@pytest.mark.parametrize("dt_s", [None, 0.05])
def test_the_server_is_told_how_chunks_are_executed(dt_s):
    rig = Rig(chunk_dt_s=dt_s)
    rig.server.delay_s = 0.03
    rig.server.open.set()
    rig.loop.start()
    rig.until(lambda: len(rig.results) > 3)
    rig.loop.stop()
    if dt_s is None:
        assert rig.server.handovers[-1] is None
    else:
        assert rig.server.handovers[0] == Handover(0.05, 0.0)  # nothing measured yet
        assert rig.server.handovers[-1].delay_s >= 0.03
