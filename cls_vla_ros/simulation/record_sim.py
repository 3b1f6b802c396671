"""`record_sim OUT`: record Meta-World's experts as labelled bags.

Needs the simulator: pip install -r requirements/sim.txt, and Debian's libosmesa6 or a GPU
(MUJOCO_GL=egl). Each bag OUT/TASK_SEED has its labels beside it, OUT/TASK_SEED.labels.json. What
is there already is kept, so that an interrupted run goes on where it was; what was interrupted
leaves nothing.
"""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from cls_vla_ros.simulation.processes import run_all
from cls_vla_ros.simulation.recording import HowToRecord, bag_name, is_recorded, record_episode
from cls_vla_ros.simulation.seeds import parse_seeds
from cls_vla_ros.simulation.tasks import SHADOW_PIXELS, TASKS, TRAINED


def parse_args(args: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="record_sim", description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path, help="folder for the bags")
    parser.add_argument(
        "--tasks",
        nargs="+",
        choices=list(TASKS),
        default=list(TRAINED),
        help="default: those that the demo's policy was trained on",
    )
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
    parser.add_argument(
        "--shadow-pixels",
        type=int,
        default=SHADOW_PIXELS,
        help=f"side of the shadow map (default {SHADOW_PIXELS}; 1024 renders faster)",
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
            parsed.shadow_pixels,
        )
    except ValueError as error:
        parser.error(str(error))
    return parsed


def main() -> None:
    """Record what is not there yet; exit 1 with the reason if that is not possible."""
    args = parse_args()
    seeds = dict.fromkeys(seed for some in args.seeds for seed in some)
    try:
        import cls_vla_ros.simulation.arm  # noqa: F401  so that what is missing is said at once

        args.out.mkdir(parents=True, exist_ok=True)
        missing = [
            (args.out, task, seed, args.how)
            for seed in seeds  # the tasks by turns: what there is so far is of all of them
            for task in args.tasks
            if not is_recorded(args.out / bag_name(task, seed, args.how), args.how)
        ]
        there = len(seeds) * len(args.tasks) - len(missing)
        Console().print(f"{there} episodes are in {args.out}, {len(missing)} to record")
        episodes = run_all(record_episode, missing, jobs=args.jobs, doing="recording", tell=told)
        failed = sum(labels is None or labels["success_frame"] is None for labels in episodes)
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


if __name__ == "__main__":
    main()
