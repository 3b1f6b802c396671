"""`make fleet`: four robots with recordings, two replicas on this machine's CPUs, one killed.

It starts `serve_policy`'s application, lets the robots replay bags/demo (each from another place),
kills a replica in the middle, and leaves report.json and fleet.png in the output folder: what each
robot waited, in which batches, and how long it held when its replica was gone.
"""

import argparse
import json
import os
import signal
import sys
from dataclasses import asdict
from datetime import date
from pathlib import Path

import numpy as np

from cls_vla_ros.console.arguments import add_params_file
from cls_vla_ros.console.machine import describe_machine
from cls_vla_ros.console.share import share
from cls_vla_ros.inference import Observation
from cls_vla_ros.recordings.dataset_episodes import open_episodes
from cls_vla_ros.recordings.episodes import Source
from cls_vla_ros.robot.parameters.params_file import parameters_of
from cls_vla_ros.serve.application import deploy, start_ray, stop
from cls_vla_ros.serve.fleet.picture import draw
from cls_vla_ros.serve.fleet.robots import Asked, drive
from cls_vla_ros.serve.settings import ServeSettings


def main() -> None:
    """Run the fleet; exit 1 where a robot does not come back after the kill."""
    parser = argparse.ArgumentParser(
        prog="fleet", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("fleet_output"), help="output folder")
    parser.add_argument("--robots", type=int, default=4, help="(4)")
    parser.add_argument("--replicas", type=int, default=2, help="(2)")
    parser.add_argument("--rate-hz", type=float, default=5.0, help="of each robot (5)")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long (20)")
    parser.add_argument("--port", type=int, default=8000, help="of the server (8000)")
    add_params_file(parser)
    args = parser.parse_args()
    recordings = read_recordings(args.params_file, args.robots)
    print(f"fleet: starting {args.replicas} replicas", flush=True)
    start_ray(None, args.replicas, dashboard=False)
    try:
        deploy(ServeSettings("demo", device="cpu"), replicas=args.replicas, port=args.port)
        print(f"fleet: {args.robots} robots for {args.seconds:g} s", flush=True)
        killer = Killer(args.seconds / 2)
        where = f"ws://127.0.0.1:{args.port}"
        timing = {"rate_hz": args.rate_hz, "seconds": args.seconds}
        asked = drive(where, recordings, **timing, meanwhile=killer.look)
    finally:
        stop(is_ours=True)
    report = make_report(asked, killer.at_s, args)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    draw(asked, killer.at_s, args.out / "fleet.png")
    for n, robot in enumerate(report["robots"]):
        print(
            f"robot {n}: {robot['answers']} answers, median {robot['median_ms']:.0f} ms, p99 "
            f"{robot['p99_ms']:.0f} ms; longest without one {robot['longest_gap_s']:.1f} s"
        )
    print(f"report and picture: {args.out / 'report.json'}, {args.out / 'fleet.png'}")
    if lost := [n for n, robot in enumerate(report["robots"]) if not robot["answers_after_kill"]]:
        sys.exit(f"fleet: the robots {lost} had no answer after the kill")


class Killer:
    """Ends a replica as nobody should, once."""

    def __init__(self, after_s: float) -> None:
        """Do it then."""
        self._after_s, self.at_s = after_s, float("nan")

    def look(self, at_s: float, robots: list) -> None:
        """Is it time?"""
        if at_s >= self._after_s and self.at_s != self.at_s:
            self.at_s = at_s
            os.kill(robots[0].replica["pid"], signal.SIGKILL)


def read_recordings(params_file: Path, robots: int) -> list[list[Observation]]:
    """The demo's recording, for each robot from another place on."""
    with parameters_of(params_file, {"policy.device": "cpu"}) as parameters:
        (episode,) = open_episodes([share("bags", "demo")], parameters, Source())
        frames = [frame.observation for frame in episode.frames()]
    step = len(frames) // robots
    return [frames[n * step :] + frames[: n * step] for n in range(robots)]


def make_report(asked: list[Asked], killed_s: float, args: argparse.Namespace) -> dict:
    """What came of it, by robot, and each request."""
    robots = []
    for n in range(args.robots):
        answered = [one for one in asked if one.robot == n and one.is_answered]
        took_ms = [one.took_ms for one in answered] or [float("nan")]
        at_s = [0.0, *(one.at_s for one in answered), args.seconds]
        robots.append(
            {
                "answers": len(answered),
                "answers_after_kill": sum(one.at_s > killed_s for one in answered),
                "without_answer": sum(one.robot == n for one in asked) - len(answered),
                "median_ms": float(np.median(took_ms)),
                "p99_ms": float(np.percentile(took_ms, 99)),
                "longest_gap_s": float(np.max(np.diff(at_s))),
                "replicas": sorted({one.replica for one in answered}),
            }
        )
    return {
        "date": date.today().isoformat(),
        "machine": describe_machine(),
        "replicas": args.replicas,
        "rate_hz": args.rate_hz,
        "killed_s": killed_s,
        "robots": robots,
        "requests": [asdict(one) for one in asked],
    }
