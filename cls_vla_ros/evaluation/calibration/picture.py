"""The picture that `calibrate` leaves: similarities, thresholds, ROC, drift, ageing, steps."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from cls_vla_ros.evaluation.calibration import steps
from cls_vla_ros.evaluation.calibration.ageing import Ageing
from cls_vla_ros.evaluation.calibration.found import Found
from cls_vla_ros.evaluation.calibration.intervals import Interval
from cls_vla_ros.evaluation.calibration.report import changes_are
from cls_vla_ros.evaluation.measures.detection import roc
from cls_vla_ros.evaluation.measures.traces import Trace

COLORS = {"ordinary": "tab:blue", "light": "tab:orange", "changed": "tab:red"}


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
        groups = [(name, getattr(interval, name).values) for name in COLORS]
        groups = [(name, values) for name, values in groups if len(values) > 1]
        for offset, (name, values) in enumerate(groups):
            parts = axes.violinplot(
                values, [place + 0.27 * (offset - (len(groups) - 1) / 2)], widths=0.25
            )
            for part in [*parts["bodies"], *(parts[n] for n in ("cbars", "cmins", "cmaxes"))]:
                part.set_color(COLORS[name])
                part.set_linewidth(0.8)
        for name, style in (("moving", "k-"), ("calm", "k:")):
            label = f"threshold, {name}" if not place else None
            threshold = getattr(interval.row, name)
            axes.plot([place - 0.45, place + 0.45], [threshold] * 2, style, lw=2, label=label)
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
            *roc(-interval.changed.values, -interval.unchanged),
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
    if all(len(i.ordinary) for i in intervals):
        low, middle, high = (
            [np.quantile(i.ordinary.values, q) for i in intervals] for q in (0.05, 0.5, 0.95)
        )
        label = "ordinary, 5 to 95 %"
        axes.fill_between(seconds, low, high, color="tab:blue", alpha=0.2, label=label)
        axes.plot(seconds, middle, color="tab:blue", label="ordinary, median")
    axes.plot(seconds, [i.row.moving for i in intervals], "ko-", label="threshold, moving")
    axes.plot(seconds, [i.row.calm for i in intervals], "ko:", label="threshold, calm")
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
