"""What `calibrate` leaves beside its picture: a table, and a report in JSON."""

import argparse
import datetime
import math
from collections.abc import Sequence

import numpy as np
from rich.console import Console
from rich.table import Table

from cls_vla_ros.evaluation.calibration import steps
from cls_vla_ros.evaluation.calibration.conformal import kept_by, needed
from cls_vla_ros.evaluation.calibration.found import Found
from cls_vla_ros.evaluation.calibration.glance_threshold import GlanceThreshold
from cls_vla_ros.evaluation.calibration.intervals import Interval
from cls_vla_ros.evaluation.measures.traces import Trace

INJECTED = "made by pasting patches and dimming, because no events were labelled"


def changes_are(traces: Sequence[Trace]) -> str:
    """Where the changes come from, in words."""
    made = sum(trace.has_made_changes for trace in traces)
    if made == len(traces):
        return INJECTED
    return "labelled" + (f"; in {made} episodes {INJECTED}" if made else "")


def make_report(found: Found, traces: Sequence[Trace], args: argparse.Namespace) -> dict:
    """All of it, as JSON holds it."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "asked": {
            name: getattr(args, name)
            for name in (
                "false_alarms",
                "miss_rate",
                "reuse_rate",
                "glance_false_alarms",
                "max_tail",
                "max_delay",
                "seed",
            )
        },
        "trained_on_allowed": args.use_trained_on,
        "episodes": [
            {"name": trace.name, "frames": len(trace), "labelled": trace.events is not None}
            for trace in traces
        ],
        "changes": changes_are(traces),
        "nuisances": args.nuisances,
        "intervals": [interval.to_values() for interval in found.intervals],
        "glance": None if found.glance is None else found.glance.to_values(),
        "max_age_s": found.max_age_s,
        "max_reuses": found.max_reuses,
        "two_noises": found.ageing.two_noises,
        "max_motion": found.max_motion,
        "min_spread": found.min_spread,
        "reuse": found.reuse,
        "executed_p95": None if math.isnan(found.executed_p95) else found.executed_p95,
        "ageing": found.ageing.to_values(),
        "drift": found.ageing.drift.to_values(),
        "num_steps": found.num_steps,
        "steps": steps.to_values(found.steps),
        "two_noises_p95": float(np.quantile(found.ageing.of_noises, 0.95)),
    }


def in_words(expected: dict[str, float | None]) -> str:
    """A share with its interval; of one episode nothing is expected."""
    if expected["value"] is None:
        return "-"
    ends = "" if expected["low"] is None else f" [{expected['low']:.3f}, {expected['high']:.3f}]"
    return f"{expected['value']:.3f}{ends}"


def not_promised(intervals: Sequence[Interval], args: argparse.Namespace) -> list[str]:
    """What so few episodes cannot keep, in words; empty where they can."""
    held = [held for interval in intervals for held in (interval.moving, interval.calm)]
    fewest_episodes = min(of.episodes for of in held)
    asked = args.false_alarms or args.miss_rate or 0.05
    if args.reuse_rate is not None or kept_by(fewest_episodes, asked) <= asked:
        return []
    return [
        f"{fewest_episodes} episodes cannot keep {asked:.3g} on others, but "
        f"{kept_by(fewest_episodes, asked):.3g}: {needed(asked)} can. So the thresholds are "
        "such that none of theirs counts"
    ]


def _print_glance(glance: GlanceThreshold, console: Console) -> None:
    values = glance.to_values()
    worst = sorted(values["false_alarms"].items(), key=lambda item: -item[1])[:3]
    missed = "-" if values["miss_rate"] is None else f"{values['miss_rate']:.3f}"
    console.print(
        f"the glance: threshold {glance.threshold:.3f}, false alarms expected of a new episode, "
        f"nuisances among them, {in_words(glance.expected)}; most at "
        + ", ".join(f"{name} {share:.3f}" for name, share in worst)
        + f"; changes missed {missed}",
        highlight=False,
    )
    if glance.threshold >= 1:
        console.print(
            "[bold red]no threshold of the glance keeps that: it is off, and the frame guard "
            "looks in its place[/bold red]"
        )


def print_report(
    found: Found, traces: Sequence[Trace], args: argparse.Namespace, console: Console
) -> None:
    """A table of the intervals, and the limits."""
    table = Table(
        title=f"Similarity by interval; changes: {changes_are(traces)}",
        caption="false alarms: expected of a new episode, from each at the thresholds that the "
        "others give; in brackets the 95 % interval",
    )
    columns = ("frames", "seconds", "moving", "calm", "false alarms", "of light", "missed", "AUC")
    for name in columns:
        table.add_column(name, justify="right")
    for interval in found.intervals:
        values = interval.to_values()
        shares = [values[name] for name in ("false_alarms_light", "miss_rate", "auc")]
        table.add_row(
            str(interval.frames),
            f"{interval.seconds:.3f}",
            f"{interval.row.moving:.3f}",
            f"{interval.row.calm:.3f}",
            in_words(interval.expected),
            *("-" if share is None else f"{share:.3f}" for share in shares),
        )
    console.print(table)
    for text in not_promised(found.intervals, args):
        console.print(f"[yellow]{text}[/yellow]", highlight=False)
    if found.glance is not None:
        _print_glance(found.glance, console)
    console.print(
        f"a prefix may be {found.max_age_s:.3f} s old, be reused {found.max_reuses} times in a "
        f"row, and the robot may have moved by {found.max_motion:.3g} standard deviations since: "
        f"{found.reuse:.0%} of these episodes' inferences reuse one, and 95 % of what is executed "
        f"then is within {found.executed_p95:.2f} of two noises of a full recompute",
        highlight=False,
    )
    explained = found.ageing.drift.explained()
    console.print(
        "rank correlation with the deviation: "
        + ", ".join(
            f"{name.replace('_', ' ')} {'-' if value is None else f'{value:.2f}'}"
            for name, value in explained.items()
        ),
        highlight=False,
    )
    _print_steps(found, console)
    if not found.max_reuses:
        console.print(
            "[bold red]the actions on a reused prefix deviate too much at every age: nothing will "
            "be reused[/bold red]"
        )


def _print_steps(found: Found, console: Console) -> None:
    rows = steps.to_values(found.steps)
    if not rows:
        return
    table = Table(title="Denoising steps: deviation from the checkpoint's own, in two noises")
    for name in ("steps", "median", "p95", "time of a full inference, ms"):
        table.add_column(name, justify="right")
    for row in rows:
        values = (row["median"], row["p95"], row["full_ms"])
        table.add_row(str(row["num_steps"]), *(f"{value:.2f}" for value in values))
    median, p95 = np.quantile(found.ageing.of_noises, steps.QUANTILES)
    table.caption = f"of two noises: median {median:.2f}, p95 {p95:.2f}"
    console.print(table)
    console.print(
        "none of them is within the policy's own noise: num_steps stays"
        if found.num_steps is None
        else f"num_steps: {found.num_steps}",
        highlight=False,
    )
