"""`memory_benchmark`: does the process grow over 10,000 inferences?

A PolicyServer with a tiny random policy serves two sessions through reuses, scene changes, resets,
task changes and bad input. What it holds is measured after each tenth; exit 1 if it grows.
"""

import argparse
import gc
import json
import random
import sys
import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from rich.progress import track

from cls_vla_ros.benchmark.growth import ALLOWED_MB, WARM_UP, resident_mb
from cls_vla_ros.inference import Observation, PolicyServer, Reason, ReuseLimits, load_policy
from cls_vla_ros.inference.reuse.prefix_cache import MAX_ENTRIES
from cls_vla_ros.policy.checkpoint.random_checkpoint import make_random_checkpoint

CAMERAS = {"observation.images.front": (48, 64)}
ZERO_ONE = {"mean": torch.zeros(3), "std": torch.ones(3)}
STATS = {"observation.state": ZERO_ONE, "action": ZERO_ONE}


def main() -> None:
    """Run, print a table, and exit 1 if memory grows or the queue exceeds its bound."""
    parser = argparse.ArgumentParser(prog="memory_benchmark", description=__doc__.split("\n")[0])
    parser.add_argument("--inferences", type=int, default=10_000)
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = make_random_checkpoint(Path(folder) / "tiny", CAMERAS, STATS, num_steps=1)
        server = PolicyServer(*load_policy(checkpoint, "auto"), seed=0)
        rows = run(server, args.inferences)
    print(
        f"{'inferences':>10} {'process MB':>11} {'device MB':>10} {'queues MB':>10} {'reused':>7}"
    )
    for row in rows:
        print("{:10d} {:11.1f} {:10.1f} {:10.2f} {:7.0%}".format(*row.values()))
    settled = [row for row in rows if row["inferences"] >= WARM_UP * args.inferences]
    growth = {k: settled[-1][k] - settled[0][k] for k in ("process_mb", "device_mb")}
    print(f"growth after the first {WARM_UP:.0%}: {growth}, allowed {ALLOWED_MB:g} MB each")
    if args.out:
        args.out.write_text(json.dumps({"rows": rows, "growth": growth}, indent=1) + "\n")
    if max(growth.values()) > ALLOWED_MB:
        sys.exit("memory grows")


def run(server: PolicyServer, count: int) -> list[dict[str, float]]:
    """Infer `count` times; what is held after each tenth of that."""
    generator, images = random.Random(0), np.random.default_rng(0)
    limits = ReuseLimits(allow_untrained=True, guard_threshold=10.0, max_age_s=100.0)
    for name in ("left", "right"):
        server.session(name).limits = limits
    rows = []
    for number in track(range(1, count + 1), description="inferring"):
        name = generator.choice(("left", "right"))
        session = server.session(name)
        session.threshold = generator.choice((-1.0, -1.0, -1.0, 1.0))  # 1.0: the scene changed
        session.limits = replace(limits, max_reuses=generator.choice((0, 4)))
        if generator.random() < 0.02:
            server.reset(name)
        picture = {n: images.integers(0, 256, (*s, 3), dtype=np.uint8) for n, s in CAMERAS.items()}
        task = "open" if generator.random() < 0.95 else "close the drawer"
        state = np.full(3, np.nan if generator.random() < 0.02 else 0.0, np.float32)
        with suppress(ValueError):  # the NaN: refused, as it must be
            server.infer(Observation(picture, state, task, number / 10), name)
        if session.cache_length > MAX_ENTRIES:
            sys.exit(f"the queue holds {session.cache_length} prefixes")
        if number % (count // 10) == 0:
            rows.append(measure(server, number))
    return rows


def measure(server: PolicyServer, number: int) -> dict[str, float]:
    """What is held now."""
    gc.collect()
    sessions = [server.session(name) for name in ("left", "right")]
    totals = [session.total for session in sessions]
    inferences = sum(total.inferences for total in totals)
    return {
        "inferences": number,
        "process_mb": resident_mb(),
        "device_mb": torch.cuda.memory_allocated() / 1e6 if torch.cuda.is_available() else 0.0,
        "queues_mb": sum(session.cache_nbytes for session in sessions) / 1e6,
        "reused": sum(total.reasons[Reason.REUSED] for total in totals) / max(inferences, 1),
    }


if __name__ == "__main__":
    main()
