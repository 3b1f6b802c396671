"""Thresholds whose alarms hold on episodes that nobody has seen: conformal risk control.

The frames of an episode are alike, so the unit is an episode, and its risk is the share of its
ordinary pairs that are taken for changed. A. N. Angelopoulos, S. Bates, A. Fisch, L. Lei and
T. Schuster, "Conformal Risk Control", ICLR 2024: where the risk of each is at most B and does not
rise with the threshold, the lowest threshold with

    n / (n + 1) * mean risk of n episodes + B / (n + 1) <= share

keeps the expected risk of a further episode, of the same kind, at or below the share. With B = 1
that says nothing for fewer than 19 episodes at 5 %. So B is WORST: a gate that takes every fourth
ordinary pair of an episode for changed is as bad as one gets. Where an episode may be worse than
that, the expected risk is at most `promised`, which follows from B = 1 and the same threshold.
What few episodes cannot promise even so is not promised: then none of their ordinary pairs alarms.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cls_vla_ros.evaluation.measures.confidence import share_interval

WORST = 0.25
NINE_OF_TEN = 0.9
SLACK = 1e-9  # of sums of shares

# Scores of an episode, larger ones say changed; in parts that weigh the same, however long.
Parts = Sequence[np.ndarray]


@dataclass(frozen=True)
class Held:
    """A threshold that holds.

    Attributes:
        cut: alarms are the scores above it.
        without: (E,) the cut that the others give, for each episode; NaN where there are none.
        episodes: how many had a part in it.
        promised: the expected risk of a further episode is not above, whatever it is like.
    """

    cut: float
    without: np.ndarray
    episodes: int
    promised: float


def risk(parts: Parts, cut: float) -> float:
    """The share of alarms in an episode, mean over its parts; NaN without scores."""
    shares = [(part > cut).mean() for part in parts if len(part)]
    return float(np.mean(shares)) if shares else float("nan")


def kept_by(episodes: int, share: float) -> float:
    """What so many episodes can keep, where `share` is asked for and none is worse than WORST."""
    return max(share, WORST / (episodes + 1))


def promised_by(episodes: int, share: float) -> float:
    """Likewise, however bad one is."""
    return min(kept_by(episodes, share) + (1 - WORST) / (episodes + 1), 1.0)


def needed(share: float) -> int:
    """How many episodes can keep a share."""
    return int(np.ceil(WORST / share - 1 - SLACK))


def hold(episodes: Sequence[Parts], share: float) -> Held | None:
    """The lowest cut that keeps the share of alarms in a further episode.

    Args:
        episodes: ordinary scores of each; one without any has no part in it.
        share: asked for, in (0, 1).

    Returns:
        None where no episode has scores.
    """
    known = [k for k, parts in enumerate(episodes) if any(len(part) for part in parts)]
    if not known:
        return None
    in_order = {k: [np.sort(part) for part in episodes[k] if len(part)] for k in known}
    without = np.full(len(episodes), np.nan)
    cut = _lowest_cut(list(in_order.values()), share)
    for left in range(len(episodes)):
        others = [in_order[k] for k in known if k != left]
        if others:
            without[left] = _lowest_cut(others, share)
    return Held(cut, without, len(known), promised_by(len(known), share))


def _lowest_cut(episodes: list[list[np.ndarray]], share: float) -> float:
    count = len(episodes)
    allowed = (kept_by(count, share) * (count + 1) - WORST) / count
    candidates = np.unique(np.concatenate([part for parts in episodes for part in parts]))

    def mean_risk(cut: float) -> float:
        risks = (
            np.mean([1 - np.searchsorted(part, cut, "right") / len(part) for part in parts])
            for parts in episodes
        )
        return float(np.mean(list(risks)))

    low, high = 0, len(candidates) - 1  # nothing is above the largest
    while low < high:
        middle = (low + high) // 2
        if mean_risk(candidates[middle]) <= allowed + SLACK:
            high = middle
        else:
            low = middle + 1
    return float(candidates[low])


def expected(rates: np.ndarray, samples: float) -> dict[str, float | None]:
    """What is to be expected of a new episode.

    Args:
        rates: (E,) share of alarms in each episode, at the threshold that the others give; NaN
            where that is not known.
        samples: independent pairs in them, at most.

    Returns:
        "value", "low" and "high": the mean and its 95 % interval over episodes, see
        `share_interval`; "nine_of_ten": a new episode has at most that many in nine cases of ten
        (the conformal quantile of the rates), None for fewer than nine episodes.
    """
    rates = rates[np.isfinite(rates)]
    count = len(rates)
    nothing = {"value": None, "low": None, "high": None, "nine_of_ten": None}
    if count < 2:
        return nothing
    value = float(rates.mean())
    low, high = share_interval(value, (rates.sum() - rates) / (count - 1), samples) or (None, None)
    rank = int(np.ceil(NINE_OF_TEN * (count + 1) - SLACK))
    most = float(np.sort(rates)[rank - 1]) if rank <= count else None
    return {"value": value, "low": low, "high": high, "nine_of_ten": most}
