"""Further faults: what people do while the arm moves, and what sensors and policies say."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from faults.cases import (
    GO_ON,
    Fault,
    changed,
    older,
    policy_makes,
    tame,
    with_fields,
)
from faults.rig import Rig
from node.conftest import wait_until
from rclpy.lifecycle import TransitionCallbackReturn
from sensor_msgs.msg import Joy
from std_srvs.srv import SetBool, Trigger

NO_COMMAND = "chunks go on, no command"
FRONT = "front/image_raw"


def ask(rig: Rig, kind, name: str, **request) -> None:
    """Call a service, and hear that it did it."""
    client = rig.peer.create_client(kind, name)
    assert client.wait_for_service(10)
    future = client.call_async(kind.Request(**request))
    wait_until(future.done, name)
    assert future.result().success, future.result().message
    rig.peer.destroy_client(client)


def asked(begin: tuple, end: tuple):
    """A service begins it, another call ends it."""

    @contextmanager
    def inject(rig: Rig) -> Iterator[None]:
        kind, name, *data = begin
        ask(rig, kind, name, **({"data": data[0]} if data else {}))
        yield
        kind, name, *data = end
        ask(rig, kind, name, **({"data": data[0]} if data else {}))

    return inject


@contextmanager
def joystick(rig: Rig) -> Iterator[None]:
    """Its messages come, as the rig's own sensors' do."""
    publisher = rig.peer.create_publisher(Joy, "joy", 10)
    timer = rig.peer.create_timer(0.02, lambda: publisher.publish(Joy()))
    yield
    rig.peer.destroy_timer(timer)
    rig.peer.destroy_publisher(publisher)


@contextmanager
def no_task(rig: Rig) -> Iterator[None]:
    rig.robot.set("task", "")
    yield
    rig.robot.set("task", "push the button")


@contextmanager
def deactivated(rig: Rig) -> Iterator[None]:
    assert rig.robot.node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
    yield
    assert rig.robot.node.trigger_activate() == TransitionCallbackReturn.SUCCESS


@contextmanager
def second_driver(rig: Rig) -> Iterator[None]:
    """It says nothing, and may at any time."""
    publisher = rig.peer.create_publisher(rig.peer.joints.msg_type, "joint_states", 10)
    yield
    rig.peer.destroy_publisher(publisher)


def with_infinity(state: np.ndarray) -> np.ndarray:
    actions = tame(state)
    actions[3, 0] = np.inf
    return actions


def beyond(state: np.ndarray) -> np.ndarray:
    """From where the arm is to where it may not go."""
    return state + np.linspace(0.0, 3.0, 50)[:, None]


MORE_FAULTS = [
    Fault(
        "somebody calls /stop",
        asked((Trigger, "stop"), (SetBool, "pause", False)),
        ("holding: paused",),
    ),
    Fault(
        "somebody disarms it",
        asked((SetBool, "arm", False), (SetBool, "arm", True)),
        ("commands: not armed: ros2 service call /arm",),
        NO_COMMAND,
    ),
    Fault(
        "a teleoperator takes the arm by the service",
        asked((SetBool, "takeover", True), (SetBool, "takeover", False)),
        ("commands: taken over by the service takeover",),
        NO_COMMAND,
    ),
    Fault(
        "a teleoperator takes the arm by a joystick",
        joystick,
        ("commands: taken over by the topic joy",),
        NO_COMMAND,
    ),
    Fault(
        "the task becomes empty",
        no_task,
        (r"last reset: episode \d+ begins: the task is now ''", "holding: there is no task"),
        new_episode=True,
    ),
    Fault(
        "it is deactivated, and activated again",
        deactivated,
        ("holding: inactive",),
        new_episode=True,
    ),
    Fault(
        "a second driver publishes on joint_states",
        second_driver,
        ("holding: .*joint_states",),
    ),
    Fault(
        "camera sends depth",
        changed("front", with_fields(encoding=lambda m: "16UC1", step=lambda m: 2 * m.width)),
        (rf"holding: {FRONT} is [\d.]+ s old",),
    ),
    Fault(
        "camera stamped in the future",
        changed("front", lambda m: older(m, -3.0)),
        (f"last error: {FRONT}: it is stamped", f"holding: no new frame on {FRONT}"),
    ),
    Fault(
        "camera 0.25 s behind the joints",
        changed("front", lambda m: older(m, 0.25)),
        ("holding: .*apart",),
    ),
    Fault(
        "joints stamped with zero",
        changed("joints", lambda m: older(m, m.header.stamp.sec + m.header.stamp.nanosec / 1e9)),
        (),
        GO_ON,
    ),
    Fault(
        "policy makes infinity",
        policy_makes(with_infinity),
        ("holding: the chunk is refused: 'shoulder' at step 3: inf is not finite",),
    ),
    Fault(
        "policy leaves the limits",
        policy_makes(beyond),
        (r"holding: the chunk is refused: '\w+' at step \d+",),
    ),
]
