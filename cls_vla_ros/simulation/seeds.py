"""Seeds on a command line."""

import argparse
import re


def parse_seeds(text: str) -> list[int]:
    """Seeds from "7" or "0:40" (40 not among them).

    Raises:
        argparse.ArgumentTypeError: neither of them, or none at all.
    """
    match = re.fullmatch(r"(\d+)(?::(\d+))?", text)
    if not match:
        raise argparse.ArgumentTypeError(f"seeds are 7 or 0:40, got {text!r}")
    first = int(match[1])
    seeds = list(range(first, int(match[2]) if match[2] else first + 1))
    if not seeds:
        raise argparse.ArgumentTypeError(f"{text} has no seeds: the first must be below the end")
    return seeds
