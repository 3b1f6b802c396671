"""`arm_fuzz`: whatever happens around a simulated arm, is anything commanded that must not be?

Sequences of random events (late inferences, silent sensors, resets, pauses, takeovers, grasps,
refused chunks, controllers that die, ...) in simulated time, with the node's own output code,
controllers as those of ros2_control, and an arm with inertia. Exit 1 if a command was faster than
its limit or accelerated more, leapt, came after a stop or from a dead episode, or if the node
held though nothing was the matter any more.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from cls_vla_ros.endurance.arm.scenario import KINDS, draw
from cls_vla_ros.endurance.arm.world import World

SHOWN = 10


@dataclass
class Figures:
    """What became of the sequences.

    Attributes:
        sequences: how many, by what the actions go to.
        chunks: that were published, likewise.
        commands: of controllers, or setpoints of theirs, likewise.
        events: how many, by what happens.
        simulated_s: how long all of them were.
        failures: what was wrong, by seed.
    """

    sequences: Counter = field(default_factory=Counter)
    chunks: Counter = field(default_factory=Counter)
    commands: Counter = field(default_factory=Counter)
    events: Counter = field(default_factory=Counter)
    simulated_s: float = 0.0
    failures: dict[int, list[str]] = field(default_factory=dict)


def main() -> None:
    """Run the sequences, print a table, and exit 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="arm_fuzz", description=__doc__.split("\n")[0])
    parser.add_argument("--sequences", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0, help="of the first; each has the next")
    parser.add_argument("--corpus", type=Path, help="file of seeds that come first, one a line")
    args = parser.parse_args()
    console, began_s = Console(), time.monotonic()
    first = read_seeds(args.corpus) if args.corpus else []
    figures = arm_fuzz([*first, *range(args.seed, args.seed + args.sequences)])
    console.print(table_of(figures))
    console.print(
        f"{figures.simulated_s / 3600:.1f} hours of simulated time in "
        f"{(time.monotonic() - began_s) / 60:.1f} minutes"
    )
    if figures.failures:
        shown = list(figures.failures.items())[:SHOWN]
        text = "\n".join(f"seed {seed}: {problems[0]}" for seed, problems in shown)
        sys.exit(f"{text}\narm_fuzz: {len(figures.failures)} sequences failed; add their seeds to "
                 "test/corpus/arm_seeds.txt")  # fmt: skip


def arm_fuzz(seeds: Iterable[int]) -> Figures:
    """Run one sequence for each seed.

    Args:
        seeds: of the sequences.
    """
    figures = Figures()
    for seed in track(list(seeds), description="sequences"):
        scenario = draw(seed)
        world = World(scenario)
        problems = world.run()
        kind = scenario.kind
        figures.sequences[kind] += 1
        figures.chunks[kind] += world.watch.chunks
        figures.commands[kind] += world.watch.commands
        figures.events.update(event.what for event in scenario.events)
        figures.simulated_s += world.now_s
        if problems:
            figures.failures[seed] = problems
    return figures


def table_of(figures: Figures) -> Table:
    """One row for each kind of outputs."""
    failed = Counter(draw(seed).kind for seed in figures.failures)
    table = Table("the actions go to", "sequences", "chunks", "commands", "failed")
    for kind in KINDS:
        counts = figures.sequences, figures.chunks, figures.commands, failed
        table.add_row(kind, *(str(count[kind]) for count in counts))
    counts = figures.sequences, figures.chunks, figures.commands, failed
    table.add_row("in total", *(str(sum(count.values())) for count in counts))
    return table


def read_seeds(path: Path) -> list[int]:
    """The seeds of a file, one at the beginning of each line; the rest of it says what it found.

    Raises:
        ValueError: there are none.
    """
    lines = [line.split() for line in path.read_text().splitlines()]
    seeds = [int(words[0]) for words in lines if words and not words[0].startswith("#")]
    if not seeds:
        raise ValueError(f"{path} has no seeds: expected one a line")
    return seeds


if __name__ == "__main__":
    main()
