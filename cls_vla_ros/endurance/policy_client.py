"""The policy node's other side: drives its lifecycle, calls reset, hears what it publishes."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.executors import ExternalShutdownException, ShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from std_srvs.srv import Trigger

from cls_vla_ros.msg import ActionChunk, SceneChange
from cls_vla_ros.node.connections import OUTPUT_QOS
from cls_vla_ros.robot.settings import NODE_NAME

PROBE_S = 1.0
POLL_S = 0.1
TRANSITIONS = {
    "configure": Transition.TRANSITION_CONFIGURE,
    "activate": Transition.TRANSITION_ACTIVATE,
    "deactivate": Transition.TRANSITION_DEACTIVATE,
    "cleanup": Transition.TRANSITION_CLEANUP,
}


class PolicyClient:
    """A node of its own, spun in a thread; use it as a context manager.

    Attributes:
        diagnostics: what the policy node last said of itself; empty before that.
    """

    def __init__(
        self,
        on_scene_change: Callable[[SceneChange], None],
        on_action_chunk: Callable[[ActionChunk], None],
        *,
        name: str = "cls_vla_client",
        is_alive: Callable[[], bool] = lambda: True,
    ) -> None:
        """Connect.

        Args:
            on_scene_change: called in the client's thread.
            on_action_chunk: likewise.
            name: of the client's node.
            is_alive: whether the policy node's process still runs; without it, waiting is in vain.
        """
        self._is_alive = is_alive
        self.diagnostics: dict[str, str] = {}
        self.node = Node(name)
        self.node.create_subscription(SceneChange, "scene_change", on_scene_change, OUTPUT_QOS)
        self.node.create_subscription(ActionChunk, "action_chunk", on_action_chunk, OUTPUT_QOS)
        self.node.create_subscription(
            DiagnosticArray, "/diagnostics", self._on_diagnostics, OUTPUT_QOS
        )
        self._change_state = self.node.create_client(ChangeState, f"{NODE_NAME}/change_state")
        self._get_state = self.node.create_client(GetState, f"{NODE_NAME}/get_state")
        self._reset = self.node.create_client(Trigger, "reset")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, name="client", daemon=True)
        self._thread.start()

    def __enter__(self) -> "PolicyClient":
        return self

    def __exit__(self, *exception) -> None:
        self._executor.shutdown()
        self._thread.join()
        self.node.destroy_node()

    def transition(self, name: str, timeout_s: float) -> None:
        """Bring the policy node through a lifecycle transition.

        Args:
            name: configure, activate, deactivate or cleanup.
            timeout_s: how long it may take, its start included.

        Raises:
            RuntimeError: it failed; the node's log says why.
            TimeoutError: it did not answer.
        """
        request = ChangeState.Request(transition=Transition(id=TRANSITIONS[name]))
        if not self._call(self._change_state, request, timeout_s).success:
            raise RuntimeError(f"{name} failed: the reason is in the node's log")

    def wait_until_active(self, stop: threading.Event) -> None:
        """Wait, however long, until the policy node says that it is active.

        Asked, not heard: a node that activates itself may have said it before anybody listened.

        Args:
            stop: ends the waiting when set.
        """
        while not stop.wait(POLL_S):
            if not self._get_state.service_is_ready():
                continue
            answer = self._answer(self._get_state, GetState.Request(), PROBE_S)
            if answer is not None and answer.current_state.id == State.PRIMARY_STATE_ACTIVE:
                return

    def reset(self, timeout_s: float) -> str:
        """Call the reset service.

        Returns:
            Its message.

        Raises:
            TimeoutError: it did not answer.
        """
        return self._call(self._reset, Trigger.Request(), timeout_s).message

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if NODE_NAME in status.name:
                self.diagnostics = {value.key: value.value for value in status.values}

    def _call(self, client, request, timeout_s: float):
        """Call a service once the node is known to answer.

        A service may be seen before its node has seen the client, and then the answer is lost: so
        a question that changes nothing is asked until it is answered.
        """
        deadline = time.monotonic() + timeout_s
        while not (self._get_state.service_is_ready() and client.service_is_ready()):
            self._check(deadline, f"no service {client.srv_name}")
            time.sleep(0.05)
        while self._answer(self._get_state, GetState.Request(), PROBE_S) is None:
            self._check(deadline, f"no answer from {self._get_state.srv_name}")
        future = client.call_async(request)
        while (answer := self._wait(future, PROBE_S)) is None:
            self._check(deadline, f"no answer from {client.srv_name}")
        return answer

    def _answer(self, client, request, timeout_s: float):
        return self._wait(client.call_async(request), timeout_s)

    @staticmethod
    def _wait(future, timeout_s: float):
        """The future's result; None if it is not there in time."""
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        return future.result() if done.wait(timeout_s) else None

    def _check(self, deadline: float, what: str) -> None:
        if not self._is_alive():
            raise RuntimeError("the policy node ended by itself")
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} in time: does the policy node run?")

    def _spin(self) -> None:
        with suppress(ExternalShutdownException, ShutdownException):
            self._executor.spin()
