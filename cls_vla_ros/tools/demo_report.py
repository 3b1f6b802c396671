"""What the demo leaves: a report in JSON, and a picture of the similarity over time."""

import datetime
import math
import statistics
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from cls_vla_ros.msg import ActionChunk, SceneChange
from cls_vla_ros.node.stamps import to_ns
from cls_vla_ros.tools.machine import describe_machine

UNTRAINED = (
    "The demo's policy has random weights and its CLS head is untrained: the similarity, the "
    "scene changes and the actions mean nothing yet. What is real: the node, the recording, the "
    "topics, the gate's arithmetic, the times."
)
CHANGED, AS_PREDICTED, FIRST = "scene changed", "as predicted", "no history"


@dataclass(frozen=True)
class Recorded:
    """What the demo heard.

    Attributes:
        scene_changes: in order.
        chunks: in order.
        reset_ns: ROS time of the reset call.
        start_ns: ROS time of the recording's start.
        events: the recording's labels: stamp_ns, kind, scene_change.
    """

    scene_changes: list[SceneChange]
    chunks: list[ActionChunk]
    reset_ns: int
    start_ns: int
    events: list[dict]

    def seconds(self, ns: int) -> float:
        """Time since the recording's start."""
        return (ns - self.start_ns) / 1e9

    def time_of(self, message: SceneChange | ActionChunk) -> float:
        """When the frame that it is about was taken, since the recording's start."""
        return self.seconds(to_ns(message.header.stamp))


def decision_of(message: SceneChange) -> str:
    """The gate's decision in words."""
    if not message.has_history:
        return FIRST
    return CHANGED if message.scene_changed else AS_PREDICTED


def problems_of(recorded: Recorded) -> list[str]:
    """What is not as it should be after a run with one reset, in words; empty if all is well."""
    messages = recorded.scene_changes
    problems = []
    if [m.inference_id for m in messages] != [c.inference_id for c in recorded.chunks]:
        problems.append(
            f"{len(messages)} scene changes but {len(recorded.chunks)} action chunks, or not the "
            "same"
        )
    episodes = sorted({m.episode for m in messages})
    if len(episodes) != 2:
        problems.append(
            f"inferences in the episodes {episodes}; expected two, one before and one after the "
            "reset"
        )
    for episode in episodes:
        first, *others = [m for m in messages if m.episode == episode]
        if first.has_history or not math.isnan(first.similarity):
            problems.append(f"the first inference of episode {episode} had a history")
        if not others or not all(m.has_history and -1 <= m.similarity <= 1 for m in others):
            problems.append(
                f"the inferences after the first of episode {episode} have no similarity"
            )
    return problems


def make_report(recorded: Recorded, bag: Path, device: str) -> dict:
    """All that was heard, as JSON holds it (NaN becomes null)."""
    messages = recorded.scene_changes
    latencies = sorted(m.total_ms for m in messages) or [math.nan]
    return {
        "note": UNTRAINED,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "device": device,
        "recording": bag.name,
        "events": [
            {**event, "time_s": recorded.seconds(event["stamp_ns"])} for event in recorded.events
        ],
        "reset_s": recorded.seconds(recorded.reset_ns),
        "problems": problems_of(recorded),
        "summary": {
            "inferences": len(messages),
            "action_chunks": len(recorded.chunks),
            "scene_changes": sum(m.scene_changed for m in messages),
            "latency_ms": {
                "median": statistics.median(latencies),
                "p95": latencies[round(0.95 * (len(latencies) - 1))],
            },
        },
        "inferences": [
            {
                "time_s": recorded.time_of(m),
                "inference_id": m.inference_id,
                "episode": m.episode,
                "similarity": None if math.isnan(m.similarity) else m.similarity,
                "threshold": m.threshold,
                "decision": decision_of(m),
                "should_cache": m.should_cache,
                "prefix_reused": m.prefix_reused,
                "reason": m.reason,
                "prefix_ms": m.prefix_ms,
                "denoise_ms": m.denoise_ms,
                "total_ms": m.total_ms,
                "observation_age_ms": m.observation_age_ms,
            }
            for m in messages
        ],
    }


def draw(recorded: Recorded, path: Path) -> None:
    """The similarity over time with threshold, events and reset, and the latency below it."""
    messages = recorded.scene_changes
    times = [recorded.time_of(m) for m in messages]
    figure, (top, bottom) = plt.subplots(
        2, 1, figsize=(11, 6.5), sharex=True, height_ratios=(3, 1), layout="constrained"
    )
    for episode in sorted({m.episode for m in messages}):
        points = [
            (t, m.similarity) for t, m in zip(times, messages, strict=True) if m.episode == episode
        ]
        top.plot(
            *zip(*points, strict=True),
            "o-",
            ms=3,
            lw=1,
            color="tab:blue",
            label="similarity" if episode == messages[0].episode else None,
        )
    top.step(
        times,
        [m.threshold for m in messages],
        where="post",
        color="tab:red",
        ls="--",
        lw=1,
        label="threshold",
    )
    changes = [(t, m.similarity) for t, m in zip(times, messages, strict=True) if m.scene_changed]
    if changes:
        top.plot(*zip(*changes, strict=True), "x", ms=7, color="tab:red", label=CHANGED)
    low, high = top.get_ylim()
    top.set_ylim(low - 0.05 * (high - low), high + 0.32 * (high - low))
    for axes in (top, bottom):
        axes.axvline(
            recorded.seconds(recorded.reset_ns),
            color="tab:green",
            lw=2,
            label="reset" if axes is top else None,
        )
        for event in recorded.events:
            style = "-" if event["scene_change"] else ":"
            axes.axvline(recorded.seconds(event["stamp_ns"]), color="0.4", ls=style, lw=1)
    for event in recorded.events:
        top.annotate(
            event["kind"].replace("_", " "),
            (recorded.seconds(event["stamp_ns"]), 0.98),
            rotation=90,
            fontsize=8,
            xycoords=("data", "axes fraction"),
            xytext=(-3, 0),
            textcoords="offset points",
            ha="right",
            va="top",
            color="0.25",
        )
    top.set(
        ylabel="cosine similarity",
        title="Demo: CLS similarity over time. The CLS head is UNTRAINED: it means nothing yet",
    )
    top.plot([], [], color="0.4", lw=1, label="labelled: changes the scene")
    top.plot([], [], color="0.4", ls=":", lw=1, label="labelled: does not")
    bottom.stackplot(
        times,
        [m.prefix_ms for m in messages],
        [m.denoise_ms for m in messages],
        [m.total_ms - m.prefix_ms - m.denoise_ms for m in messages],
        labels=("prefix", "denoise", "rest of the latency"),
        alpha=0.7,
    )
    bottom.set(
        ylabel="latency [ms]", xlabel="time since the recording's start [s]", ylim=(0, None)
    )
    figure.legend(loc="outside lower center", fontsize=8, ncols=9)
    figure.savefig(path, dpi=110)
    plt.close(figure)
