"""What a run over a recording leaves as JSON."""

import datetime
import math
import statistics
from dataclasses import dataclass
from pathlib import Path

from cls_vla_ros.console.machine import describe_machine
from cls_vla_ros.evaluation.measures.matching import Look, match
from cls_vla_ros.msg import ActionChunk, SceneChange
from cls_vla_ros.recordings.episodes import Event
from cls_vla_ros.robot.stamps import to_ns

UNTRAINED = (
    "This policy's CLS head is untrained: the similarity and the scene changes mean nothing. What "
    "is real: the node, the recording, the topics, the gate's arithmetic, the times."
)
CHANGED, AS_PREDICTED, FIRST, REUSED = "scene changed", "as predicted", "no history", "reused"


@dataclass(frozen=True)
class Recorded:
    """What the demo heard.

    Attributes:
        scene_changes: in order.
        chunks: in order.
        reset_ns: ROS time of the reset call; None if there was none.
        start_ns: ROS time of the recording's start.
        events: the recording's labels: stamp_ns, kind, scene_change.
        trained: whether the policy's CLS head is.
    """

    scene_changes: list[SceneChange]
    chunks: list[ActionChunk]
    reset_ns: int | None
    start_ns: int
    events: list[dict]
    trained: bool

    def seconds(self, ns: int) -> float:
        """Time since the recording's start."""
        return (ns - self.start_ns) / 1e9

    def time_of(self, message: SceneChange | ActionChunk) -> float:
        """When the frame that it is about was taken, since the recording's start."""
        return self.seconds(to_ns(message.header.stamp))


def decision_of(message: SceneChange) -> str:
    """The gate's decision in words, or that it was not asked."""
    if message.prefix_reused:
        return REUSED
    if not message.has_history:
        return FIRST
    return CHANGED if message.scene_changed else AS_PREDICTED


@dataclass(frozen=True)
class Seen:
    """What the gate said of the labelled changes of the scene.

    Attributes:
        delays_s: for each labelled change, by its kind and time in seconds, how long after the
            first frame that shows it the gate said that the scene changed; None if it did not.
        false_alarms: times at which it said so without a change since the last full inference, in
            seconds.
    """

    delays_s: dict[tuple[str, float], float | None]
    false_alarms: list[float]


def seen_by_the_gate(recorded: Recorded) -> Seen:
    """Compare what the gate said with the labels."""
    changes = [
        Event(recorded.seconds(event["stamp_ns"]), event["kind"], True)
        for event in recorded.events
        if event["scene_change"]
    ]
    looks = [
        Look(recorded.time_of(message), message.scene_changed)
        for message in recorded.scene_changes
        if message.evaluated
    ]
    shown, false_alarms = match(looks, changes, began_s=-math.inf)
    delays: dict[tuple[str, float], float | None] = {
        (event.kind, event.stamp_s): None for event in changes
    }
    delays |= {(s.event.kind, s.event.stamp_s): s.delay_s for s in shown if s.caught}
    return Seen(delays, false_alarms)


def problems_of(recorded: Recorded) -> list[str]:
    """What is not as it should be after a run, in words; empty if all is well."""
    messages = recorded.scene_changes
    problems = []
    if [m.inference_id for m in messages] != [c.inference_id for c in recorded.chunks]:
        problems.append(
            f"{len(messages)} scene changes but {len(recorded.chunks)} action chunks, or not the "
            "same"
        )
    episodes = sorted({m.episode for m in messages})
    expected = "one" if recorded.reset_ns is None else "two, one before and one after the reset"
    if len(episodes) != (1 if recorded.reset_ns is None else 2):
        problems.append(f"inferences in the episodes {episodes}; expected {expected}")
    for episode in episodes:
        first, *others = [m for m in messages if m.episode == episode]
        if first.has_history or not math.isnan(first.similarity):
            problems.append(f"the first inference of episode {episode} had a history")
        others = [m for m in others if m.evaluated]  # there is none on a reused prefix
        # An untrained head's is noise, and not published.
        have = [
            m.has_history and (not recorded.trained or -1 <= m.similarity <= 1) for m in others
        ]
        if not others or not all(have):
            problems.append(
                f"the full inferences after the first of episode {episode} have no similarity"
            )
    return problems


def make_report(recorded: Recorded, bag: Path, device: str) -> dict:
    """All that was heard, as JSON holds it (NaN becomes null)."""
    messages = recorded.scene_changes
    latencies = sorted(m.total_ms for m in messages) or [math.nan]
    seen = seen_by_the_gate(recorded)
    first_actions = {c.inference_id: list(c.data[: c.action_dim]) for c in recorded.chunks}
    return {
        "note": None if recorded.trained else UNTRAINED,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "device": device,
        "recording": bag.name,
        "events": [
            {**event, "time_s": recorded.seconds(event["stamp_ns"])} for event in recorded.events
        ],
        "reset_s": None if recorded.reset_ns is None else recorded.seconds(recorded.reset_ns),
        "problems": problems_of(recorded),
        "summary": {
            "inferences": len(messages),
            "action_chunks": len(recorded.chunks),
            "reused": sum(m.prefix_reused for m in messages),
            "scene_changes": sum(m.scene_changed for m in messages),
            "labelled_changes": [
                {"kind": kind, "time_s": time_s, "seen_after_s": delay_s}
                for (kind, time_s), delay_s in seen.delays_s.items()
            ],
            "false_alarms_s": seen.false_alarms,
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
                "first_action": first_actions.get(m.inference_id),
            }
            for m in messages
        ],
    }
