"""`fuzz`: malformed messages, into the code that takes messages.

100,000 camera and joint messages, valid, mutated and made of rubbish, go through what the node's
callbacks and its inference thread call; some more go over DDS into the real node. Exit 1 if an
exception other than ValueError comes out, a good message is refused or lost, a call takes longer
than half a second, or memory grows. What fails is kept as a file for test/corpus.
"""

import argparse
import gc
import os
import sys
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rclpy.serialization import deserialize_message, serialize_message
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sensor_msgs.msg import CompressedImage, Image, JointState

from cls_vla_ros.benchmark.growth import ALLOWED_MB, WARM_UP, resident_mb
from cls_vla_ros.endurance.fuzz.messages import Case, Fuzzer
from cls_vla_ros.endurance.fuzz.over_dds import fuzz_over_dds
from cls_vla_ros.endurance.fuzz.target import HandledWronglyError, Target
from cls_vla_ros.endurance.node_process import own_domain

TYPES = {kind.__name__: kind for kind in (Image, CompressedImage, JointState)}
KEPT_FAILURES = 20
MEASUREMENTS = 10


@dataclass
class Figures:
    """What became of all messages.

    Attributes:
        verdicts: how many by kind and verdict.
        slowest_s: the longest call by kind.
        failures: what was handled wrongly, and why.
        memory_mb: of this process, after each tenth.
    """

    verdicts: Counter = field(default_factory=Counter)
    slowest_s: Counter = field(default_factory=Counter)
    failures: list[tuple[Case, str]] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)

    @property
    def growth_mb(self) -> float:
        """Growth after the warm-up."""
        settled = self.memory_mb[round(WARM_UP * MEASUREMENTS) - 1 :]
        return settled[-1] - settled[0] if settled else 0.0


def main() -> None:
    """Fuzz, print a table, and exit 1 if anything went wrong."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__.split("\n")[0])
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--over-dds", type=int, default=2000, help="of them to the real node")
    parser.add_argument("--corpus", type=Path, help="folder of messages that come first")
    parser.add_argument(
        "--out", type=Path, default=Path("fuzz_output"), help="folder for what fails"
    )
    parser.add_argument("--domain-id", type=int, default=own_domain(), help="ROS domain")
    args = parser.parse_args()
    console = Console()
    figures = fuzz(args.messages, args.seed, read_corpus(args.corpus) if args.corpus else [])
    console.print(table_of(figures))
    problems = [f"{case.kind}: {why}" for case, why in figures.failures]
    for number, (case, _) in enumerate(figures.failures[:KEPT_FAILURES]):
        write_case(args.out / f"seed{args.seed}_{number}", case)
    console.print(f"memory grew by {figures.growth_mb:.1f} MB, allowed {ALLOWED_MB:g} MB")
    if figures.growth_mb > ALLOWED_MB:
        problems.append("memory grows")
    if args.over_dds:
        problems += fuzz_over_dds(args.over_dds, args.seed, args.domain_id, console)
    if problems:
        unlike = "\n".join(f"{count} x {text}" for text, count in Counter(problems).items())
        sys.exit(f"{unlike}\nfuzz: what failed is in {args.out}; add it to test/corpus")


def fuzz(count: int, seed: int, first: list[Case] = ()) -> Figures:
    """Send messages into an ObservationBuffer.

    Args:
        count: how many.
        seed: of the messages.
        first: further ones, before them.
    """
    figures, target, fuzzer = Figures(), Target(), Fuzzer(seed)
    every = max(1, count // MEASUREMENTS)
    with without_libraries_complaints():
        for number in track(range(-len(first), count), description="fuzzing"):
            case = fuzzer.case() if number >= 0 else first[number]
            try:
                outcome = target.handle(case.message)
            except HandledWronglyError as error:
                figures.failures.append((case, str(error)))
                continue
            figures.verdicts[case.kind, outcome.verdict] += 1
            figures.slowest_s[case.kind] = max(figures.slowest_s[case.kind], outcome.seconds)
            if number % every == every - 1:
                gc.collect()
                figures.memory_mb.append(resident_mb())
    return figures


def table_of(figures: Figures) -> Table:
    """One row for each kind of message."""
    failed = Counter(case.kind for case, _ in figures.failures)
    verdicts = ("accepted", "refused")
    table = Table("kind", *verdicts, "failed", "slowest ms")
    for kind in sorted({kind for kind, _ in figures.verdicts} | set(failed)):
        counts = [str(figures.verdicts[kind, verdict]) for verdict in verdicts]
        slowest = f"{figures.slowest_s[kind] * 1e3:.1f}"
        table.add_row(kind, *counts, str(failed[kind]), slowest)
    return table


@contextmanager
def without_libraries_complaints():
    """Libjpeg and libpng write a line to the process's stderr for each damaged picture."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def write_case(path: Path, case: Case) -> None:
    """Write the message, serialised, as `path` with its type as suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(f".{type(case.message).__name__}").write_bytes(
        serialize_message(case.message)
    )


def read_corpus(folder: Path) -> list[Case]:
    """The messages in a folder, as `write_case` wrote them.

    Raises:
        ValueError: there are none.
    """
    files = [(path, path.suffix[1:]) for path in sorted(folder.iterdir())]
    files = [(path, kind) for path, kind in files if kind in TYPES]
    if not files:
        raise ValueError(f"{folder} has no messages: expected files such as bomb.CompressedImage")
    return [
        Case(f"corpus: {path.stem}", deserialize_message(path.read_bytes(), TYPES[kind]))
        for path, kind in files
    ]


if __name__ == "__main__":
    main()
