"""How well a score tells frames before which the scene changed from all others.

A pair is two frames of an episode, some frames apart: the previous full inference and the one now.
Every pair of the episode counts, since a full inference may fall on any frame. It is

- changed, if the first frame that shows a labelled change (scene_change: object moved, occluder in
  or out) lies after the previous full inference and not after now, so that the pair goes across
  the event. A pair within the disturbance (the occluder in both frames) is not;
- light, if it is not changed and goes across an event that changes no scene (light dimmed or
  restored);
- ordinary, if it goes across no event.

Light and ordinary pairs are the unchanged ones, and so are those across the onset of a nuisance
(`nuisance`), which are made, not recorded. An alarm at one of them is a false one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from cls_vla_ros.evaluation.measures.confidence import over_episodes
from cls_vla_ros.recordings.episodes import Event, events_between

ORDINARY, LIGHT, NUISANCE = "ordinary", "light", "nuisance"
ALL = "all"  # changes, of whatever kind


@dataclass(frozen=True)
class Pairs:
    """The pairs of one episode.

    Attributes:
        kinds: of each: "ordinary", "light", "nuisance", or the kind of the first change in it.
        scores: (P,) of each by the detector's name; larger says changed.
        alarms: (P,) bool likewise, for detectors that the node has a threshold for: whether it
            takes the scene for changed.
        frames: apart.
    """

    kinds: np.ndarray
    scores: dict[str, np.ndarray]
    alarms: dict[str, np.ndarray] = field(default_factory=dict)
    frames: int = 1

    @property
    def changed(self) -> np.ndarray:
        return is_change(self.kinds)

    def only(self, which: np.ndarray) -> "Pairs":
        """Some of them, by (P,) bool."""
        scores, alarms = (
            {name: of[which] for name, of in named.items()} for named in (self.scores, self.alarms)
        )
        return Pairs(self.kinds[which], scores, alarms, self.frames)

    def as_kind(self, kind: str) -> "Pairs":
        """The same, all of that kind."""
        kinds = np.full(len(self.kinds), kind, object)
        return Pairs(kinds, self.scores, self.alarms, self.frames)

    def changes(self, group: str) -> int:
        """How many changes they go across: runs of pairs of one kind in that group."""
        inside = self.changed & _in_group(self.kinds, group)
        begins = inside.copy()
        begins[1:] &= ~inside[:-1] | (self.kinds[1:] != self.kinds[:-1])
        return int(begins.sum())


def is_change(kinds: np.ndarray) -> np.ndarray:
    """Of the kinds of pairs, (P,): which go across a change of the scene, (P,) bool."""
    return ~np.isin(kinds, (ORDINARY, LIGHT, NUISANCE))


def kinds_of(events: Sequence[Event], stamps_s: np.ndarray, frames: int) -> np.ndarray:
    """What each pair of frames that far apart is, (F - frames,) of str."""
    return np.array(
        [
            _kind(events_between(events, b, n))
            for b, n in zip(stamps_s[:-frames], stamps_s[frames:], strict=True)
        ],
        dtype=object,
    )


def _kind(events: list[Event]) -> str:
    changes = [event.kind for event in events if event.scene_change]
    return changes[0] if changes else LIGHT if events else ORDINARY


def auc(changed: np.ndarray, unchanged: np.ndarray) -> float:
    """Area under the ROC curve; NaN if there are none of one of them.

    The probability that a changed pair scores higher than an unchanged one, ties counting half
    (the Mann-Whitney statistic; Hanley and McNeil, Radiology 143, 1982).

    Args:
        changed: scores.
        unchanged: scores.
    """
    if not len(changed) or not len(unchanged):
        return float("nan")
    ordered = np.sort(unchanged)
    below = np.searchsorted(ordered, changed, "left")
    not_above = np.searchsorted(ordered, changed, "right")
    return float((below + not_above).mean() / 2 / len(ordered))


def roc(changed: np.ndarray, unchanged: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The curve: share of false alarms and of changes caught, as the threshold falls."""
    cuts = np.unique(np.concatenate([changed, unchanged]))[::-1]
    false = 1 - np.searchsorted(np.sort(unchanged), cuts, "left") / max(len(unchanged), 1)
    caught = 1 - np.searchsorted(np.sort(changed), cuts, "left") / max(len(changed), 1)
    return np.concatenate([[0.0], false]), np.concatenate([[0.0], caught])


