"""The command line of `calibrate`."""

import argparse
from pathlib import Path

from cls_vla_ros.console.arguments import add_policy_and_recordings
from cls_vla_ros.evaluation.loading import ALL, NONE, nuisances_of
from cls_vla_ros.policy.training.nuisances import NAMED

INTERVALS = (1, 2, 4, 8, 16)  # frames


def parse_args(about: str) -> argparse.Namespace:
    """What it says.

    Args:
        about: the command's description, whose first line is shown.
    """
    parser = argparse.ArgumentParser(prog="calibrate", description=about.split("\n")[0])
    add_policy_and_recordings(parser)
    wanted = parser.add_mutually_exclusive_group()
    wanted.add_argument(
        "--false-alarms",
        type=float,
        help="share of the ordinary pairs of frames of an episode that may be taken for changed, "
        "on average over episodes that nobody has seen (default 0.05)",
    )
    wanted.add_argument(
        "--miss-rate",
        type=float,
        help="share of the changed pairs of an episode that may be taken for ordinary, likewise",
    )
    wanted.add_argument(
        "--reuse-rate",
        type=float,
        help="share of the inferences of an undisturbed episode that shall reuse a prefix",
    )
    parser.add_argument(
        "--nuisances",
        type=nuisances_of,
        default=NONE,
        metavar="NAME,...",
        help=f"whose pairs are ordinary for the gate, too, steady and at their onset: {ALL}, "
        f"{NONE} (default), or some of {', '.join(NAMED)}. Each takes as long as the episodes "
        "themselves. For the glance, all are",
    )
    parser.add_argument(
        "--glance-false-alarms",
        type=float,
        help="as --false-alarms, for the glance, which looks at every frame (default: as for the "
        "gate, or 0.05 with --miss-rate)",
    )
    parser.add_argument(
        "--intervals",
        type=_numbers,
        default=INTERVALS,
        metavar="N,N,...",
        help=f"frames between full inferences (default {','.join(map(str, INTERVALS))})",
    )
    parser.add_argument(
        "--max-tail",
        type=float,
        default=1.0,
        help="how far what is executed on a reused prefix may be from a full recompute, in 95 %% "
        "of the cases, where 1 is as far as two noises are apart: it says how far the robot may "
        "move since the prefix, and how old that may become (default 1)",
    )
    parser.add_argument(
        "--steps",
        type=_numbers,
        metavar="N,N,...",
        help="numbers of denoising steps to try: the fewest whose actions are within the policy's "
        "own noise are written as num_steps",
    )
    parser.add_argument(
        "--max-delay",
        type=float,
        default=0.3,
        help="how late, in seconds, a change that the frame guard does not see may be noticed: no "
        "prefix becomes older (default 0.3)",
    )
    parser.add_argument("--out", type=Path, help="picture and JSON (default: in the checkpoint)")
    parser.add_argument("--seed", type=int, default=0, help="of noise and patches (default 0)")
    parser.add_argument("--dry-run", action="store_true", help="leave config.json as it is")
    parser.add_argument(
        "--use-trained-on",
        action="store_true",
        help="calibrate on episodes that were trained on: the thresholds are too strict then",
    )
    parser.add_argument(
        "--allow-untrained", action="store_true", help="calibrate an untrained CLS head: noise"
    )
    args = parser.parse_args()
    for name in ("false_alarms", "miss_rate", "reuse_rate", "glance_false_alarms"):
        value = getattr(args, name)
        if value is not None and not 0 < value < 1:
            parser.error(f"--{name.replace('_', '-')} must be between 0 and 1, got {value}")
    if not args.max_delay >= 0:
        parser.error(f"--max-delay is a time of 0 s or more, got {args.max_delay}")
    if not args.max_tail >= 0:
        parser.error(f"--max-tail is a deviation of 0 or more, got {args.max_tail}")
    return args


def _numbers(text: str) -> list[int]:
    numbers = sorted({int(part) for part in text.split(",")})
    if numbers[0] < 1:
        raise argparse.ArgumentTypeError(f"expected whole numbers from 1 on, got {text}")
    return numbers
