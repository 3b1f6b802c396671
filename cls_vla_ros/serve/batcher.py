"""Requests that arrive together run together: a bounded wait, and never past a deadline."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from cls_vla_ros.serve.request import Request


class DeadlineError(Exception):
    """The answer would have come too late, so it was not made."""


@dataclass(eq=False)
class Work:
    """A request on its way.

    Attributes:
        session: whose.
        request: what.
        owner: the connection that it came by.
        arrived_s: monotonic, seconds.
        answer: what came of it, or why nothing did.
    """

    session: str
    request: Request
    owner: object
    arrived_s: float
    answer: asyncio.Future = field(
        default_factory=lambda: asyncio.get_event_loop().create_future()
    )

    @property
    def deadline_s(self) -> float:
        return self.arrived_s + self.request.deadline_s


class Batcher:
    """Of one replica; all but the runs themselves in its event loop."""

    def __init__(
        self,
        run: Callable[[list[Work]], list[dict | Exception]],
        *,
        max_batch: int,
        wait_s: float,
        expected: Callable[[], int],
    ) -> None:
        """Begin to take requests.

        Args:
            run: answers a batch of different sessions; in a thread of its own, one at a time.
            max_batch: requests in a batch.
            wait_s: how long the first one waits for others.
            expected: how many may come: nobody waits where nobody is missing.
        """
        self._run, self._max_batch, self._wait_s = run, max_batch, wait_s
        self._expected = expected
        self._waiting: deque[Work] = deque()
        self._more = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="inference")
        self._task = asyncio.create_task(self._go_on())

    @property
    def queue_length(self) -> int:
        return len(self._waiting)

    async def submit(self, work: Work) -> dict:
        """The answer.

        Raises:
            DeadlineError: its time had passed before its turn came.
            Exception: the inference's.
        """
        self._waiting.append(work)
        self._more.set()
        return await work.answer

    async def _go_on(self) -> None:
        while True:
            await self._next_arrival(None)
            await self._wait_for_others()
            if batch := self._take():
                loop = asyncio.get_running_loop()
                try:
                    answers = await loop.run_in_executor(self._thread, self._run, batch)
                except Exception as error:
                    answers = [error] * len(batch)
                for work, answer in zip(batch, answers, strict=True):
                    _give(work, answer)

    async def _wait_for_others(self) -> None:
        until_s = self._waiting[0].arrived_s + self._wait_s
        enough = min(self._max_batch, self._expected())
        while len(self._waiting) < enough:
            until_s = min(until_s, *(work.deadline_s for work in self._waiting))
            if (left_s := until_s - time.monotonic()) <= 0:
                return
            self._more.clear()
            await self._next_arrival(left_s)

    async def _next_arrival(self, timeout_s: float | None) -> None:
        if timeout_s is None and self._waiting:
            return
        if timeout_s is None:
            self._more.clear()
        try:
            async with asyncio.timeout(timeout_s):
                await self._more.wait()
        except TimeoutError:
            pass

    def _take(self) -> list[Work]:
        """The next batch: of each session its first request, and none that is too late."""
        batch: dict[str, Work] = {}
        later: deque[Work] = deque()
        now_s = time.monotonic()
        while self._waiting and len(batch) < self._max_batch:
            work = self._waiting.popleft()
            if now_s >= work.deadline_s:
                late_ms = (now_s - work.deadline_s) * 1e3
                _give(work, DeadlineError(f"its deadline passed {late_ms:.1f} ms before its turn"))
            elif work.session in batch:
                later.append(work)
            else:
                batch[work.session] = work
        self._waiting.extendleft(reversed(later))
        return list(batch.values())


def _give(work: Work, answer: dict | Exception) -> None:
    if work.answer.done():  # its connection is gone
        return
    if isinstance(answer, Exception):
        work.answer.set_exception(answer)
    else:
        work.answer.set_result(answer)
