"""The faults: how each begins and ends, and what must follow."""

import copy
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from faults.rig import Rig, tame
from node.conftest import wait_until
from std_msgs.msg import String

from cls_vla_ros.node.output.stamps import to_time
from cls_vla_ros.robot.stamps import NS, to_ns

NONE, GO_ON, EITHER = "no action", "actions go on", "actions may come or not"
NEW_EPISODE = "a new episode, and nothing of the old one"
CONFIGURE = "no action until it is configured and activated again"


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        name: in words, as in the table.
        inject: a context: the fault is there inside it.
        said: regular expressions, all of which /diagnostics must match meanwhile: the message, or
            a value that has changed since the fault began.
        actions: whether any may come once that is said.
        new_episode: whether the node must have begun one by itself.
        sim_time: whether it needs a /clock.
        modes: of execution.
        follows: for the table, what must follow; empty where `actions` says it.
    """

    name: str
    inject: Callable[[Rig], AbstractContextManager]
    said: tuple[str, ...]
    actions: str = NONE
    new_episode: bool = False
    sim_time: bool = False
    modes: tuple[str, ...] = ("chunk", "stream")
    follows: str = ""


def changed(source: str, change: Callable) -> Callable[[Rig], AbstractContextManager]:
    """A fault of one sensor: its messages are changed."""

    @contextmanager
    def inject(rig: Rig) -> Iterator[None]:
        rig.sensors.change[source] = change
        yield
        del rig.sensors.change[source]

    return inject


def with_fields(**fields) -> Callable:
    """Fields of a message, each from a function of the message."""

    def change(message):
        for name, value in {n: make(message) for n, make in fields.items()}.items():
            setattr(message, name, value)
        return message

    return change


def older(message, seconds: float):
    """The same, stamped earlier."""
    message = copy.deepcopy(message)
    message.header.stamp = to_time(to_ns(message.header.stamp) - round(seconds * NS))
    return message


def other_size(message):
    pixels = np.random.default_rng().integers(0, 256, (30, 90, 3), dtype=np.uint8)
    message.height, message.width, message.step = 30, 90, 270
    message.data = pixels.tobytes()
    return message


def without(name: str) -> Callable:
    def change(message):
        at = message.name.index(name)
        message.name = [n for n in message.name if n != name]
        message.position = [p for i, p in enumerate(message.position) if i != at]
        return message

    return change


def denoise_does(do: Callable) -> Callable[[Rig], AbstractContextManager]:
    """`do` is called with the engine's denoise and its arguments."""

    @contextmanager
    def inject(rig: Rig) -> Iterator[None]:
        engine = rig.server.engine
        denoise = engine.denoise
        engine.denoise = lambda *args, **kwargs: do(denoise, *args, **kwargs)
        yield
        del engine.denoise

    return inject


def late_by(seconds: float) -> Callable:
    def do(denoise, *args, **kwargs):
        time.sleep(seconds)
        return denoise(*args, **kwargs)

    return do


def fail(denoise, *args, **kwargs):
    raise ZeroDivisionError("division by zero")


def policy_makes(make: Callable[[np.ndarray], np.ndarray]):
    @contextmanager
    def inject(rig: Rig) -> Iterator[None]:
        before, rig.policy = rig.policy, make
        yield
        rig.policy = before

    return inject


def with_nan(state: np.ndarray) -> np.ndarray:
    actions = tame(state)
    actions[7, 1] = np.nan
    return actions


def device_raises(error: Exception) -> Callable[[Rig], AbstractContextManager]:
    @contextmanager
    def inject(rig: Rig) -> Iterator[None]:
        def encode_prefix(*_):
            raise error

        rig.server.engine._model.encode_prefix = encode_prefix
        yield
        wait_until(lambda: rig.robot.node._loop is None, "unconfigured")
        rig.start()

    return inject


@contextmanager
def task_changes(rig: Rig) -> Iterator[None]:
    """While an inference is under way; each goes on for a while after."""
    began, slow = threading.Event(), late_by(0.2)

    def do(denoise, *args, **kwargs):
        began.set()
        return slow(denoise, *args, **kwargs)

    publisher = rig.peer.create_publisher(String, "task", 10)
    wait_until(publisher.get_subscription_count, "subscription")
    with denoise_does(do)(rig):
        assert began.wait(5)
        episode = rig.episode
        publisher.publish(String(data=f"push button {episode}"))
        wait_until(lambda: rig.episode > episode, "episode")
        rig.recorder.episode_began(episode + 1)
        yield
    rig.peer.destroy_publisher(publisher)


@contextmanager
def reset_storm(rig: Rig) -> Iterator[None]:
    """100 a second."""
    stopping, answers = threading.Event(), []

    def run():
        while not stopping.wait(0.01):
            answers.append(rig.reset())

    thread = threading.Thread(target=run)
    thread.start()
    time.sleep(0.5)
    yield
    stopping.set()
    thread.join()
    wait_until(lambda: all(answer.done() for answer in answers), "all answers")
    assert len(answers) > 10  # of a hundred a second; fewer where cores are busy


def clock_jumps(seconds: float, *, sensors_lag: bool) -> Callable:
    @contextmanager
    def inject(rig: Rig) -> Iterator[None]:
        rig.jump(seconds, sensors_too=not sensors_lag)
        yield
        rig.jump(0.0, sensors_too=True)

    return inject


