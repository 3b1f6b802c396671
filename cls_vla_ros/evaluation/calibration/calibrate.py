"""`calibrate BAG...`: thresholds by interval, and how long a prefix may live, for a checkpoint.

From episodes that it was not trained on: the similarity of undisturbed frames falls with the time
between two full inferences and with the robot's motion, so each interval gets a threshold for a
robot that moves and one for a calm one. They hold on episodes that nobody has seen, on average
(conformal.py); what is expected of such an episode is said with an interval. Changes are those of
the labels (BAG.labels.json); where an episode has no events, they are made: a patch appears or
vanishes, and light is dimmed as what must not count. A policy with a glance gets its threshold
likewise, from frames as recorded and under every nuisance. How far what is executed on a reused
prefix is from a full recompute with the same noise, in 95 % of the cases and in units of how far
two noises are apart, says how far the robot may have moved since, and how old a prefix may become.
The result goes into the checkpoint's config.json, where gate and cache read it, with
calibration.json and calibration.png beside it.
"""

import argparse
import json
import sys
from dataclasses import replace

import numpy as np
from rich.console import Console

from cls_vla_ros.console.progress import progress
from cls_vla_ros.evaluation.calibration.ageing import measure_ageing
from cls_vla_ros.evaluation.calibration.arguments import parse_args
from cls_vla_ros.evaluation.calibration.found import Found
from cls_vla_ros.evaluation.calibration.glance_threshold import (
    GlanceThreshold,
    find_glance_threshold,
    glance_over,
)
from cls_vla_ros.evaluation.calibration.intervals import DIGITS, Wanted, intervals_of
from cls_vla_ros.evaluation.calibration.picture import draw
from cls_vla_ros.evaluation.calibration.report import make_report, print_report
from cls_vla_ros.evaluation.calibration.steps import fewest, measure_steps
from cls_vla_ros.evaluation.loading import (
    Loaded,
    guarded_cameras,
    load,
    read_parameters,
)
from cls_vla_ros.evaluation.measures.replays import replay
from cls_vla_ros.evaluation.measures.traces import Trace, record, similarities
from cls_vla_ros.inference import PolicyServer, ReuseLimits, Session
from cls_vla_ros.inference.observation import picture_names
from cls_vla_ros.inference.reuse.gate_sight import smallest_spread
from cls_vla_ros.policy.checkpoint.calibrated import checkpoint_of, write_calibration
from cls_vla_ros.policy.training.nuisances import NAMED
from cls_vla_ros.recordings.episodes import Episode, frame_period_s


def main() -> None:
    """Calibrate; exit 1 with the reason, and an unchanged checkpoint, if that is not possible."""
    args = parse_args(__doc__)
    console = Console()
    try:
        parameters = read_parameters(args)
        checkpoint = checkpoint_of(parameters.read().policy_path)
        loaded = load(parameters, args, console)
        traces = record_all(loaded, args, console)
        found = calibrate(loaded, traces, args, console)
        report = make_report(found, traces, args)
        out = args.out or checkpoint
        out.mkdir(parents=True, exist_ok=True)
        draw(found, traces, out / "calibration.png")
        (out / "calibration.json").write_text(json.dumps(report, indent=1) + "\n")
        if not args.dry_run:
            write_calibration(checkpoint, found.to_config())
    except (OSError, ValueError) as error:
        sys.exit(f"calibrate: {error}")
    except KeyboardInterrupt:
        sys.exit("calibrate: stopped; the checkpoint is as it was")
    print_report(found, traces, args, console)
    console.print(f"{out / 'calibration.json'}, {out / 'calibration.png'}")
    written = "not written (--dry-run)" if args.dry_run else f"in {checkpoint / 'config.json'}"
    console.print(f"thresholds and cache limits: {written}")


def record_all(loaded: Loaded, args: argparse.Namespace, console: Console) -> list[Trace]:
    """The traces of all episodes; those without events get changes made for them."""
    traces = []
    with progress(console) as bars:
        bar = bars.add_task("frames", total=None)
        for episode in loaded.episodes:
            bars.update(bar, description=episode.name)
            trace = record(
                loaded.server,
                episode,
                inject=not episode.events,
                nuisances=args.nuisances,
                seed=args.seed,
                on_frame=lambda: bars.advance(bar),
            )
            traces.append(trace)
    if made := sum(trace.has_made_changes for trace in traces):
        console.print(
            f"[yellow]{made} of {len(traces)} episodes have no labelled events: changes were made "
            "by pasting patches into the pictures, and light was dimmed[/yellow]"
        )
    return traces


