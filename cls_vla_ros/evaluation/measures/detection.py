"""How well a score tells frames before which the scene changed from all others.

A pair is two frames of an episode, some frames apart: the previous full inference and the one now.
Every pair of the episode counts, since a full inference may fall on any frame. It is

- changed, if the first frame that shows a labelled change (scene_change: object moved, occluder in
  or out) lies after the previous full inference and not after now, so that the pair goes across
  the event. A pair within the disturbance (the occluder in both frames) is not;
- light, if it is not changed and goes across an event that changes no scene (light dimmed or
  restored);
- ordinary, if it goes across no event.

Light and ordinary pairs are the unchanged ones. An alarm at one of them is a false one.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from cls_vla_ros.recordings.episodes import Event, events_between

ORDINARY, LIGHT = "ordinary", "light"
RESAMPLES = 1000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Pairs:
    """The pairs of one episode.

    Attributes:
        kinds: of each: "ordinary", "light", or the kind of the first change in it.
        scores: (P,) of each by the detector's name; larger says changed.
    """

    kinds: np.ndarray
    scores: dict[str, np.ndarray]

    @property
    def changed(self) -> np.ndarray:
        return ~np.isin(self.kinds, (ORDINARY, LIGHT))


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
    episodes: Sequence[Pairs], detector: str, false_alarms: float, seed: int = 0
) -> dict[str, object]:
    """What is said of a detector over episodes.

    Args:
        episodes: their pairs.
        detector: name of its scores.
        false_alarms: share of the unchanged pairs at which recall is taken.
        seed: of the bootstrap.

    Returns:
        "auc" and "auc_light" (changed against the light pairs alone), "recall all" and "recall
        object" and so on for the first word of each kind, each {"value", "low", "high"}: 95 %
        percentile intervals over resampled episodes, because pairs of one episode are alike.
    """
    scores = [(e.scores[detector], e) for e in episodes]
    unchanged = [of[~e.changed] for of, e in scores]
    of_light = [of[e.kinds == LIGHT] for of, e in scores]

    def changed(group: str) -> list[np.ndarray]:
        return [of[e.changed & _in_group(e.kinds, group)] for of, e in scores]

    groups = ["all", *sorted({group_of(kind) for e in episodes for kind in e.kinds[e.changed]})]
    measures: dict[str, tuple[Callable, list[np.ndarray], list[np.ndarray]]] = {
        "auc": (auc, changed("all"), unchanged),
        "auc_light": (auc, changed("all"), of_light),
    }
    for group in groups:
        at_share = partial(recall, false_alarms=false_alarms)
        measures[f"recall {group}"] = (at_share, changed(group), unchanged)
    everything = range(len(episodes))
    random = np.random.default_rng(seed)
    resamples = random.integers(0, len(episodes), (RESAMPLES, len(episodes)))
    return {
        name: _with_interval(
            lambda chosen, of=of, one=one, other=other: of(
                np.concatenate([one[i] for i in chosen]),
                np.concatenate([other[i] for i in chosen]),
            ),
            everything,
            resamples,
        )
        for name, (of, one, other) in measures.items()
    }


def _with_interval(
    of: Callable[[Iterable[int]], float], everything: Iterable[int], resamples: np.ndarray
) -> dict[str, float]:
    drawn = np.array([of(chosen) for chosen in resamples])
    known = drawn[~np.isnan(drawn)]
    tails = (50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE))
    low, high = np.percentile(known, tails).tolist() if len(known) else [np.nan] * 2
    return {"value": of(everything), "low": low, "high": high}


def joined(episodes: Sequence[Pairs], detector: str) -> Pairs:
    """All their pairs, with the scores of one detector."""
    return Pairs(
        np.concatenate([e.kinds for e in episodes]),
        {detector: np.concatenate([e.scores[detector] for e in episodes])},
    )


def group_of(kind: str) -> str:
    """The first word of it: occluder_in and occluder_out are one group."""
    return kind.split("_")[0]


def _in_group(kinds: np.ndarray, group: str) -> np.ndarray:
    return np.array([group == "all" or group_of(kind) == group for kind in kinds], bool)
