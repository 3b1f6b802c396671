"""The inference thread: once all cameras have something new, infer and hand over."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cls_vla_ros.engine import DeviceFailedError
from cls_vla_ros.inference import Handover, Inference, Statistics
from cls_vla_ros.robot.observation.observation_buffer import (
    NotReadyError,
    ObservationBuffer,
    Snapshot,
)
from cls_vla_ros.robot.stamps import NS

if TYPE_CHECKING:
    from cls_vla_ros.inference import PolicyServer

DELAYS = 10  # the longest of the last ones is taken for the next
USUAL_TIMEOUT_S = 60.0
POLL_S = 0.1  # how soon the thread sees that it shall stop, while no frames come


@dataclass(frozen=True)
class Result:
    """One inference with the observation it was made from.

    Attributes:
        inference_id: from 1; a gap is an inference that failed or that a reset discarded.
        snapshot: what it saw.
        observation_age_ms: age of the oldest source when the inference began, in ROS time.
        inference: what it made.
    """

    inference_id: int
    snapshot: Snapshot
    observation_age_ms: float
    inference: Inference


class InferenceLoop:
    """Runs inferences in a thread of its own, so that callbacks only store.

    `reset` and `stop` take the lock under which results are handed over: once they have returned,
    nothing of an inference that began before them is handed over any more, and they never wait for
    one to end (`stop` does, but only after that).
    """

    def __init__(
        self,
        server: PolicyServer,
        buffer: ObservationBuffer,
        *,
        now_ns: Callable[[], int],
        task: str,
        rate_hz: float,
        inference_id: int,
        chunk_dt_s: float | None,
        follows: Callable[[], bool],
        on_result: Callable[[Result], None],
        on_hold: Callable[[str], None],
        on_error: Callable[[Exception], None],
        on_device_failed: Callable[[DeviceFailedError], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; `start` starts.

        Args:
            server: the policy.
            buffer: the observations.
            now_ns: ROS time.
            task: the instruction.
            rate_hz: at most this many inferences per second.
            inference_id: the last one that was given; the next is one more.
            chunk_dt_s: time between two steps, if a chunk shall go on where the last one will be;
                else None.
            follows: whether the last chunk is being executed: one that was refused, or that a
                hold ended, is nothing to go on from.
            on_result: takes an inference of the present episode.
            on_hold: takes the reason why there is none.
            on_error: takes an exception of an inference; the loop goes on.
            on_device_failed: takes the one that ends the loop.
            clock: seconds, for how long an inference has been.
        """
        self.rate_hz = rate_hz
        self.discarded = 0
        self.paused = False
        self._chunk_dt_s, self._follows = chunk_dt_s, follows
        self._delays_s: deque[float] = deque(maxlen=DELAYS)  # from observation to result
        self._busy_since: float | None = None
        self._task = task
        self._server, self._buffer, self._now_ns = server, buffer, now_ns
        self._on_result, self._on_hold, self._on_error = on_result, on_hold, on_error
        self._on_device_failed, self._clock = on_device_failed, clock
        self._handover = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._gave_up = False  # waiting for it
        self.inference_id = inference_id

    @property
    def is_running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Start the thread, in a new episode."""
        self.begin()
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)
        self._thread.start()

    def begin(self) -> None:
        """A new episode, for who calls `infer` himself."""
        self.reset()
        self._stopping.clear()

    def hush(self) -> None:
        """Hand nothing over any more, without waiting for the inference under way."""
        with self._handover:
            self._stopping.set()

    def stop(self, timeout_s: float = USUAL_TIMEOUT_S) -> None:
        """Hand nothing over any more, and end the thread.

        Args:
            timeout_s: how long the inference under way may take to end. Who asks a second time
                does not wait again.

        Raises:
            TimeoutError: it does not end; whatever becomes of it, nobody hears of it.
        """
        self.hush()
        if self._thread is not None:
            timeout_s, self._gave_up = (0.0 if self._gave_up else timeout_s), True
            self._thread.join(timeout_s)
            if self._thread.is_alive():
                raise TimeoutError(f"the inference thread did not end within {timeout_s:g} s")
            self._thread, self._gave_up = None, False

    def reset(self) -> tuple[int, Statistics]:
        """Begin a new episode: forget history and observations.

        Returns:
            The number of the new episode, and the statistics of the one that ended.
        """
        with self._handover:
            self._buffer.clear()
            return self._server.session().reset()

    def set_task(self, task: str) -> tuple[int, Statistics] | None:
        """Change the instruction.

        Returns:
            As `reset`; None if the instruction is the same.
        """
        if task == self._task:
            return None
        self._task = task
        return self.reset()

    def pause(self, paused: bool) -> None:
        """Infer no more, or go on; nothing of an inference under way is handed over either."""
        with self._handover:
            self.paused = paused

    @property
    def busy_s(self) -> float:
        """How long the inference under way has been; 0 if there is none."""
        since = self._busy_since
        return 0.0 if since is None else self._clock() - since

    def _next_handover(self) -> Handover | None:
        if self._chunk_dt_s is None or not self._follows():
            return None
        return Handover(self._chunk_dt_s, max(self._delays_s, default=0.0))

    def _run(self) -> None:
        due = last_frames = time.monotonic()
        while not self._stopping.is_set():
            if not self._buffer.wait_for_new_frames(POLL_S):
                patience_s = self._buffer.limits.max_age_s
                if time.monotonic() - last_frames > patience_s and (
                    missing := self._buffer.missing()
                ):
                    self._tell(self._on_hold, missing)
                continue
            if self._stopping.wait(max(0.0, due - time.monotonic())):
                return
            last_frames = time.monotonic()
            due = max(due + 1 / self.rate_hz, last_frames)
            if not self.infer():
                return

    def infer(self) -> bool:
        """One inference, in this thread. Whatever comes of it, somebody is told.

        Returns:
            Whether there may be another.
        """
        self._busy_since = self._clock()
        try:
            self._infer_once()
        except (NotReadyError, ConnectionError) as reason:  # the latter of a server's link
            self._tell(self._on_hold, str(reason))
        except DeviceFailedError as error:
            self._tell(self._on_device_failed, error)
            return False
        except Exception as error:
            self._tell(self._on_error, error)
        finally:
            self._busy_since = None
        return True

    def _tell(self, whom: Callable, what: object) -> None:
        """Unless the loop was stopped meanwhile, and its owner may be another's by now."""
        with self._handover:
            if not self._stopping.is_set():
                whom(what)

    def _infer_once(self) -> None:
        with self._handover:  # observation, task and episode belong together
            episode, task = self._server.session().episode, self._task
        began_ns = self._now_ns()
        snapshot = self._buffer.snapshot(task, began_ns)
        if self.paused:
            raise NotReadyError("paused: call the service pause with data: false to go on")
        if not task.strip():
            raise NotReadyError("there is no task: set the parameter task, or publish on /task")
        self.inference_id += 1
        inference = self._server.infer(
            snapshot.observation, episode=episode, handover=self._next_handover()
        )
        age_ms = (began_ns - snapshot.oldest_source_ns) / 1e6
        self._delays_s.append((self._now_ns() - snapshot.newest_frame_ns) / NS)
        with self._handover:
            if self.paused or self._stopping.is_set() or episode != self._server.session().episode:
                self.discarded += 1
                return
            self._on_result(Result(self.inference_id, snapshot, age_ms, inference))
