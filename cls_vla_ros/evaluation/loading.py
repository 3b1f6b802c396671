"""What a command loads that runs a policy over recordings: parameters, episodes, the policy."""

import argparse
from dataclasses import dataclass

from rich.console import Console

from cls_vla_ros.inference import PolicyServer
from cls_vla_ros.inference.observation import picture_names
from cls_vla_ros.policy.training.nuisances import NAMED
from cls_vla_ros.recordings.checks import check_head, check_provenance
from cls_vla_ros.recordings.dataset_episodes import open_episodes
from cls_vla_ros.recordings.episodes import Episode, Source
from cls_vla_ros.robot.load_server import load_server
from cls_vla_ros.robot.parameters.parameters import Parameters
from cls_vla_ros.robot.parameters.params_file import parameters_of

ALL, NONE = "all", "none"  # of the nuisances


@dataclass(frozen=True)
class Loaded:
    """What there is to look at.

    Attributes:
        parameters: the node's.
        episodes: the recordings, by these parameters.
        server: with the policy.
        fingerprints: of the episodes; None for one without actions.
    """

    parameters: Parameters
    episodes: list[Episode]
    server: PolicyServer
    fingerprints: list[str | None]


def read_parameters(args: argparse.Namespace) -> Parameters:
    """The node's parameters, with what the command line says instead of them.

    Args:
        args: with `add_policy_and_recordings`' arguments and allow_untrained.

    Raises:
        OSError: there is no such file.
        ValueError: it cannot be used.
    """
    overrides = {"policy.path": args.policy} if args.policy else {}
    overrides |= {"gate.allow_untrained": True} if args.allow_untrained else {}
    with parameters_of(args.params_file, overrides) as parameters:
        return parameters


def load(
    parameters: Parameters,
    args: argparse.Namespace,
    console: Console,
    *,
    is_judged: bool = False,
) -> Loaded:
    """Open the episodes, then load the policy; refuse what would make figures worthless.

    Args:
        parameters: the node's.
        args: as for `read_parameters`, with use_trained_on.
        console: to say what is not as it should be.
        is_judged: whether episodes that the policy was calibrated on are refused too.

    Raises:
        OSError: something is not there.
        ValueError: it cannot be used, the head is untrained, or the policy saw the episodes.
    """
    source = Source(args.task, args.action_topic)
    episodes = open_episodes(args.recordings, parameters, source)
    server = load_server(parameters.read(), 0, console.print)
    check_head(server.config, args.allow_untrained, console)
    fingerprints = check_provenance(
        server.config, episodes, args.use_trained_on, console, is_judged=is_judged
    )
    return Loaded(parameters, episodes, server, fingerprints)


def guarded_cameras(parameters: Parameters, server: PolicyServer) -> list[str]:
    """Features of the policy's pictures that glance and frame guard look at, in its order."""
    unguarded = parameters.reuse_limits(parameters.read().cameras, server.config).unguarded
    return [name for name in picture_names(server.config) if name not in unguarded]


def nuisances_of(text: str) -> list[str]:
    """Of a command line: "all", "none", or names with commas between.

    Raises:
        argparse.ArgumentTypeError: there is no such nuisance.
    """
    names = [] if text == NONE else list(NAMED) if text == ALL else text.split(",")
    if unknown := [name for name in names if name not in NAMED]:
        raise argparse.ArgumentTypeError(
            f"there is no nuisance {', '.join(unknown)}: expected {NONE}, {ALL}, or some of "
            f"{', '.join(NAMED)}"
        )
    return names
