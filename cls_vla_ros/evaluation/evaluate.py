"""`evaluate RECORDING...`: how well the gate knows, and what reuse costs, on recorded episodes.

**Detection by pairs.** Two frames of a labelled episode, `--every` frames apart (default 4), are
the previous full inference and the one now; every such pair counts. It is positive if it goes
across an event that changes the scene: the first frame that shows it lies after the earlier and
not after the later one. All others are negative: ordinary ones, and those across light_dimmed and
light_restored. Scores: `gate` (the CLS similarity alone), `glance` (the policy's, highest of the
frames since the previous full inference, guarded cameras), `guard` (the frame guard's difference,
likewise; the node has it where there is no glance), `gate_and_...` (the larger of (1 - similarity)
/ (1 - threshold) and the other's score / its threshold: above 1 the node takes the scene for
changed), `pixels`
(brightness-normalised difference of the two frames, largest of 8 x 8 patches and of the guarded
cameras) and `joints` (lerobot's joint distance). For each the area under the ROC curve and the
recall at a share of false alarms; then recall and false alarms at the thresholds that the node
has, which is what a user gets. All with 95 % intervals over episodes (measures/confidence.py).

**Nuisances.** Each named one (policy/training/nuisances/named.py), `steady` in both frames: recall
of the changes and false alarms; and at its `onset`, in the later frame alone: false alarms. All at
the node's thresholds. "Nuisances among them" is recall where all these count as ordinary.

**Replays.** Each episode goes through PolicyServer with the node's parameters, at its rate, from
every frame of the first refresh cycle on (`--phases`, pooled), several times with the same noise:
every prefix computed (the reference), `gate_and_...` as the node does, gate and glance (or guard)
alone, and at equal reuse `periodic`, which computes as many prefixes evenly, and `timer_and_...`,
a timer with the glance (or guard), whose prefixes are taken from the timer's. A deviation is the
root mean square difference of a chunk from the reference's (each action value in its standard
deviations), divided by the mean of that difference between two full recomputes with different
noise. A change is caught if the first full inference that shows it was due to glance or guard, or
made the gate say so (where a prefix is due anyhow, the gate alone looks); a false alarm is one
that spoke up with no change of the scene since the prefix before it.
"""

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console

from cls_vla_ros.console.arguments import add_policy_and_recordings
from cls_vla_ros.console.progress import progress
from cls_vla_ros.evaluation.evaluation import Evaluated, Ways
from cls_vla_ros.evaluation.loading import ALL, NONE, load, nuisances_of, read_parameters
from cls_vla_ros.evaluation.measures.traces import record
from cls_vla_ros.evaluation.pairs import Scorer
from cls_vla_ros.evaluation.picture import draw
from cls_vla_ros.evaluation.report import make_report, print_report
from cls_vla_ros.inference import PolicyServer
from cls_vla_ros.policy.training.nuisances import NAMED
from cls_vla_ros.recordings.episodes import Episode, frame_period_s
from cls_vla_ros.robot.parameters.parameters import Parameters


def main() -> None:
    """Evaluate; exit 1 with the reason if that is not possible."""
    args = parse_args()
    console = Console()
    try:
        loaded = load(read_parameters(args), args, console, is_judged=True)
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
        "--nuisances",
        type=nuisances_of,
        default=ALL,
        metavar="NAME,...",
        help=f"that the pairs are looked at under: some of {', '.join(NAMED)}; {ALL} (default) or "
        f"{NONE}. Each takes as long as the pairs themselves",
    )
    parser.add_argument(
        "--phases",
        type=int,
        default=12,
        help="frames of the refresh cycle that replays begin at, at most: every one, or so many "
        "evenly (default 12)",
    )
    parser.add_argument(
        "--no-replays", action="store_true", help="detection by pairs alone: many times quicker"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("evaluation"), help="folder (default evaluation)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the noise (default 0)")
    parser.add_argument(
        "--use-trained-on",
        action="store_true",
        help="evaluate on episodes that were trained or calibrated on: it looks better than it is",
    )
    parser.add_argument(
        "--allow-untrained", action="store_true", help="evaluate an untrained CLS head: noise"
    )
    args = parser.parse_args()
    for name in ("every", "phases"):
        if getattr(args, name) < 1:
            parser.error(f"--{name} must be at least 1")
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
    """Pairs, nuisances and replays of every episode."""
    evaluated = Evaluated()
    ways, scorer = Ways(server, parameters, args.seed), Scorer(server, parameters)
    with progress(console) as bars:
        bar = bars.add_task("", total=len(episodes))
        for episode in episodes:
            bars.update(bar, description=episode.name)
            guarded = () if episode.events is None else scorer.guarded
            trace = record(server, episode, guarded=guarded, seed=args.seed)
            if trace.events is not None and len(trace) > args.every:
                evaluated.names.append(trace.name)
                evaluated.pairs.append(scorer.pairs(trace, trace, args.every))
                evaluated.nuisances.append(
                    scorer.under_nuisances(episode, trace, args.nuisances, args.every, args.seed)
                )
            if not args.no_replays:
                period_s = frame_period_s(trace.stamps_s)
                for first in ways.phases(len(trace), period_s, args.phases):
                    evaluated.replays.append(ways.play(episode, first))
            bars.advance(bar)
    return evaluated


if __name__ == "__main__":
    main()
