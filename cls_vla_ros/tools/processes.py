"""Many calls in processes of their own, with progress, and nothing left running when it ends."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


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
    with _sigterm_interrupts(), _pool(jobs) as pool, Progress(*columns) as progress:
        bar = progress.add_task(doing, total=len(calls))
        for future in as_completed([pool.submit(_unless_over, work, *call) for call in calls]):
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


_over = False  # in a process of the pool: no further call is begun


def _begin_process() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)


def _end(*_) -> None:
    """End the call under way; the pool has handed the next one to this process already."""
    global _over
    _over = True
    raise KeyboardInterrupt


def _unless_over[Result](work: Callable[..., Result], *arguments) -> Result:
    if _over:
        raise KeyboardInterrupt
    return work(*arguments)


@contextlib.contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
