"""Recorded episodes, from bags or from a LeRobotDataset, as the policy would have seen them.

What trains, calibrates and judges reads them all through here.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from cls_vla_ros.inference import Observation
from cls_vla_ros.policy.training.provenance import fingerprint

LABELS = ".labels.json"  # beside a bag
ABOUT = Path("meta", "cls_vla_ros.json")  # in a dataset that bag_to_dataset made
FRAME_TOLERANCE = 0.01  # of a period: stamps are not exact


@dataclass(frozen=True)
class Event:
    """Something that happened in an episode, as a label says.

    Attributes:
        stamp_s: of the first frame that shows it.
        kind: "object_moved", "occluder_in", "light_dimmed_20_percent" and the like.
        scene_change: whether the scene is another one since then; dimmed light is none.
    """

    stamp_s: float
    kind: str
    scene_change: bool


@dataclass(frozen=True)
class Frame:
    """One time of an episode.

    Attributes:
        observation: for the policy.
        action: (A,) float32 in the policy's units, what the recording did then; None if it does
            not say.
    """

    observation: Observation
    action: np.ndarray | None


class Episode(Protocol):
    """One recorded episode.

    Attributes:
        name: for messages and pictures.
        task: the instruction.
        events: its labels, by time; None if it has no labels, which is not the same as none.
        skipped: what was not used in the last pass over its frames, by reason.
    """

    name: str
    task: str
    events: list[Event] | None
    skipped: Counter[str]

    def frames(self, rate_hz: float | None = None) -> Iterator[Frame]:
        """Its frames in order, read anew at each call.

        Args:
            rate_hz: as the node's; every frame if None.
        """


@dataclass(frozen=True)
class Source:
    """What reading takes beside the files.

    Attributes:
        task: the instruction, whatever recording and params file say; None for theirs.
        action_topic: of bags, or several with commas between them; None where actions are not
            needed.
    """

    task: str | None = None
    action_topic: str | None = None


@dataclass
class Reading:
    """A pass over an episode that remembers states and actions, for the fingerprint."""

    states: list[np.ndarray] = field(default_factory=list)
    actions: list[np.ndarray] = field(default_factory=list)

    def add(self, frame: Frame) -> None:
        if frame.action is not None:
            self.states.append(frame.observation.state)
            self.actions.append(frame.action)

    @property
    def fingerprint(self) -> str | None:
        """As provenance has it; None for an episode without actions, which cannot be told."""
        return fingerprint(np.array(self.states), np.array(self.actions)) if self.states else None


def labels_of(bag: Path) -> dict | None:
    """The labels beside a bag; None if there are none.

    Raises:
        ValueError: the file is not JSON, or its events are not as they should be.
    """
    file = bag.parent / f"{bag.name}{LABELS}"
    if not file.is_file():
        return None
    try:
        labels = json.loads(file.read_text())
        events_of(labels)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{file} cannot be used: {type(error).__name__}: {error}. Expected is an object whose "
            '"events" each have "stamp_ns", "kind" and "scene_change"'
        ) from error
    return labels


def events_of(labels: dict) -> list[Event]:
    """The events of labels with stamps in nanoseconds, by time."""
    found = [
        Event(event["stamp_ns"] / 1e9, str(event["kind"]), bool(event["scene_change"]))
        for event in labels.get("events", [])
    ]
    return sorted(found, key=lambda event: event.stamp_s)


def events_between(events: Sequence[Event], before_s: float, now_s: float) -> list[Event]:
    """The events that a frame at `now_s` shows and one at `before_s` did not."""
    return [event for event in events if before_s < event.stamp_s <= now_s]


def frame_period_s(stamps_s: Sequence[float]) -> float:
    """The time from one frame to the next, in seconds: the median.

    Raises:
        ValueError: fewer than two frames.
    """
    if len(stamps_s) < 2:
        raise ValueError(
            f"an episode of {len(stamps_s)} frames has no rate: at least 2 are needed"
        )
    return float(np.median(np.diff(stamps_s)))


class Pace:
    """Lets through what comes at most `rate_hz` times a second, as the node's inferences."""

    def __init__(self, rate_hz: float | None) -> None:
        self._period_s = 0.0 if rate_hz is None else 1 / rate_hz
        self._due_s: float | None = None

    def next_s(self, ready_s: float) -> float:
        """When what is ready at a time is used."""
        at_s = ready_s if self._due_s is None else max(ready_s, self._due_s)
        due_s = at_s if self._due_s is None else self._due_s
        self._due_s = max(due_s + self._period_s, at_s)
        return at_s

    def takes(self, stamp_s: float) -> bool:
        """Whether a frame of a recording with one clock is used: the first that is due."""
        is_early = self._due_s is not None and (
            stamp_s < self._due_s - FRAME_TOLERANCE * self._period_s
        )
        if not is_early:
            self.next_s(stamp_s)
        return not is_early


def fingerprint_of(episode: Episode) -> str | None:
    """As provenance has it; None for an episode without actions, which cannot be told."""
    reading = Reading()
    for frame in episode.frames():
        reading.add(frame)
    return reading.fingerprint
