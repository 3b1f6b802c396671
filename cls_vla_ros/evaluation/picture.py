"""The pictures that `evaluate` leaves: detection.png and replays.png."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from cls_vla_ros.evaluation.evaluation import PERIODIC, Evaluated
from cls_vla_ros.evaluation.measures.detection import LIGHT, Pairs, joined, roc
from cls_vla_ros.evaluation.pairs import GATE, GLANCE, GUARD
from cls_vla_ros.evaluation.report import in_words

COLORS = {
    "gate_and_guard": "tab:green",
    "gate_and_glance": "tab:green",
    GATE: "tab:blue",
    GUARD: "tab:olive",
    GLANCE: "tab:orange",
    "pixels": "tab:red",
    "joints": "tab:purple",
    "timer_and_guard": "tab:brown",
    "timer_and_glance": "tab:brown",
    PERIODIC: "0.4",
}
SHOWN = 4  # episodes whose scores are drawn over time

FEW = 10  # a median of fewer is not drawn


def draw(evaluated: Evaluated, report: dict, out: Path) -> None:
    """detection.png and replays.png, for what there is."""
    if evaluated.pairs:
        _draw_detection(evaluated, report["pairs"]["detectors"], out / "detection.png")
    if report["replays"]:
        _draw_replays(report["replays"]["groups"], out / "replays.png")


def _draw_detection(evaluated: Evaluated, detectors: dict, path: Path) -> None:
    figure, axes = plt.subplots(2, 2, figsize=(12, 8), layout="constrained")
    curves, areas = axes[0]
    pairs = joined(evaluated.pairs)
    for place, (name, of) in enumerate(detectors.items()):
        scores = pairs.scores[name]
        curve = roc(scores[pairs.changed], scores[~pairs.changed])
        curves.plot(*curve, color=COLORS[name], label=in_words(name))
        if (area := of["auc"])["value"] is None:
            continue
        errors = None  # of one episode
        if area["low"] is not None:
            errors = [[area["value"] - area["low"]], [area["high"] - area["value"]]]
        areas.errorbar(
            [area["value"]], [-place], xerr=errors, fmt="o", color=COLORS[name], capsize=4
        )
    curves.plot([0, 1], [0, 1], color="0.7", ls=":")
    curves.set(xlabel="false alarms", ylabel="changes caught", title="ROC over pairs of frames")
    curves.legend(fontsize=8, loc="lower right")
    areas.set_yticks([-k for k in range(len(detectors))], [in_words(n) for n in detectors])
    areas.set(title="Area under it, 95 % over episodes", xlabel="AUC")
    areas.grid(axis="x", alpha=0.4)
    looks = GLANCE if GLANCE in detectors else GUARD  # at every frame, in the node
    shown = [name for name in (GATE, looks) if name in detectors]
    for ax, score in zip(axes[1], shown, strict=False):
        _draw_scores(ax, evaluated, score)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _draw_scores(axes: Axes, evaluated: Evaluated, score: str) -> None:
    """The scores of some episodes over their frames, one below the other."""
    step = 0.0
    shown = list(zip(evaluated.names, evaluated.pairs, strict=True))[:SHOWN]
    for place, (name, pairs) in enumerate(shown):
        if score not in pairs.scores:
            return
        values = pairs.scores[score]
        step = step or 1.2 * (max(np.ptp(p.scores[score]) for _, p in shown) or 1.0)
        line = values - values.min() - place * step
        frames = np.arange(len(values))
        axes.plot(frames, line, color="0.6", lw=0.8)
        for flags, color, what in _marks(pairs):
            label = None if place else what
            axes.plot(frames[flags], line[flags], ".", ms=5, color=color, label=label)
        axes.annotate(name, (0, -place * step), fontsize=7, va="top")
    axes.set(title=f"{score}: score of each pair (higher: changed)", xlabel="frame", yticks=[])
    axes.margins(y=0.15)
    axes.legend(fontsize=8, loc="upper right", ncols=2, framealpha=1)


def _marks(pairs: Pairs) -> list[tuple[np.ndarray, str, str]]:
    return [
        (pairs.changed, "tab:red", "across a change"),
        (pairs.kinds == LIGHT, "tab:orange", "across a change of light"),
    ]


def _draw_replays(groups: dict, path: Path) -> None:
    figure, axes = plt.subplots(
        len(groups), 3, figsize=(13, 3.6 * len(groups)), layout="constrained", squeeze=False
    )
    for row, (group, ways) in zip(axes, groups.items(), strict=True):
        places = np.arange(len(ways))
        names = [f"{in_words(way)}\n{of['reuse_fraction']:.0%} reused" for way, of in ways.items()]
        for way, of in ways.items():
            ages = [age for age in of["deviation_by_age"] if age["count"] >= FEW]
            row[0].plot(
                [a["age_s"] for a in ages],
                [a["median"] for a in ages],
                "o-",
                ms=3,
                color=COLORS[way],
                label=in_words(way),
            )
        row[0].set(
            xlabel="age of the prefix [s]",
            ylabel="deviation / two noises",
            title=f"{group}: median",
        )
        row[0].legend(fontsize=7)
        for offset, name in enumerate(("deviation_reused", "deviation_after_change")):
            values = [of[name]["median"] or 0.0 for of in ways.values()]
            tops = [of[name]["p95"] or 0.0 for of in ways.values()]
            colors = [COLORS[way] for way in ways]
            at = places + 0.4 * (offset - 0.5)
            row[1].bar(at, values, 0.36, color=colors, alpha=1 - 0.5 * offset)
            row[1].plot(at, tops, "k_", ms=12)
        row[1].set(
            title="median and p95 (line): reused chunks,\npale: up to 0.5 s after a change",
            ylabel="deviation / two noises",
        )
        caught = [1 - (of["detection"]["all"]["miss_rate"] or 0) for of in ways.values()]
        if any(of["detection"]["all"]["changes"] for of in ways.values()):
            row[2].bar(places[:-1], caught[:-1], 0.5, color=[COLORS[way] for way in ways][:-1])
            for place, of in list(zip(places, ways.values(), strict=True))[:-1]:
                text = f"{of['false_alarms_per_minute']:.1f}\nfalse / min"
                row[2].annotate(text, (place, 0.02), ha="center", fontsize=7)
            row[2].set(title="changes caught", ylim=(0, 1.05), xlim=row[1].get_xlim())
        else:
            rates = [of["false_alarms_per_minute"] for of in ways.values()]
            row[2].bar(places[:-1], rates[:-1], 0.5, color=[COLORS[way] for way in ways][:-1])
            row[2].set(title="false alarms per minute")
        for ax in row[1:]:
            ax.set_xticks(places, names, fontsize=7)
    figure.savefig(path, dpi=110)
    plt.close(figure)