FRONT, WRIST = "front/image_raw", "wrist/compressed"
FAULTS = [
    Fault(
        "camera stops", changed("front", lambda m: None), (f"holding: no new frame on {FRONT}",)
    ),
    Fault(
        "camera frozen",
        changed("front", with_fields(data=lambda m: b"\x50" * len(m.data))),
        (rf"holding: {FRONT} is frozen: the same bytes for [\d.]+ s",),
    ),
    Fault(
        "camera black",
        changed("front", with_fields(data=lambda m: bytes(len(m.data)))),
        (f"holding: {FRONT} is black",),
    ),
    Fault(
        "camera late",
        changed("front", lambda m: older(m, 3.0)),
        (rf"last error: {FRONT}: it is out of order", f"holding: no new frame on {FRONT}"),
    ),
    Fault(
        "camera out of order",
        changed("front", lambda m: [m, older(m, 0.1)]),
        (f"last error: {FRONT}: it is out of order",),
        GO_ON,
    ),
    Fault(
        "camera sends another size mid-run",
        changed("front", other_size),
        (),
        GO_ON,
    ),
    Fault(
        "camera's size does not fit its data",
        changed("front", with_fields(height=lambda m: 2 * m.height)),
        (rf"last error: {FRONT}: the data has \d+ bytes", f"holding: no new frame on {FRONT}"),
    ),
    Fault(
        "camera sends a wrong encoding",
        changed("front", with_fields(encoding=lambda m: "octarine")),
        (rf"holding: {FRONT} is [\d.]+ s old; .*'octarine' cannot be converted",),
    ),
    Fault(
        "JPEG truncated",
        changed("wrist", with_fields(data=lambda m: m.data[: len(m.data) // 2])),
        (rf"last error: {WRIST}: the JPEG of \d+ bytes is cut off", f"no new frame on {WRIST}"),
    ),
    Fault(
        "joint state stops",
        changed("joints", lambda m: None),
        (r"holding: joint_states is [\d.]+ s old",),
    ),
    Fault(
        "joints reordered",
        changed(
            "joints",
            with_fields(name=lambda m: m.name[::-1], position=lambda m: m.position[::-1]),
        ),
        (),
        GO_ON,
    ),
    Fault(
        "joint added",
        changed(
            "joints",
            with_fields(name=lambda m: ["new", *m.name], position=lambda m: [9.0, *m.position]),
        ),
        (),
        GO_ON,
    ),
    Fault(
        "joint lost",
        changed("joints", without("elbow")),
        (r"lacks the joints \['elbow'\]", r"holding: joint_states is [\d.]+ s old"),
    ),
    Fault(
        "joint state has NaN",
        changed("joints", with_fields(position=lambda m: [0.4, 7.0, 0.9, float("nan")])),
        (r"NaN or infinity for \['elbow'\]", r"holding: joint_states is [\d.]+ s old"),
    ),
    Fault(
        "clock jumps 100 s forth, before the sensors do",
        clock_jumps(100.0, sensors_lag=True),
        (r"holding: .* is \d+\.\d+ s old.*Two clocks differ",),
        sim_time=True,
    ),
    Fault(
        "clock jumps 1.5 s forth, in the middle of a chunk",
        clock_jumps(1.5, sensors_lag=False),
        (),
        EITHER,
        sim_time=True,
        follows="no command leaps",
        modes=("stream",),
    ),
    Fault(
        "clock jumps 20 s back",
        clock_jumps(-20.0, sensors_lag=False),
        (r"last reset: episode \d+ begins: the time jumped back by [\d.]+ s",),
        EITHER,
        new_episode=True,
        follows=NEW_EPISODE,
        sim_time=True,
    ),
    Fault(
        "computer's clock is set back by 20 s",
        clock_jumps(-20.0, sensors_lag=False),
        (r"last reset: episode \d+ begins: the time jumped back by [\d.]+ s",),
        EITHER,
        new_episode=True,
        follows=NEW_EPISODE,
    ),
    Fault(
        "task changes during an inference",
        task_changes,
        (r"last reset: episode \d+ begins: the task is now 'push button \d+'",),
        EITHER,
        new_episode=True,
        follows=NEW_EPISODE,
    ),
    Fault(
        "reset storm, 100 a second",
        reset_storm,
        (r"last reset: episode \d+ begins: the reset service was called",),
        EITHER,
        new_episode=True,
        follows=NEW_EPISODE,
    ),
    Fault(
        "inference slower than the period",
        denoise_does(late_by(0.25)),
        (r"latency \[ms\]: [23]\d\d",),
        GO_ON,
        modes=("chunk",),
    ),
    Fault(
        "inference hangs",
        denoise_does(late_by(1.5)),
        (r"the inference has been under way for [\d.]+ s: nothing is commanded",),
    ),
    Fault(
        "inference raises",
        denoise_does(fail),
        ("the inference failed: ZeroDivisionError: division by zero",),
    ),
    Fault(
        "policy makes NaN",
        policy_makes(with_nan),
        ("holding: the chunk is refused: 'elbow' at step 7: nan is not finite",),
    ),
    Fault(
        "policy makes a leap",
        policy_makes(lambda state: tame(state) + 0.5),
        ("holding: the chunk is refused: .*; its first step may be 0.2",),
        modes=("stream",),
    ),
    Fault(
        "GPU is out of memory",
        device_raises(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")),
        (r"cpu is out of memory: .*configure again",),
        follows=CONFIGURE,
        modes=("stream",),
    ),
    Fault(
        "GPU fails",
        device_raises(torch.AcceleratorError("CUDA error: unspecified launch failure")),
        (r"cpu failed and answers no more .*Configure again",),
        follows=CONFIGURE,
        modes=("chunk",),
    ),
]
