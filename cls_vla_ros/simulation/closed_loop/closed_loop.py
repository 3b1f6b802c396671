"""`closed_loop POLICY`: a policy does Meta-World's tasks.

Each episode runs by several rules for reusing the prefix, with the same seeds and the same noise:

- full: every inference computes its prefix
- both: as the node, with config/demo.yaml and the checkpoint's thresholds and limits: gate, glance
  (the frame guard without one), motion budget, age and number
- gated: the same with the frame guard in the glance's place
- glance: the glance without the gate
- motion: the motion budget, age and number alone
- oracle: these, and at once when the simulator says that the scene changed: what a
  detector that never errs and never sleeps would reach
- periodic: every so many inferences, however the scene is, beginning at a random phase: as much
  reuse as each of the rules of --match had, in each kind of episode
- timer_guard: the same, and the frame guard
- blind: one prefix for the whole episode
- expert: Meta-World's own policy instead, which knows where the object is: how often the task can
  be done at all

undisturbed, after the object jumped to another place, and while something is before the camera;
with one or several numbers of denoising steps. The policy waits for nothing: an inference takes no
simulated time. Needs the simulator: pip install -r requirements/sim.txt, and Debian's libosmesa6
or a GPU (MUJOCO_GL=egl). OUT keeps each episode; the same command goes on where it was
interrupted.
"""

import argparse
import hashlib
import json
import sys
from collections import Counter
from dataclasses import asdict, fields
from pathlib import Path

from huggingface_hub.errors import HfHubHTTPError
from rich.console import Console

from cls_vla_ros.simulation.closed_loop.episode import DISTURBED, Run, Setup, run_episode
from cls_vla_ros.simulation.closed_loop.picture import draw
from cls_vla_ros.simulation.closed_loop.report import (
    full_share_of,
    make_summary,
    make_table,
    name_of,
)
from cls_vla_ros.simulation.closed_loop.rules import BOTH, EXPERT, MATCHED, RULES, TIMERS
from cls_vla_ros.simulation.processes import run_all
from cls_vla_ros.simulation.seeds import parse_seeds
from cls_vla_ros.simulation.tasks import TASKS, TRAINED