def recall(changed: np.ndarray, unchanged: np.ndarray, false_alarms: float) -> float:
    """The share of changed pairs above the threshold that so many unchanged ones are above.

    Args:
        changed: scores.
        unchanged: scores.
        false_alarms: share of the unchanged, at most.
    """
    if not len(changed) or not len(unchanged):
        return float("nan")
    return float((changed > np.quantile(unchanged, 1 - false_alarms, method="higher")).mean())


def measure(
    episodes: Sequence[Pairs], detector: str, false_alarms: float
) -> dict[str, dict[str, float | None]]:
    """How well a score tells changes from all else, whatever its threshold.

    Args:
        episodes: their pairs.
        detector: name of its scores.
        false_alarms: share of the unchanged pairs at which recall is taken: the threshold is these
            pairs' own quantile.

    Returns:
        "auc" and "auc_light" (changed against the light pairs alone), "recall all" and "recall
        object" and so on for the first word of each kind, each {"value", "low", "high"}, see
        `over_episodes`.
    """
    scores = [e.scores[detector] for e in episodes]
    unchanged = [of[~e.changed] for of, e in zip(scores, episodes, strict=True)]
    light = [of[e.kinds == LIGHT] for of, e in zip(scores, episodes, strict=True)]
    of_all = _of_group(episodes, scores, ALL)
    measures = {
        "auc": _with_interval(auc, episodes, ALL, of_all, unchanged),
        "auc_light": _with_interval(auc, episodes, ALL, of_all, light),
    }
    at_share = partial(recall, false_alarms=false_alarms)
    for group in groups_of(episodes):
        changed = _of_group(episodes, scores, group)
        measures[f"recall {group}"] = _with_interval(at_share, episodes, group, changed, unchanged)
    return measures


def deployed(episodes: Sequence[Pairs], detector: str) -> dict[str, dict[str, float | None]]:
    """What the node would say, at the thresholds that it has.

    Args:
        episodes: their pairs.
        detector: name of its alarms.

    Returns:
        "recall all", "recall object" and so on, and "false alarms" (share of the unchanged pairs;
        those that overlap count as one independent sample), each as in `measure`.
    """
    alarms = [e.alarms[detector] for e in episodes]
    unchanged = [of[~e.changed] for of, e in zip(alarms, episodes, strict=True)]
    apart = sum(len(of) / e.frames for of, e in zip(unchanged, episodes, strict=True))
    return {
        **{
            f"recall {group}": _with_interval(
                _share, episodes, group, _of_group(episodes, alarms, group)
            )
            for group in groups_of(episodes)
        },
        "false alarms": over_episodes(_pooled(_share, unchanged), len(episodes), apart),
    }


def _with_interval(
    of: Callable[..., float], episodes: Sequence[Pairs], group: str, *parts: list[np.ndarray]
) -> dict[str, float | None]:
    changes = sum(e.changes(group) for e in episodes)
    return over_episodes(_pooled(of, *parts), len(episodes), changes)


def _pooled(of: Callable[..., float], *parts: list[np.ndarray]) -> Callable[[list[int]], float]:
    """Of chosen episodes' parts together."""

    def chosen(numbers: list[int]) -> float:
        return of(*(np.concatenate([part[k] for k in numbers] or [part[0][:0]]) for part in parts))

    return chosen


def _share(flags: np.ndarray) -> float:
    return float(flags.mean()) if len(flags) else float("nan")


def groups_of(episodes: Sequence[Pairs]) -> list[str]:
    """Of the changes in them: "all", and the first words of their kinds."""
    kinds = {kind for e in episodes for kind in e.kinds[e.changed]}
    return [ALL, *sorted({group_of(kind) for kind in kinds})]


def _of_group(episodes: Sequence[Pairs], values: list[np.ndarray], group: str) -> list[np.ndarray]:
    return [
        of[e.changed & _in_group(e.kinds, group)] for of, e in zip(values, episodes, strict=True)
    ]


def joined(parts: Sequence[Pairs]) -> Pairs:
    """All pairs, with the scores and alarms that each part has."""

    def together(of: Callable[[Pairs], Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
        names = set.intersection(*(set(of(part)) for part in parts))
        return {name: np.concatenate([of(part)[name] for part in parts]) for name in names}

    return Pairs(
        np.concatenate([part.kinds for part in parts]),
        together(lambda part: part.scores),
        together(lambda part: part.alarms),
        parts[0].frames,
    )


def group_of(kind: str) -> str:
    """The first word of it: occluder_in and occluder_out are one group."""
    return kind.split("_")[0]


def _in_group(kinds: np.ndarray, group: str) -> np.ndarray:
    return np.array([group == ALL or group_of(kind) == group for kind in kinds], bool)
