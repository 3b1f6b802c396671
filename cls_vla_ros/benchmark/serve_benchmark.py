"""`benchmark --serve`: how many robots a server takes, and what it adds to an inference."""

import argparse
import json
import tempfile
from datetime import date
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from cls_vla_ros.console.machine import describe_machine
from cls_vla_ros.inference import Observation
from cls_vla_ros.policy.checkpoint.random_checkpoint import make_random_checkpoint
from cls_vla_ros.serve.application import deploy, start_ray, stop
from cls_vla_ros.serve.fleet.robots import Asked, drive
from cls_vla_ros.serve.settings import ServeSettings

STATE_DIM = ACTION_DIM = 6
ROBOTS, RATES_HZ = (1, 2, 4, 8), (10.0, 30.0)
WARM_S = 1.0  # of each measurement that is not counted
FRAMES = 20


def run_serve(args: argparse.Namespace, console: Console, device: str) -> None:
    """Measure what is there: closed loop, robots against latency and throughput.

    Args:
        args: of the command line.
        console: for the table.
        device: "cpu", or a CUDA device.
    """
    is_cuda = device.startswith("cuda")
    size = {f"observation.images.camera{n}": args.picture for n in range(args.cameras)}
    stats = {"mean": torch.zeros(STATE_DIM), "std": torch.ones(STATE_DIM)}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        policy = args.policy or make_random_checkpoint(
            Path(folder) / "random", size, {"observation.state": stats, "action": stats}
        )
        start_ray(None, args.replicas, dashboard=False)
        try:
            settings = ServeSettings(str(policy), device=device)
            gpus = 1 / args.replicas if is_cuda else 0.0
            deploy(settings, replicas=args.replicas, gpus=gpus, port=args.port)
            for rate_hz in RATES_HZ:
                for robots in ROBOTS:
                    asked = drive(
                        f"ws://127.0.0.1:{args.port}",
                        [recording(size, n) for n in range(robots)],
                        rate_hz=rate_hz,
                        seconds=args.seconds,
                        timeout_s=10.0,
                    )
                    rows.append(figures(asked, robots, rate_hz, args.seconds))
        finally:
            stop(is_ours=True)
    table = Table(title=f"{args.replicas} replicas on {device}, {args.cameras} JPEG cameras")
    for name in rows[0]:
        table.add_column(name.replace("_", " "), justify="right")
    for row in rows:
        table.add_row(*(f"{value:.4g}" for value in row.values()))
    console.print(table)
    console.print(describe_machine())
    if args.out:
        report = {"date": date.today().isoformat(), "machine": describe_machine(), "rows": rows}
        args.out.write_text(json.dumps(report, indent=1) + "\n")


def recording(sizes: dict[str, tuple[int, int]], robot: int) -> list[Observation]:
    """Pictures as a camera could make them: smooth, with some noise, never twice the same."""
    chance = np.random.default_rng(robot)
    observations = []
    for n in range(FRAMES):
        images = {}
        for name, (height, width) in sizes.items():
            ramp = np.linspace(40 + 5 * n, 200, width)[None, :, None] * chance.uniform(0.5, 1, 3)
            noise = chance.normal(0, 2, (height, width, 3))
            images[name] = (ramp + noise).clip(0, 255).astype(np.uint8)
        state = chance.normal(size=STATE_DIM).astype(np.float32)
        observations.append(Observation(images, state, "open the drawer", n / 10))
    return observations


def figures(asked: list[Asked], robots: int, rate_hz: float, seconds: float) -> dict[str, float]:
    """Of one measurement.

    Args:
        asked: by all.
        robots: how many.
        rate_hz: that each was to have.
        seconds: how long.
    """
    counted = [one for one in asked if one.at_s >= WARM_S and one.is_answered]
    took_ms = [one.took_ms for one in counted]
    added_ms = [one.took_ms - one.server_ms for one in counted]
    return {
        "robots": robots,
        "rate_Hz": rate_hz,
        "reached_Hz": len(counted) / robots / (seconds - WARM_S),
        "median_ms": float(np.median(took_ms)),
        "p99_ms": float(np.percentile(took_ms, 99)),
        "added_median_ms": float(np.median(added_ms)),
        "added_p99_ms": float(np.percentile(added_ms, 99)),
        "batch": float(np.mean([one.batch for one in counted])),
        "lost": sum(not one.is_answered for one in asked),
    }
