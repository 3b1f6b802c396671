"""Two reports of one recording: is what the policy and the gate do still what it was?"""

import json
from dataclasses import dataclass
from pathlib import Path

SHOWN = 3  # of each kind of difference
SAME_S = 1e-3  # of two stamps


@dataclass(frozen=True)
class Tolerance:
    """What may differ.

    Attributes:
        similarity: of an inference, by so much.
        action: of any value of a chunk's first step, by so much, in its unit.
        decisions: share of the inferences whose decision is another one, or that only one has.
    """

    similarity: float = 0.01
    action: float = 0.01
    decisions: float = 0.0


def read_report(path: Path) -> dict:
    """A report.json of `replay --out` or `demo`.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is something else, or older than the comparison.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no report {path}: `replay BAG --out DIR` leaves one")
    try:
        report = json.loads(path.read_text())
        for inference in report["inferences"]:
            for name in ("time_s", "similarity", "decision", "first_action"):
                inference[name]
        report["recording"], report["summary"]["labelled_changes"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is no report that can be compared ({type(error).__name__}: {error}): make it "
            "with `replay BAG --out DIR`"
        ) from error
    return report


def differences(before: dict, now: dict, tolerance: Tolerance) -> list[str]:
    """What differs by more than it may, in words; empty if nothing.

    Times are not compared: they are the machine's.

    Args:
        before: a report.
        now: another one of the same recording.
        tolerance: what may differ.
    """
    if before["recording"] != now["recording"]:
        return [f"they are of two recordings: {before['recording']} and {now['recording']}"]
    pairs, lonely = _pairs(before["inferences"], now["inferences"])
    found = []
    others = [(a, b) for a, b in pairs if a["decision"] != b["decision"]]
    count = max(len(pairs) + len(lonely), 1)
    if (len(others) + len(lonely)) / count > tolerance.decisions:
        shown = [f"{b['time_s']:.2f} s: {a['decision']}, now {b['decision']}" for a, b in others]
        shown += [f"{i['time_s']:.2f} s: only {which} has an inference" for i, which in lonely]
        found.append(
            f"{len(shown)} of {count} decisions differ, at most "
            f"{tolerance.decisions * count:.0f} may ({_few(shown)})"
        )
    found += _numbers(pairs, "similarity", tolerance.similarity)
    found += _numbers(pairs, "first_action", tolerance.action)
    seen_before, seen_now = (_seen(report) for report in (before, now))
    for event in sorted(set(seen_before) | set(seen_now)):
        if seen_before.get(event) != seen_now.get(event):
            kind, time_s = event
            was = "seen" if seen_before.get(event) else "missed"
            found.append(f"{kind} at {time_s:.2f} s was {was}, and is no longer")
    return found


def _pairs(before: list[dict], now: list[dict]) -> tuple[list, list]:
    """Inferences of the same observation; and those that only one has, with which."""
    of_now = {round(i["time_s"] / SAME_S): i for i in now}
    pairs, lonely = [], []
    for inference in before:
        other = of_now.pop(round(inference["time_s"] / SAME_S), None)
        if other is None:
            lonely.append((inference, "the one before"))
        else:
            pairs.append((inference, other))
    return pairs, lonely + [(inference, "this one") for inference in of_now.values()]


def _numbers(pairs: list[tuple[dict, dict]], name: str, most: float) -> list[str]:
    shown = []
    for a, b in pairs:
        first, second = (_list(i[name]) for i in (a, b))
        if len(first) != len(second):
            shown.append((float("inf"), f"{b['time_s']:.2f} s: {a[name]}, now {b[name]}"))
            continue
        apart = max((abs(x - y) for x, y in zip(first, second, strict=True)), default=0.0)
        if apart > most:
            shown.append((apart, f"{b['time_s']:.2f} s: by {apart:.3g}"))
    if not shown:
        return []
    texts = [text for _, text in sorted(shown, reverse=True)]
    what = name.replace("_", " ")
    return [f"{len(shown)} times the {what} differs by more than {most:g} ({_few(texts)})"]


def _list(value: list | float | None) -> list[float]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _seen(report: dict) -> dict[tuple[str, float], bool]:
    changes = report["summary"]["labelled_changes"]
    return {(c["kind"], round(c["time_s"], 3)): c["seen_after_s"] is not None for c in changes}


def _few(texts: list[str]) -> str:
    more = f"; and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
    return "; ".join(texts[:SHOWN]) + more
