"""What `calibrate` leaves: a table, a report in JSON, and a picture."""

import argparse
import datetime
import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from rich.console import Console
from rich.table import Table

from cls_vla_ros.evaluation.calibration import steps
from cls_vla_ros.evaluation.calibration.ageing import Ageing
from cls_vla_ros.evaluation.calibration.found import Found
from cls_vla_ros.evaluation.calibration.intervals import Interval
from cls_vla_ros.evaluation.measures.detection import roc
from cls_vla_ros.evaluation.measures.traces import Trace

COLORS = {"ordinary": "tab:blue", "light": "tab:orange", "changed": "tab:red"}
INJECTED = "made by pasting patches and dimming, because no events were labelled"


def changes_are(traces: Sequence[Trace]) -> str:
    """Where the changes come from, in words."""
    made = sum(bool(trace.disturbed) for trace in traces)
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
                "max_deviation",
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
        "intervals": [interval.to_values() for interval in found.intervals],
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


def print_report(found: Found, traces: Sequence[Trace], console: Console) -> None:
    """A table of the intervals, and the limits."""
    table = Table(title=f"Similarity by interval; changes: {changes_are(traces)}")
    for name in ("frames", "seconds", "threshold", "false alarms", "of light", "missed", "AUC"):
        table.add_column(name, justify="right")
    for interval in found.intervals:
        values = interval.to_values()
        shares = [values[n] for n in ("false_alarms", "false_alarms_light", "miss_rate", "auc")]
        table.add_row(
            str(interval.frames),
            f"{interval.seconds:.3f}",
            f"{interval.threshold:.3f}",
            *("-" if share is None else f"{share:.3f}" for share in shares),
        )
    console.print(table)
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


def draw(found: Found, traces: Sequence[Trace], path: Path) -> None:
    """Similarities, thresholds, ROC and ageing."""
    figure, axes = plt.subplots(2, 3, figsize=(16, 8), layout="constrained")
    figure.suptitle(f"{len(traces)} episodes; changes: {changes_are(traces)}", fontsize=10)
    _draw_similarities(axes[0, 0], found.intervals)
    _draw_roc(axes[0, 1], found.intervals)
    _draw_thresholds(axes[1, 0], found.intervals)
    _draw_drift(axes[0, 2], found)
    _draw_steps(axes[1, 2], found)
    _draw_ageing(axes[1, 1], found.ageing, found.intervals, found.max_age_s)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _draw_similarities(axes: Axes, intervals: Sequence[Interval]) -> None:
    for place, interval in enumerate(intervals):
        groups = [(n, getattr(interval, n)) for n in COLORS if len(getattr(interval, n)) > 1]
        for offset, (name, values) in enumerate(groups):
            parts = axes.violinplot(
                values, [place + 0.27 * (offset - (len(groups) - 1) / 2)], widths=0.25
            )
            for part in [*parts["bodies"], *(parts[n] for n in ("cbars", "cmins", "cmaxes"))]:
                part.set_color(COLORS[name])
                part.set_linewidth(0.8)
        label = "threshold" if not place else None
        axes.plot([place - 0.45, place + 0.45], [interval.threshold] * 2, "k-", lw=2, label=label)
    for name, color in COLORS.items():
        axes.plot([], [], color=color, lw=6, alpha=0.5, label=name)
    axes.set_xticks(range(len(intervals)), [str(interval.frames) for interval in intervals])
    axes.set(
        xlabel="frames between full inferences",
        ylabel="similarity",
        title="Similarity of pairs of frames",
    )
    axes.margins(y=0.12)
    axes.legend(fontsize=8, ncols=4, loc="upper center")


