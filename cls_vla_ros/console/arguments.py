"""Command line arguments that several tools have."""

from argparse import ArgumentParser
from pathlib import Path

from cls_vla_ros.console.share import share


def add_params_file(parser: ArgumentParser) -> None:
    """--params-file, the node's own."""
    parser.add_argument(
        "--params-file",
        type=Path,
        default=share("config", "demo.yaml"),
        help="the node's parameters (default: the demo's)",
    )


def add_policy_and_recordings(parser: ArgumentParser) -> None:
    """What a tool needs that runs a policy over recordings, as the node would."""
    parser.add_argument(
        "recordings", type=Path, nargs="+", help="rosbag2 directories or LeRobotDatasets"
    )
    parser.add_argument("--policy", help="the checkpoint (default: the params file's policy.path)")
    add_params_file(parser)
    parser.add_argument("--task", help="the instruction (default: the recording's, as the node's)")
    parser.add_argument(
        "--action-topic",
        help="of bags (several with commas between): without it nobody can tell whether they were "
        "trained on",
    )
