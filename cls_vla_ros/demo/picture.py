"""A run in one picture: what changed, what the gate said, what was commanded, what it took."""

import math
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import ConnectionPatch, Patch

from cls_vla_ros.demo.report import CHANGED, Recorded
from cls_vla_ros.demo.shown import Shown
from cls_vla_ros.inference import Reason
from cls_vla_ros.msg import ActionChunk

MOST_VALUES = 4  # of an action; those that move most
WIDTH, STRIP, SIMILARITY, WORM, LATENCY = 11.0, 2.9, 3.2, 0.95, 1.2  # inches
COLOURS = plt.get_cmap("tab20").colors
STANDING_OUT = {Reason.REUSED: (0.82, 0.9, 0.82), Reason.SCENE_CHANGED: to_rgb("tab:red")}


def draw(recorded: Recorded, shown: Shown, path: Path) -> None:
    """Filmstrip, similarity with threshold and reasons, chunks over what was, latency.

    Args:
        recorded: what the node said.
        shown: what the recording shows.
        path: of the PNG.
    """
    worms = _values_that_move(recorded.chunks)
    strip = STRIP if recorded.events else 0.0
    heights = [SIMILARITY, *[WORM] * len(worms), LATENCY]
    figure = plt.figure(figsize=(WIDTH, strip + sum(heights) + 0.9), layout="constrained")
    upper, lower = figure, figure
    if recorded.events:
        upper, lower = figure.subfigures(2, 1, height_ratios=[strip, sum(heights) + 0.9])
    axes = lower.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    _draw_similarity(axes[0], recorded)
    for ax, number in zip(axes[1:-1], worms, strict=True):
        _draw_worm(ax, recorded, shown, number)
    _draw_latency(axes[-1], recorded)
    for number, ax in enumerate(axes):
        _mark(ax, recorded, label=number == 0)
    handles, labels = [], []
    for ax in axes:
        more = ax.get_legend_handles_labels()
        known = [i for i, label in enumerate(more[1]) if label not in labels]
        handles += [more[0][i] for i in known]
        labels += [more[1][i] for i in known]
    handles += [Patch(color=_colour(reason)) for reason in _reasons(recorded)]
    labels += [_words(reason) for reason in _reasons(recorded)]
    lower.legend(handles, labels, loc="outside lower center", fontsize=8, ncols=4)
    if recorded.events:
        _draw_strip(upper, axes[0], recorded, shown)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _values_that_move(chunks: list[ActionChunk]) -> list[int]:
    if not chunks:
        return []
    spans = np.ptp([c.data[: c.action_dim] for c in chunks], axis=0)
    return sorted(np.argsort(spans)[::-1][:MOST_VALUES].tolist())


def _draw_strip(
    figure: Figure | SubFigure, similarity: Axes, recorded: Recorded, shown: Shown
) -> None:
    """The picture before each event above the first that shows it, tied to the event's time."""
    axes = figure.subplots(2, len(recorded.events), squeeze=False)
    for column, (event, pair) in enumerate(zip(recorded.events, shown.pairs, strict=True)):
        for row, picture in enumerate(pair):
            ax = axes[row][column]
            ax.set_xticks([])
            ax.set_yticks([])
            if picture is not None:
                ax.imshow(picture)
        axes[0][column].set_title(event["kind"].replace("_", " "), fontsize=9)
        tie = ConnectionPatch(
            (0.5, 0.0),
            (recorded.seconds(event["stamp_ns"]), 1.0),
            axes[1][column].transAxes,
            similarity.get_xaxis_transform(),
            color="0.4",
            lw=1,
            ls="-" if event["scene_change"] else ":",
        )
        figure.figure.add_artist(tie)
    axes[0][0].set_ylabel("before", fontsize=9)
    axes[1][0].set_ylabel("first frame\nthat shows it", fontsize=9)


