"""Many calls in processes of their own, with progress, and nothing left running when it ends."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from multiprocessing import get_context
from threading import Event

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

POLL_S = 0.2


def run_all[Result](
    work: Callable[..., Result],
    calls: list[tuple],
    *,
    jobs: int,
    doing: str,
    tell: Callable[[Result], str],
) -> Iterator[Result]:
    """Call something many times, and say how far it is.

    Args:
        work: importable from a module.
        calls: the arguments of each call.
        jobs: processes at a time.
        doing: what it is called.
        tell: a line from what a call returned.

    Yields:
        What the calls returned, as they end.

    Raises:
        KeyboardInterrupt: by SIGINT or SIGTERM. The calls under way were interrupted too.
        Exception: what a call raised, likewise.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with _told_of_signals() as interrupted, _pool(jobs) as pool, Progress(*columns) as progress:
        bar = progress.add_task(doing, total=len(calls))
        pending = {pool.submit(_until_over, work, *call) for call in calls}
        while pending:
            done, pending = wait(pending, POLL_S, return_when=FIRST_COMPLETED)
            # Of a signal to all processes a call may know before this one does.
            failed = any(future.exception() for future in done)
            if interrupted.wait(POLL_S if failed else 0.0):
                raise KeyboardInterrupt
            for future in done:
                result = future.result()
                progress.console.print(tell(result), highlight=False)
                progress.advance(bar)
                yield result


@contextlib.contextmanager
def _pool(jobs: int) -> Iterator[ProcessPoolExecutor]:
    # Not forked: MuJoCo's OpenGL and torch's threads do not outlive a fork.
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_begin_process)
    try:
        yield pool
    except BaseException:
        for process in list((pool._processes or {}).values()):
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


_at_work = False  # in a process of the pool: there is a call under way
_over = False  # likewise: it was interrupted


def _begin_process() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)


def _end(*_) -> None:
    """End the call under way, and then this process."""
    global _over
    if not _at_work:
        os._exit(1)  # there is nothing to tidy up
    if not _over:  # a second signal must not disturb what tidies up
        _over = True
        raise KeyboardInterrupt


def _until_over[Result](work: Callable[..., Result], *arguments) -> Result:
    global _at_work
    _at_work = True
    try:
        return work(*arguments)
    finally:
        _at_work = False
        if _over:
            os._exit(1)  # the pool has handed the next call to this process already


@contextlib.contextmanager
def _told_of_signals() -> Iterator[Event]:
    """An event that SIGINT and SIGTERM set.

    Not an exception: that could come in the middle of a lock of the pool's.
    """
    interrupted = Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # as for what a shell starts in its background
            signal.signal(number, lambda *_: interrupted.set())
    try:
        yield interrupted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
