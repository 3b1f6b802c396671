"""Chunks and messages that are refused, and a pause."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import numpy as np
from faults.cases import Fault, changed, policy_makes, with_fields
from faults.rig import CHUNK_SIZE, Rig, tame
from node.conftest import wait_until
from std_srvs.srv import SetBool

FRONT = "front/image_raw"
STOPPED = "what is executed ends within a period, and nothing more comes"


def leaps_within(state: np.ndarray) -> np.ndarray:
    actions = tame(state)
    actions[20:] += 0.5
    return actions


def goes_beyond(state: np.ndarray) -> np.ndarray:
    """By small steps."""
    return state + np.linspace(0.0, 2.5, CHUNK_SIZE)[:, None]


def with_infinity(state: np.ndarray) -> np.ndarray:
    actions = tame(state)
    actions[-1, 0] = np.inf
    return actions


def called(kind, name: str, begin: dict, end: tuple) -> Callable[[Rig], AbstractContextManager]:
    """A service is called, and at the end another (its type, its name, what it is asked)."""

    @contextmanager
    def inject(rig: Rig) -> Iterator[None]:
        call(rig, kind, name, begin)
        yield
        call(rig, *end)

    return inject


def call(rig: Rig, kind, name: str, request: dict) -> None:
    client = rig.peer.create_client(kind, name)
    assert client.wait_for_service(10)
    future = client.call_async(kind.Request(**request))
    wait_until(future.done, name)
    assert future.result().success, future.result().message
    rig.peer.destroy_client(client)


@contextmanager
def no_task(rig: Rig) -> Iterator[None]:
    task = rig.robot.node.get_parameter("task").value
    assert rig.robot.set("task", " ").successful
    yield
    assert rig.robot.set("task", task).successful


@contextmanager
def second_publisher(rig: Rig) -> Iterator[None]:
    other = rig.peer.create_publisher(type(rig.peer.joint_state()), "joint_states", 10)
    yield
    rig.peer.destroy_publisher(other)


GO_ON_AGAIN = (SetBool, "pause", {"data": False})
REFUSED_FAULTS = [
    Fault(
        "policy makes a leap within a chunk",
        policy_makes(leaps_within),
        (r"holding: the chunk is refused: .* from the step before it; limits.step allows 0.3",),
    ),
    Fault(
        "somebody pauses it",
        called(SetBool, "pause", {"data": True}, GO_ON_AGAIN),
        ("holding: paused",),
        follows=STOPPED,
    ),
    Fault(
        "joints say an impossible position",
        changed("joints", with_fields(position=lambda m: [0.4, 7.0, 1e12, -0.6])),
        ("no joint is beyond", r"holding: joint_states is [\d.]+ s old"),
    ),
    Fault(
        "joints are named twice",
        changed("joints", with_fields(name=lambda m: ["gripper", "gripper", *m.name[2:]])),
        ("names .* more than once", r"holding: joint_states is [\d.]+ s old"),
    ),
    Fault(
        "joint state is empty",
        changed("joints", with_fields(name=lambda m: [], position=lambda m: [])),
        ("the JointState is empty", r"holding: joint_states is [\d.]+ s old"),
    ),
    Fault(
        "joint state's arrays do not fit",
        changed("joints", with_fields(velocity=lambda m: [0.0])),
        (r"4 names but 1 values of velocity", r"holding: joint_states is [\d.]+ s old"),
    ),
]
