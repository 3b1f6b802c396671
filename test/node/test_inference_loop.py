"""The loop with a small fake policy server and buffer, so that order and time are the test's."""

import threading
import time
from dataclasses import dataclass, field, fields

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from cls_vla_ros.inference import Inference, Observation
from cls_vla_ros.node.inference_loop import InferenceLoop, first_not_finite
from cls_vla_ros.node.observation_buffer import NotReadyError, Snapshot


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

    def reset(self) -> tuple[int, None]:
        self.episode += 1
        return self.episode, None

    def session(self):
        return self

    def infer(self, observation: Observation, episode: int) -> Inference:
        self.seen.append((episode, observation.task))
        self.under_way.set()
        assert self.open.wait(10)
        self.under_way.clear()
        if self.error:
            raise self.error
        return inference_of(episode)


class FakeBuffer:
    """Always has something new."""

    def __init__(self):
        self.not_ready = ""

    def wait_for_new_frames(self, timeout_s):
        time.sleep(0.001)
        return True

    def missing(self):
        return ""

    def clear(self):
        pass

    def snapshot(self, task, now_ns, max_age_s):
        if self.not_ready:
            raise NotReadyError(self.not_ready)
        return Snapshot(Observation({}, np.zeros(1), task, 0.0), now_ns, now_ns)


class Rig:
    def __init__(self, rate_hz=1000.0):
        self.server, self.buffer = FakeServer(), FakeBuffer()
        self.results, self.holds, self.errors = [], [], []
        self.loop = InferenceLoop(
            self.server, self.buffer, now_ns=lambda: 0, task="a", rate_hz=rate_hz, max_age_s=1.0,
            inference_id=0,
            on_result=self.results.append, on_hold=self.holds.append, on_error=self.errors.append,
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


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_where_the_actions_are_not_finite(bad):
    actions = np.zeros((3, 2))
    assert first_not_finite(actions, ["a", "b"]) == ""
    actions[2, 1] = bad
    assert "'b' at step 2" in first_not_finite(actions, ["a", "b"])
