"""What a replay with reuse did: how far its actions are off, and which changes it saw."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cls_vla_ros.evaluation.measures.confidence import over_episodes
from cls_vla_ros.evaluation.measures.detection import ALL, group_of
from cls_vla_ros.evaluation.measures.matching import Look, match
from cls_vla_ros.evaluation.measures.replays import Step
from cls_vla_ros.inference import Reason
from cls_vla_ros.recordings.episodes import Event, events_between

# Guard and glance.
EYE = (Reason.FRAME_DIFFERENT, Reason.FRAME_BLACK, Reason.FRAME_FROZEN, Reason.GLANCE)
AFTER_CHANGE_S = 0.5  # how long after a change an inference counts as one after it


@dataclass(frozen=True)
class Catch:
    """What became of one labelled change of the scene in a replay.

    Attributes:
        group: "object" or "occluder", the first word of its kind.
        caught: whether the first full inference that shows it was due to guard or glance, or made
            the gate say so. Later nothing can: the change is in the new prefix.
        delay_s: from the first frame that shows it to that inference, caught or not.
    """

    group: str
    caught: bool
    delay_s: float


@dataclass(frozen=True)
class Played:
    """One replay of one episode.

    Attributes:
        reused: (F,) bool, of each inference.
        ages_s: (F,) of the prefix it used, in whole steps of the recording; 0 if computed.
        deviation: (F,) from the full recompute with the same noise, in units of two noises.
        after_change: (F,) bool: within 0.5 s after a change of the scene.
        catches: of its changes.
        false_alarms: how often gate, guard or glance spoke up without a change since the last
            prefix.
        duration_s: of the replay.
        episode: its name.
    """

    reused: np.ndarray
    ages_s: np.ndarray
    deviation: np.ndarray
    after_change: np.ndarray
    catches: list[Catch]
    false_alarms: int
    duration_s: float
    episode: str = ""


def spoke_up(step: Step) -> bool:
    """Whether gate, guard or glance took the scene for changed in this inference."""
    inference = step.inference
    by_gate = not inference.prefix_reused and inference.decision.scene_changed
    return by_gate or inference.reason in EYE


def played(
    steps: Sequence[Step], deviation: np.ndarray, events: Sequence[Event], episode: str = ""
) -> Played:
    """Look at a replay.

    Args:
        steps: of it.
        deviation: (F,), see `Played`.
        events: the episode's labels.
        episode: its name.

    Raises:
        ValueError: fewer than two steps.
    """
    if len(steps) < 2:
        raise ValueError(
            f"a replay of {len(steps)} inferences says nothing: at least 2 are needed"
        )
    changes = [event for event in events if event.scene_change]
    ages_s = np.array([step.inference.cache_age_s for step in steps])
    step_s = np.diff([step.stamp_s for step in steps]).min()
    looks = [
        Look(step.stamp_s, spoke_up(step)) for step in steps if not step.inference.prefix_reused
    ]
    shown, false_alarms = match(looks, events, began_s=steps[0].stamp_s)
    return Played(
        np.array([step.inference.prefix_reused for step in steps]),
        np.round(np.round(ages_s / step_s) * step_s, 4),
        deviation,
        np.array(
            [bool(events_between(changes, s.stamp_s - AFTER_CHANGE_S, s.stamp_s)) for s in steps]
        ),
        [Catch(group_of(s.event.kind), s.caught, s.delay_s) for s in shown],
        len(false_alarms),
        steps[-1].stamp_s - steps[0].stamp_s,
        episode,
    )


def summary(replays: Sequence[Played]) -> dict[str, object]:
    """Of the same way over several episodes, as JSON holds it.

    Args:
        replays: of one episode there may be several, which began at other frames.
    """
    reused, deviation, after = (
        np.concatenate([getattr(r, name) for r in replays])
        for name in ("reused", "deviation", "after_change")
    )
    catches = [catch for r in replays for catch in r.catches]
    minutes = sum(r.duration_s for r in replays) / 60
    return {
        "episodes": len({r.episode for r in replays}),
        "replays": len(replays),
        "inferences": len(reused),
        "reuse_fraction": float(reused.mean()),
        "deviation": quantiles(deviation),
        "deviation_reused": quantiles(deviation[reused]),
        "deviation_after_change": quantiles(deviation[after]),
        "deviation_by_age": _by_age(np.concatenate([r.ages_s for r in replays]), deviation),
        "detection": {
            group: _detection(replays, group)
            for group in [ALL, *sorted({c.group for c in catches})]
        },
        "false_alarms_per_minute": sum(r.false_alarms for r in replays) / minutes,
    }


def quantiles(values: np.ndarray) -> dict[str, float | int | None]:
    """Median, p95 and p99; null without values."""
    found = np.quantile(values, (0.5, 0.95, 0.99)).tolist() if len(values) else [None] * 3
    return {"count": len(values), **dict(zip(("median", "p95", "p99"), found, strict=True))}


def _detection(replays: Sequence[Played], group: str) -> dict[str, object]:
    catches: list[list[Catch]] = []  # by episode
    changes = 0
    for name in dict.fromkeys(r.episode for r in replays):
        of_replays = [
            [catch for catch in r.catches if group in (ALL, catch.group)]
            for r in replays
            if r.episode == name
        ]
        catches.append([catch for inside in of_replays for catch in inside])
        changes += max(map(len, of_replays))  # several replays show the same changes

    def miss_rate(numbers: list[int]) -> float:
        caught = [catch.caught for k in numbers for catch in catches[k]]
        return 1 - float(np.mean(caught)) if caught else float("nan")

    missed = over_episodes(miss_rate, len(catches), changes)
    delays = [catch.delay_s for of_episode in catches for catch in of_episode if catch.caught]
    return {
        "changes": changes,
        "shown": sum(map(len, catches)),
        "miss_rate": missed["value"],
        "miss_rate_interval": None if missed["low"] is None else [missed["low"], missed["high"]],
        "delay_s": {
            "median": float(np.median(delays)) if delays else None,
            "largest": max(delays, default=None),
        },
    }


def _by_age(ages_s: np.ndarray, deviation: np.ndarray) -> list[dict[str, float | int | None]]:
    return [
        {"age_s": float(age), **quantiles(deviation[ages_s == age])}
        for age in np.unique(ages_s[ages_s > 0])
    ]