def _draw_similarity(ax: Axes, recorded: Recorded) -> None:
    messages = recorded.scene_changes
    # On a reused prefix there is no new similarity.
    evaluated = [(recorded.time_of(m), m) for m in messages if m.evaluated]
    for number, episode in enumerate(sorted({m.episode for m in messages})):
        of_episode = [(t, m) for t, m in evaluated if m.episode == episode]
        times = [t for t, _ in of_episode]
        similarities = [m.similarity for _, m in of_episode]
        thresholds = [m.threshold if m.has_history else math.nan for _, m in of_episode]
        # The similarity of each episode, with one entry in the legend for all of them.
        says = (lambda text: text) if number == 0 else (lambda text: None)
        ax.plot(times, similarities, "o-", ms=4, lw=1, color="tab:blue",
                label=says("similarity, at full inferences"))  # fmt: skip
        ax.plot(times, thresholds, "_--", color="tab:red", lw=0.6,
                label=says("threshold, by the time between them"))  # fmt: skip
    changed = [(t, m.similarity) for t, m in evaluated if m.scene_changed]
    if changed:
        ax.plot(*zip(*changed, strict=True), "x", ms=7, color="tab:red", label=CHANGED)
    low, high = ax.get_ylim()
    ax.set_ylim(low - 0.12 * (high - low), high + 0.05 * (high - low))
    times = [recorded.time_of(m) for m in messages]
    ends = [*times[1:], times[-1] + _period(times)] if times else []
    for start, end, message in zip(times, ends, messages, strict=True):
        ax.axvspan(start, end, 0.0, 0.05, color=_colour(Reason(message.reason)), lw=0)
    title = "" if recorded.trained else "The CLS head is UNTRAINED: the similarity means nothing"
    ax.set(ylabel="cosine similarity", title=title)
    ax.set_yticks([tick for tick in ax.get_yticks() if low <= tick <= 1])


def _draw_worm(ax: Axes, recorded: Recorded, shown: Shown, number: int) -> None:
    """Each chunk of one value fades over what the robot did."""
    chunks = recorded.chunks
    name, unit = chunks[0].names[number], chunks[0].units[number]
    for index, chunk in enumerate(chunks):
        start = recorded.time_of(chunk)
        values = np.array(chunk.data).reshape(-1, chunk.action_dim)[:, number]
        times = start + chunk.dt * np.arange(len(values))
        points = np.column_stack([times, values])
        # Each later step is further from what was seen.
        fading = [(*to_rgb("tab:orange"), a) for a in np.linspace(0.8, 0.1, len(points))]
        worm = LineCollection(np.stack([points[:-1], points[1:]], 1), colors=fading, lw=0.8)
        ax.add_collection(worm)
        if index == 0:
            ax.plot(
                [], [], color="tab:orange", label="chunks, each fading from its observation on"
            )
    if name in shown.positions:
        times = shown.stamps_s - recorded.start_ns / 1e9
        ax.plot(times, shown.positions[name], color="black", lw=1.4, label="measured")
    else:
        times = [recorded.time_of(chunk) for chunk in chunks]
        firsts = [chunk.data[number] for chunk in chunks]
        ax.plot(times, firsts, color="black", lw=1.0, label="first steps: no joint, not measured")
    ax.autoscale_view()
    ax.set_ylabel(f"{name}\n[{unit}]" if unit else name, fontsize=8)
    ax.tick_params(labelsize=7)


def _draw_latency(ax: Axes, recorded: Recorded) -> None:
    messages = recorded.scene_changes
    ax.stackplot(
        [recorded.time_of(m) for m in messages],
        [m.prefix_ms for m in messages],
        [m.denoise_ms for m in messages],
        [m.total_ms - m.prefix_ms - m.denoise_ms for m in messages],
        labels=("prefix", "denoise", "rest of the latency"),
        alpha=0.7,
    )
    ax.set(ylabel="latency [ms]", xlabel="time since the recording's start [s]", ylim=(0, None))


def _mark(ax: Axes, recorded: Recorded, *, label: bool) -> None:
    """The labelled events, and the reset."""
    said = set()
    for event in recorded.events:
        is_change = event["scene_change"]
        text = f"labelled: {'changes' if is_change else 'does not change'} the scene"
        ax.axvline(
            recorded.seconds(event["stamp_ns"]),
            color="0.4",
            ls="-" if is_change else ":",
            lw=1,
            label=text if label and text not in said else None,
        )
        said.add(text)
    if recorded.reset_ns is not None:
        when = recorded.seconds(recorded.reset_ns)
        ax.axvline(when, color="tab:green", lw=2, label="reset" if label else None)


def _reasons(recorded: Recorded) -> list[Reason]:
    return [Reason(number) for number in sorted({m.reason for m in recorded.scene_changes})]


def _colour(reason: Reason) -> tuple[float, ...]:
    return STANDING_OUT.get(reason, COLOURS[int(reason) % len(COLOURS)])


def _words(reason: Reason) -> str:
    if reason is Reason.REUSED:
        return "prefix reused"
    return f"computed: {reason.words}"


def _period(times: list[float]) -> float:
    return float(np.median(np.diff(times))) if len(times) > 1 else 0.0