def calibrate(
    loaded: Loaded, traces: list[Trace], args: argparse.Namespace, console: Console
) -> Found:
    """Thresholds, ageing and limits."""
    server, episodes, rate_hz = loaded.server, loaded.episodes, loaded.parameters.get("rate_hz")
    period_s = float(np.median([frame_period_s(trace.stamps_s) for trace in traces]))
    between_s = max(period_s, 1 / rate_hz)  # two inferences of the node
    executed, longest = max(1, round(between_s / period_s)), max(args.intervals)
    with progress(console) as bars:
        bar = bars.add_task("action deviation", total=len(episodes))
        step = lambda: bars.advance(bar)  # noqa: E731
        ageing = measure_ageing(server, episodes, traces, longest, executed, args.seed, step)
        steps = []
        if args.steps:
            bar = bars.add_task("fewer steps", total=len(args.steps) * len(episodes))
            steps = measure_steps(
                server, episodes, traces, args.steps, ageing.two_noises, args.seed, step
            )
    max_motion = round(ageing.drift.max_motion(args.max_tail), DIGITS)
    oldest = ageing.drift.max_frames(period_s, args.max_tail, max_motion)
    oldest = min(oldest, int(args.max_delay / period_s + 1e-2))
    max_age_s = round(oldest * period_s, DIGITS)
    max_reuses = int(max_age_s / between_s + 1e-2)
    wanted = Wanted.of(args.false_alarms, args.miss_rate, args.reuse_rate, max_reuses)
    undisturbed = [similarities(t.obs_cls_out, t.obs_cls_out, executed) for t in traces]
    spreads = [s for s in map(smallest_spread, undisturbed) if s is not None]
    found = Found(
        intervals_of(traces, args.intervals, period_s, wanted),
        ageing,
        max_age_s,
        max_reuses,
        max_motion,
        min(spreads, default=None),
        steps,
        fewest(steps, ageing.of_noises),
        glance_of(loaded, traces, oldest, wanted, args, console),
        [found for found in loaded.fingerprints if found is not None],
    )
    return replace(
        found,
        reuse=reuse_with(server, episodes, found, rate_hz, args.seed),
        executed_p95=ageing.drift.p95_within(max_age_s, found.max_motion),
    )


def glance_of(
    loaded: Loaded,
    traces: list[Trace],
    oldest: int,
    wanted: Wanted,
    args: argparse.Namespace,
    console: Console,
) -> GlanceThreshold | None:
    """The glance's threshold, for prefixes up to that age in frames; None without a glance."""
    server = loaded.server
    if server.glance is None:
        return None
    if not (cameras := guarded_cameras(loaded.parameters, server)):
        console.print("[yellow]no camera is guarded: the glance has nothing to look at[/yellow]")
        return None
    frames = [k for k in args.intervals if k <= oldest] or args.intervals[:1]
    with progress(console) as bars:
        bar = bars.add_task("glance", total=(1 + len(NAMED)) * len(traces))
        step = lambda: bars.advance(bar)  # noqa: E731
        glanced = [
            glance_over(server, episode, trace, frames, cameras, args.seed, step)
            for episode, trace in zip(loaded.episodes, traces, strict=True)
        ]
    share = args.glance_false_alarms or wanted.false_alarms or 0.05
    return find_glance_threshold(glanced, share)


def reuse_with(
    server: PolicyServer, episodes: list[Episode], found: Found, rate_hz: float, seed: int
) -> float:
    """The share of inferences that reuse a prefix with what was found, without a frame guard."""
    limits = replace(
        ReuseLimits.always(picture_names(server.config)),
        max_age_s=found.max_age_s,
        max_reuses=found.max_reuses,
        max_motion=found.max_motion,
    )

    def way(session: Session):
        session.set_thresholds(
            server.config.cls_similarity_threshold, found.to_config()["cls_thresholds"]
        )
        return lambda n: limits

    reused = [
        step.inference.prefix_reused
        for episode in episodes
        for step in replay(server, (f.observation for f in episode.frames(rate_hz)), way, seed)
    ]
    return float(np.mean(reused))


if __name__ == "__main__":
    main()