def parse_args(args: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="closed_loop", description=__doc__.split("\n")[0])
    parser.add_argument("policy", help="checkpoint's directory or hub id")
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument(
        "--tasks",
        nargs="+",
        choices=list(TASKS),
        default=list(TRAINED),
        help="default: those that the demo's policy was trained on",
    )
    parser.add_argument(
        "--seeds", type=parse_seeds, nargs="+", default=[list(range(900, 910))], metavar="N|N:M"
    )
    parser.add_argument(
        "--rules",
        nargs="+",
        choices=RULES,
        default=["expert", "full", "both", "periodic", "blind"],
        help="default: expert full both periodic blind",
    )
    parser.add_argument(
        "--match",
        nargs="+",
        choices=MATCHED,
        default=[BOTH],
        help="rules that a timer is as frequent as, one timer for each (default both)",
    )
    parser.add_argument("--disturbances", nargs="+", choices=DISTURBED, default=list(DISTURBED))
    parser.add_argument("--max-frames", type=int, default=Setup.max_frames, help="then it failed")
    parser.add_argument(
        "--execute",
        type=int,
        default=Setup.execute,
        help="frames (37.5 ms each) of a chunk that are executed before the next inference",
    )
    parser.add_argument(
        "--num-steps",
        type=int,
        nargs="+",
        default=[0],
        metavar="N",
        help="denoising steps, one or several numbers; 0: checkpoint's",
    )
    parser.add_argument("--noise-seed", type=int, default=0, help="of the denoising noise")
    parser.add_argument(
        "--allow-untrained", action="store_true", help="an untrained CLS head opens the gate too"
    )
    parser.add_argument(
        "--shadow-pixels", type=int, default=Setup.shadow_pixels, help="1024 renders faster"
    )
    parser.add_argument(
        "--guard-threshold", type=float, default=Setup.guard_threshold, help="of the frame guard"
    )
    for name, kind, what in (
        ("max-age", float, "how old a prefix may be, in seconds"),
        ("max-reuses", int, "how often in a row one may be reused"),
        ("max-motion", float, "how far the arm may have moved since"),
        ("glance-threshold", float, "score above which the glance refuses"),
    ):
        parser.add_argument(f"--{name}", type=kind, help=f"{what}; default: the checkpoint's")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default 1)")
    parsed = parser.parse_args(args)
    for name in ("max_frames", "execute", "shadow_pixels", "jobs"):
        if getattr(parsed, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1")
    if min(parsed.num_steps) < 0:
        parser.error("--num-steps must be 0 or more")
    missing = [rule for rule in parsed.match if rule not in parsed.rules]
    if missing and set(TIMERS) & set(parsed.rules):
        parser.error(f"a timer reuses as often as {', '.join(missing)} (--match): give both")
    return parsed


def main() -> None:
    """Run what is missing, print a table, write results.json and results.png."""
    args = parse_args()
    setup = Setup(
        args.policy,
        args.max_frames,
        args.execute,
        args.noise_seed,
        args.allow_untrained,
        args.shadow_pixels,
        args.guard_threshold,
        args.max_age,
        args.max_reuses,
        args.max_motion,
        args.glance_threshold,
    )
    console = Console()
    try:
        import cls_vla_ros.simulation.arm  # noqa: F401  so that what is missing is said at once

        kept = Kept(args.out, setup)
        runs = plan(args)
        go(setup, runs, kept, args.jobs)
        timers = plan_timers(args, kept.of(runs))
        go(setup, timers, kept, args.jobs)
    except (HfHubHTTPError, ModuleNotFoundError, OSError, RuntimeError, ValueError) as error:
        sys.exit(f"closed_loop: {error}")
    except KeyboardInterrupt:
        sys.exit("closed_loop: interrupted; the same command goes on from here")
    summary = make_summary(kept.of([*runs, *timers]))
    report = {"setup": asdict(setup), "tasks": args.tasks, "summary": summary}
    (args.out / "results.json").write_text(json.dumps(report, indent=1) + "\n")
    draw(summary, Path(args.policy).name, args.out / "results.png")
    console.print(make_table(summary))
    console.print(f"{args.out}/results.json, results.png")


def plan(args: argparse.Namespace) -> list[Run]:
    """All episodes but the timers'; the seeds by turns, so that a few of each are there early."""
    return [
        Run(task, seed, disturbed, rule, num_steps=steps)
        for seed in _seeds(args)
        for task in args.tasks
        for disturbed in args.disturbances
        for rule in args.rules
        if rule not in TIMERS
        for steps in (args.num_steps[:1] if rule == EXPERT else args.num_steps)
    ]


def plan_timers(args: argparse.Namespace, episodes: list[dict]) -> list[Run]:
    """The timers' episodes, as frequent in each kind of episode as what they are matched with.

    Args:
        args: of the command line.
        episodes: of the other rules.
    """
    rules = [rule for rule in args.rules if rule in TIMERS]
    shares = shares_of(episodes, args.match) if rules else {}
    return [
        Run(task, seed, disturbed, rule, share, matched, steps)
        for (matched, disturbed, steps), share in shares.items()
        for seed in _seeds(args)
        for task in args.tasks
        for rule in rules
    ]


def shares_of(episodes: list[dict], matched: list[str]) -> dict[tuple[str, str, int], float]:
    """How often each rule computed the prefix after an episode's first.

    Returns:
        By rule, disturbance and number of steps.
    """
    groups: dict[tuple[str, str, int], list[dict]] = {}
    for episode in episodes:
        if episode["rule"] in matched:
            key = episode["rule"], episode["disturbed"], episode["num_steps"]
            groups.setdefault(key, []).append(episode)
    return {key: full_share_of(some) for key, some in groups.items()}


def _seeds(args: argparse.Namespace) -> list[int]:
    return list(dict.fromkeys(seed for some in args.seeds for seed in some))


def go(setup: Setup, runs: list[Run], kept: "Kept", jobs: int) -> None:
    """Run what is not kept yet."""
    missing = [(setup, run) for run in runs if run not in kept]
    if missing:
        for episode in run_all(run_episode, missing, jobs=jobs, doing="episodes", tell=told):
            kept.add(episode)


def told(episode: dict) -> str:
    """One line on an episode."""
    reasons = ", ".join(f"{n} {reason}" for reason, n in Counter(episode["reasons"]).items())
    done = f"done after {episode['steps']} steps" if episode["success"] else "not done"
    return (
        f"{episode['task']} {episode['seed']} {episode['disturbed']}, {name_of(episode)}: {done}"
        + (f" ({reasons})" if reasons else "")
    )


class Kept:
    """The episodes that have ended, in OUT/episodes-*.jsonl: one file for each setup."""

    def __init__(self, folder: Path, setup: Setup) -> None:
        """Read what is there.

        Args:
            folder: made if it is not there.
            setup: another one's episodes do not count; nor do another checkpoint's.
        """
        folder.mkdir(parents=True, exist_ok=True)
        about = json.dumps(asdict(setup) | {"weights": weights_of(setup.policy)})
        name = hashlib.sha256(about.encode()).hexdigest()[:8]
        self._file = folder / f"episodes-{name}.jsonl"
        lines = self._file.read_text().splitlines(keepends=True) if self._file.exists() else []
        # One without its end was cut off.
        episodes = [json.loads(line) for line in lines if line.endswith("\n")]
        self._file.write_text("".join(json.dumps(episode) + "\n" for episode in episodes))
        self._by_key = {self._key(episode): episode for episode in episodes}

    def __contains__(self, run: Run) -> bool:
        return self._key(asdict(run)) in self._by_key

    def add(self, episode: dict) -> None:
        """Keep one more."""
        self._by_key[self._key(episode)] = episode
        with self._file.open("a") as file:
            file.write(json.dumps(episode) + "\n")

    def of(self, runs: list[Run]) -> list[dict]:
        """Those of these runs that are there, in their order."""
        keys = [self._key(asdict(run)) for run in runs]
        return [self._by_key[key] for key in keys if key in self._by_key]

    @staticmethod
    def _key(run: dict) -> tuple:
        return tuple(run[field.name] for field in fields(Run))


def weights_of(policy: str) -> str | None:
    """What tells a checkpoint from a later one in the same folder; None for one from a hub."""
    files = [Path(policy) / name for name in ("model.safetensors", "config.json")]
    if not all(file.is_file() for file in files):
        return None
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


if __name__ == "__main__":
    main()
