"""`evaluate RECORDING...`: how well the gate knows, and what reuse costs, on recorded episodes.

**Detection by pairs.** Two frames of a labelled episode, `--every` frames apart (default 4), are
the previous full inference and the one now; every such pair counts. It is positive if it goes
across an event that changes the scene: the first frame that shows it lies after the earlier and
not after the later one. All others are negative: ordinary ones, and those across light_dimmed and
light_restored. Scores: `gate` (the CLS similarity alone), `guard` (the frame guard's difference,
largest of the frames since the previous full inference, guarded cameras), `gate_and_guard` (the
larger of (1 - similarity) / (1 - threshold) and difference / cache.guard_threshold: above 1 the
node takes the scene for changed), `pixels` (brightness-normalised difference of the two frames,
largest of 8 x 8 patches and of the guarded cameras) and `joints` (lerobot's joint distance). For
each the area under the ROC curve and the recall at a share of false alarms, with 95 % intervals
over episodes (measures/confidence.py).

**Replays.** Each episode goes through PolicyServer with the node's parameters, at its rate,
several times with the same noise: every prefix computed (the reference), `gate_and_guard` as the
node does, `gate` and `guard` alone, and `periodic`, which computes as many prefixes as
gate_and_guard did in that episode, evenly. A deviation is the root mean square difference of a
chunk from the reference's (each action value in its standard deviations), divided by the mean of
that difference between two full recomputes with different noise. A change is caught if the first
full inference that shows it was due to the guard, or made the gate say so; a false alarm is one
that spoke up with no change of the scene since the prefix before it.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from rich.console import Console

from cls_vla_ros.console.arguments import add_policy_and_recordings
from cls_vla_ros.console.progress import progress
from cls_vla_ros.evaluation.evaluation import Evaluated, Ways
from cls_vla_ros.evaluation.loading import load, read_parameters
from cls_vla_ros.evaluation.measures.detection import Pairs, kinds_of
from cls_vla_ros.evaluation.measures.traces import (
    Trace,
    differences,
    joint_distances,
    record,
    similarities,
)
from cls_vla_ros.evaluation.report import draw, make_report, print_report
from cls_vla_ros.inference import PolicyServer
from cls_vla_ros.inference.observation import picture_names
from cls_vla_ros.recordings.episodes import Episode, frame_period_s
from cls_vla_ros.robot.parameters.parameters import Parameters


def main() -> None:
    """Evaluate; exit 1 with the reason if that is not possible."""
    args = parse_args()
    console = Console()
    try:
        loaded = load(read_parameters(args), args, console)
        evaluated = evaluate(loaded.server, loaded.episodes, loaded.parameters, args, console)
        report = make_report(evaluated, args, loaded.parameters.read().policy_path)
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "evaluation.json").write_text(json.dumps(report, indent=1) + "\n")
        draw(evaluated, report, args.out)
    except (OSError, ValueError) as error:
        sys.exit(f"evaluate: {error}")
    except KeyboardInterrupt:
        sys.exit("evaluate: stopped")
    print_report(report, console)
    console.print(f"report and pictures: {args.out}")


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_policy_and_recordings(parser)
    parser.add_argument(
        "--every", type=int, default=4, help="frames between full inferences of a pair (default 4)"
    )
    parser.add_argument(
        "--false-alarms",
        type=float,
        default=0.05,
        help="share of unchanged pairs at which recall is taken (default 0.05)",
    )
    parser.add_argument(
        "--no-replays", action="store_true", help="detection by pairs alone: several times quicker"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("evaluation"), help="folder (default evaluation)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the noise (default 0)")
    parser.add_argument(
        "--use-trained-on",
        action="store_true",
        help="evaluate on episodes that were trained on: it looks better than it is",
    )
    parser.add_argument(
        "--allow-untrained", action="store_true", help="evaluate an untrained CLS head: noise"
    )
    args = parser.parse_args()
    if args.every < 1:
        parser.error("--every must be at least 1")
    if not 0 < args.false_alarms < 1:
        parser.error("--false-alarms must be between 0 and 1")
    return args


def evaluate(
    server: PolicyServer,
    episodes: list[Episode],
    parameters: Parameters,
    args: argparse.Namespace,
    console: Console,
) -> Evaluated:
    """Pairs and replays of every episode."""
    evaluated = Evaluated([], [], {})
    ways = Ways(server, parameters, args.seed)
    with progress(console) as bars:
        bar = bars.add_task("", total=len(episodes))
        for episode in episodes:
            bars.update(bar, description=episode.name)
            trace = record(server, episode, thumbnails=episode.events is not None, seed=args.seed)
            if trace.events is not None and len(trace) > args.every:
                evaluated.pairs.append(pairs_of(trace, args.every, server, ways))
                evaluated.names.append(trace.name)
            if not args.no_replays:
                evaluated.replays[episode.name] = ways.play(episode)
            bars.advance(bar)
    return evaluated


def pairs_of(trace: Trace, frames: int, server: PolicyServer, ways: Ways) -> Pairs:
    """The pairs of an episode with their scores."""
    limits = ways.limits
    guarded = [name for name in picture_names(server.config) if name not in limits.unguarded]
    threshold = ways.threshold_at(frames * frame_period_s(trace.stamps_s))
    similarity = similarities(trace.obs_cls_out, trace.obs_cls_out, frames)
    scores = {"gate": -similarity}
    if guarded:
        scores["guard"] = differences(trace, frames, guarded, all_between=True)
        scores["gate_and_guard"] = np.maximum(
            (1 - similarity) / max(1 - threshold, 1e-6),
            scores["guard"] / max(limits.guard_threshold, 1e-6),
        )
        scores["pixels"] = differences(trace, frames, guarded, all_between=False)
    scores["joints"] = joint_distances(trace, frames)
    return Pairs(kinds_of(trace.events, trace.stamps_s, frames), scores)


if __name__ == "__main__":
    main()
