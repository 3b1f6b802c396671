"""`python -m cls_vla_ros.tools.record_sim OUT`: record Meta-World's experts as labelled bags.

Needs the simulator: pip install -r requirements/sim.txt, and Debian's libosmesa6 or a GPU
(MUJOCO_GL=egl). Each bag OUT/TASK_SEED has its labels beside it, OUT/TASK_SEED.labels.json. What
is there already is kept, so that an interrupted run goes on where it was; what was interrupted
leaves nothing.
"""

import argparse
import contextlib
import re
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cls_vla_ros.tools.sim_recording import (
    HowToRecord,
    bag_name,
    is_recorded,
    record_episode,
)
from cls_vla_ros.tools.sim_tasks import TASKS


def parse_seeds(text: str) -> list[int]:
    """Seeds from "7" or "0:40" (40 not among them).

    Raises:
        argparse.ArgumentTypeError: neither of them, or none at all.
    """
    match = re.fullmatch(r"(\d+)(?::(\d+))?", text)
    if not match:
        raise argparse.ArgumentTypeError(f"seeds are 7 or 0:40, got {text!r}")
    first = int(match[1])
    seeds = list(range(first, int(match[2]) if match[2] else first + 1))
    if not seeds:
        raise argparse.ArgumentTypeError(f"{text} has no seeds: the first must be below the end")
    return seeds


def parse_args(args: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="record_sim", description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path, help="folder for the bags")
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--seeds", type=parse_seeds, nargs="+", default=[[0]], metavar="N|N:M")
    parser.add_argument("--frames", type=int, default=120, help="at most (default 120)")
    events = parser.add_mutually_exclusive_group()
    events.add_argument(
        "--events", action="store_const", const="random", help="random disturbances, by the seed"
    )
    events.add_argument(
        "--standard-events",
        action="store_const",
        const="standard",
        dest="events",
        help="always the same: object moved, occluder, dimmed light",
    )
    parser.add_argument(
        "--action-noise",
        type=float,
        default=0.0,
        metavar="SIGMA",
        help="on what is executed; what is recorded is the expert's own action (0.3 is a lot)",
    )
    parser.add_argument(
        "--random-start", action="store_true", help="begin with the arm in another place"
    )
    parser.add_argument(
        "--after-success",
        type=int,
        metavar="FRAMES",
        help="end so many frames after the task is done (default: never before --frames)",
    )
    parser.add_argument(
        "--only-successful",
        action="store_true",
        help="leave out the episodes in which the expert fails",
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes (default 1)")
    parsed = parser.parse_args(args)
    if parsed.jobs < 1:
        parser.error(f"--jobs must be at least 1, got {parsed.jobs}")
    try:
        parsed.how = HowToRecord(
            parsed.frames,
            parsed.events or "none",
            parsed.action_noise,
            parsed.random_start,
            parsed.after_success,
            parsed.only_successful,
        )
    except ValueError as error:
        parser.error(str(error))
    return parsed


def main() -> None:
    """Record what is not there yet; exit 1 with the reason if that is not possible."""
    args = parse_args()
    seeds = dict.fromkeys(seed for some in args.seeds for seed in some)
    try:
        import cls_vla_ros.tools.sim_arm  # noqa: F401  so that what is missing is said at once

        args.out.mkdir(parents=True, exist_ok=True)
        missing = [
            (args.out, task, seed, args.how)
            for seed in seeds  # the tasks by turns: what there is so far is of all of them
            for task in args.tasks
            if not is_recorded(args.out / bag_name(task, seed, args.how), args.how)
        ]
        there = len(seeds) * len(args.tasks) - len(missing)
        Console().print(f"{there} episodes are in {args.out}, {len(missing)} to record")
        failed = sum(
            labels is None or labels["success_frame"] is None
            for labels in run_all(record_episode, missing, args.jobs, "recording", told)
        )
    except (ModuleNotFoundError, OSError, RuntimeError, ValueError) as error:
        sys.exit(f"record_sim: {error}")
    except KeyboardInterrupt:
        sys.exit("record_sim: interrupted; the same command goes on from here")
    if failed:
        Console().print(f"the expert did not do the task in {failed} of {len(missing)} episodes")


def told(labels: dict | None) -> str:
    """One line on an episode."""
    if labels is None:
        return "left out: the expert failed"
    done = labels["success_frame"]
    return (
        f"{labels['task']} {labels['seed']}: {labels['frames']} frames, "
        f"{'not done' if done is None else f'done at frame {done}'}, "
        f"{len(labels['events'])} events"
    )


def run_all(
    work: Callable, calls: list[tuple], jobs: int, doing: str, tell: Callable[[object], str]
) -> Iterator:
    """Call something many times in processes of their own, with progress.

    Args:
        work: importable from a module.
        calls: the arguments of each call.
        jobs: processes at a time.
        doing: what it is called.
        tell: a line from what a call returned.

    Yields:
        What the calls returned, as they end.

    Raises:
        KeyboardInterrupt: by SIGINT and SIGTERM; the processes have ended then.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with (
        sigterm_is_sigint(),
        _pool(jobs) as pool,
        Progress(*columns) as progress,
    ):
        bar = progress.add_task(doing, total=len(calls))
        futures: list[Future] = [pool.submit(work, *call) for call in calls]
        for future in as_completed(futures):
            result = future.result()
            progress.console.print(tell(result), highlight=False)
            progress.advance(bar)
            yield result


@contextlib.contextmanager
def _pool(jobs: int) -> Iterator[ProcessPoolExecutor]:
    pool = ProcessPoolExecutor(
        jobs,
        mp_context=get_context("spawn"),
        initializer=signal.signal,
        initargs=(signal.SIGTERM, signal.default_int_handler),
    )
    try:
        yield pool
    except BaseException:
        for process in list((pool._processes or {}).values()):
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def sigterm_is_sigint() -> Iterator[None]:
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    main()