def _draw_roc(axes: Axes, intervals: Sequence[Interval]) -> None:
    colors = plt.colormaps["viridis"](np.linspace(0, 0.9, len(intervals)))
    for interval, color in zip(intervals, colors, strict=True):
        area = interval.to_values()["auc"]
        if area is None:
            continue
        axes.plot(
            *roc(-interval.changed, -interval.unchanged),
            color=color,
            label=f"{interval.frames} frames: AUC {area:.3f}",
        )
    axes.plot([0, 1], [0, 1], color="0.7", ls=":", label="chance")
    axes.set(
        xlabel="false alarms (of ordinary and light pairs)",
        ylabel="changes caught",
        title="ROC of the gate",
    )
    axes.legend(fontsize=8, loc="lower right")


def _draw_thresholds(axes: Axes, intervals: Sequence[Interval]) -> None:
    seconds = [interval.seconds for interval in intervals]
    low, middle, high = (
        [np.quantile(interval.ordinary, q) for interval in intervals] for q in (0.05, 0.5, 0.95)
    )
    axes.fill_between(seconds, low, high, color="tab:blue", alpha=0.2, label="ordinary, 5 to 95 %")
    axes.plot(seconds, middle, color="tab:blue", label="ordinary, median")
    axes.plot(seconds, [i.threshold for i in intervals], "ko-", label="threshold")
    axes.set(
        xlabel="time between full inferences [s]",
        ylabel="similarity",
        title="Threshold by interval",
    )
    axes.legend(fontsize=8)


def _draw_ageing(
    axes: Axes, ageing: Ageing, intervals: Sequence[Interval], max_age_s: float
) -> None:
    period_s = intervals[0].seconds / intervals[0].frames
    rows = ageing.to_values()
    seconds = [row["frames"] * period_s for row in rows]
    for name, style in (("median", "o-"), ("p95", "--"), ("p99", ":")):
        axes.plot(seconds, [row[name] for row in rows], style, color="tab:blue", ms=3, label=name)
    axes.axhline(1, color="0.5", lw=1, label="two noises")
    axes.axvline(max_age_s, color="tab:green", lw=2, label=f"oldest: {max_age_s:.2f} s")
    axes.set(
        xlabel="age of the reused prefix [s]",
        ylabel="deviation / that of two noises",
        title="Actions on a reused prefix",
        ylim=(0, None),
    )
    axes.legend(fontsize=8)


def _draw_drift(axes: Axes, found: Found) -> None:
    drift = found.ageing.drift
    points = axes.scatter(drift.motions, drift.deviations, c=drift.ages_s, s=3, alpha=0.5)
    axes.figure.colorbar(points, ax=axes, label="age of the prefix [s]")
    bins = drift.bins()
    for name, q, style in (("median", 0.5, "o-"), ("p95", 0.95, "s--")):
        ends = [end for end, _ in bins]
        axes.plot(ends, [np.quantile(v, q) for _, v in bins], style, ms=3, color="k", label=name)
    axes.axhline(1, color="0.5", lw=1, label="two noises")
    axes.axvline(
        found.max_motion, color="tab:green", lw=2, label=f"furthest: {found.max_motion:.2f}"
    )
    axes.set(
        xlabel="motion since the prefix [standard deviations]",
        ylabel="deviation of what is executed / two noises",
        title="The same by how far the robot moved",
        ylim=(0, max(2.0, 1.2 * max((np.quantile(v, 0.95) for _, v in bins), default=0))),
    )
    axes.legend(fontsize=8, loc="upper left")


def _draw_steps(axes: Axes, found: Found) -> None:
    axes.set(
        title="Fewer denoising steps (--steps)", xlabel="steps", ylabel="deviation / two noises"
    )
    rows = steps.to_values(found.steps)
    for name, style, q in (("median", "o-", 0.5), ("p95", "s--", 0.95)):
        axes.plot([r["num_steps"] for r in rows], [r[name] for r in rows], style, label=name)
        axes.axhline(
            np.quantile(found.ageing.of_noises, q), color="0.5", ls=style[-2:].strip("os"), lw=1
        )
    axes.annotate(
        "grey: median and p95 of two noises", (0.98, 0.02), xycoords="axes fraction", ha="right"
    )
    axes.legend(fontsize=8)
