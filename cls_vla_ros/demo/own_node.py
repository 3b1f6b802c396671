"""A recording through a node that is started for it, and what is left of that."""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import rclpy
from rich.console import Console

from cls_vla_ros.demo.outputs_bag import write_outputs_bag
from cls_vla_ros.demo.picture import draw
from cls_vla_ros.demo.report import make_report
from cls_vla_ros.demo.run import Run, play
from cls_vla_ros.demo.shown import read_shown
from cls_vla_ros.endurance.node_process import end_of, policy_node, use_domain
from cls_vla_ros.recordings.bag_episodes import BagEpisode
from cls_vla_ros.recordings.episodes import Source, labels_of
from cls_vla_ros.robot.parameters.parameters import Parameters
from cls_vla_ros.robot.parameters.params_file import parameters_of

RECORDING = "recording"


def run_own_node(
    args: argparse.Namespace, name: str, console: Console, *, resets: bool, lockstep: bool
) -> dict:
    """Start the node, play the recording to it, and leave report, picture, bag and log.

    Args:
        args: bag, out, params_file, task, policy, domain_id, rate.
        name: of the command, for what it says.
        console: gets a line for each inference.
        resets: see `play`.
        lockstep: likewise.

    Returns:
        The report. Exits with 1, the reason and the end of the node's log if it goes wrong.
    """
    use_domain(args.domain_id)
    log, process = args.out / "node.log", None
    rclpy.init()
    try:
        labels = check(args)
        args.out.mkdir(parents=True, exist_ok=True)
        # As bag_to_dataset, calibrate and evaluate: the recording's own, if its labels say it.
        task = args.task or labels.get("instruction")
        with policy_node(
            args.params_file, log, use_sim_time=True, task=task, policy=args.policy
        ) as process:
            run = play(
                args.bag, process, console, resets=resets, lockstep=lockstep, rate=args.rate
            )
        if process.returncode != 0:
            raise RuntimeError(
                f"the node ended with exit code {process.returncode} after SIGINT; expected 0"
            )
        report = leave(run, args, labels.get("events", []))
        if report["problems"]:
            raise RuntimeError("; ".join(report["problems"]))
    except (OSError, RuntimeError, ValueError, subprocess.TimeoutExpired) as error:
        if process is None:  # the log would be that of an earlier run
            sys.exit(f"{name}: {error}")
        sys.exit(f"{end_of(log)}\n{name}: {error} (the lines above are the end of {log})")
    finally:
        rclpy.try_shutdown()
    return report


@contextmanager
def _parameters(args: argparse.Namespace) -> Iterator[Parameters]:
    overrides = {"policy.path": args.policy} if args.policy else {}
    with parameters_of(args.params_file, overrides) as parameters:
        yield parameters


def check(args: argparse.Namespace) -> dict:
    """Is it a recording of what the params file names? Before the policy loads.

    Args:
        args: bag, params_file, policy.

    Returns:
        Its labels.

    Raises:
        OSError: there is no such recording.
        ValueError: it is of something else.
    """
    with _parameters(args) as parameters:
        BagEpisode(args.bag, parameters, Source())
    return labels_of(args.bag) or {}


def leave(run: Run, args: argparse.Namespace, events: list[dict]) -> dict:
    """Write report, picture and bag.

    Args:
        run: what the node said.
        args: out, a folder that exists; bag, params_file, policy.
        events: of the recording's labels.

    Returns:
        The report.
    """
    events = sorted(events, key=lambda event: event["stamp_ns"])
    recorded = run.recorded(events)
    report = make_report(recorded, args.bag, run.device) | {"task": run.task}
    (args.out / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    with _parameters(args) as parameters:
        draw(recorded, read_shown(args.bag, parameters, events), args.out / "similarity.png")
    write_outputs_bag(args.bag, recorded, args.out / RECORDING)
    return report
