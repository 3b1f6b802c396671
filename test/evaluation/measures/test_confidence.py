import numpy as np
import pytest

from cls_vla_ros.evaluation.measures.confidence import over_episodes, share_interval
from cls_vla_ros.evaluation.measures.detection import ORDINARY, Pairs, deployed, measure

THRESHOLD = 1.6
EVENTS, PAIRS, FRAMES = 3, 4, 60  # changes of an episode, pairs across each, ordinary pairs


def episode(random: np.random.Generator, shift: float, differ: float) -> Pairs:
    """Changes that are as easy to see as each other within an episode, and less so across."""
    easy = shift + random.normal(0, differ) + np.repeat(random.normal(0, 0.7, EVENTS), PAIRS)
    scores = np.concatenate(
        [easy + random.normal(0, 0.3, EVENTS * PAIRS), random.normal(0, 1, FRAMES)]
    )
    kinds = np.array(
        [f"object_{n // PAIRS}" for n in range(EVENTS * PAIRS)] + [ORDINARY] * FRAMES, object
    )
    return Pairs(kinds, {"gate": scores}, {"gate": scores > THRESHOLD}, PAIRS)


@pytest.mark.parametrize(("shift", "differ"), [(1.6, 0.7), (2.6, 0.7), (3.5, 1.0), (3.5, 1.5)])
@pytest.mark.parametrize("episodes", [4, 8])
def test_the_truth_is_inside_as_often_as_it_says(shift, differ, episodes):
    random = np.random.default_rng(1)
    many = [episode(random, shift, differ) for _ in range(4000)]
    truth = np.mean([of.alarms["gate"][of.changed].mean() for of in many])
    repeats = [many[k : k + episodes] for k in range(0, 200 * episodes, episodes)]
    found = [deployed(of, "gate")["recall all"] for of in repeats]
    inside = np.mean([of["low"] <= truth <= of["high"] for of in found])
    assert inside >= 0.93
    widths = [of["high"] - of["low"] for of in found]
    assert np.median(widths) < (0.9 if episodes == 4 else 0.65)  # not by saying nothing


def test_the_area_under_the_curve_is_inside_too():
    random = np.random.default_rng(2)
    many = [episode(random, 3.5, 1.5) for _ in range(1200)]
    truth = measure(many[:1], "gate", 0.05), measure(many[::6], "gate", 0.05)["auc"]["value"]
    found = [measure(many[k : k + 6], "gate", 0.05)["auc"] for k in range(0, 900, 6)]
    assert np.mean([of["low"] <= truth[1] <= of["high"] for of in found]) >= 0.95
    assert truth[0]["auc"]["low"] is None  # of one episode


def test_where_nothing_varies_the_changes_count():
    """Clopper and Pearson, of ten of ten and none of ten."""
    all_of, none_of = (share_interval(v, np.full(5, v), most=10) for v in (1.0, 0.0))
    assert all_of == pytest.approx((0.6915, 1.0), abs=1e-4)
    assert none_of == pytest.approx((0.0, 0.3085), abs=1e-4)
    half = share_interval(0.5, np.full(5, 0.5), most=10)
    assert half == pytest.approx((0.1871, 0.8129), abs=1e-4)


def test_more_variance_between_episodes_is_less_certain_and_no_more_than_there_are_changes():
    calm, wild = (np.array([0.8 - d, 0.8 + d] * 4) for d in (0.01, 0.05))
    widths = [np.diff(share_interval(0.8, left, most=1000))[0] for left in (calm, wild)]
    assert widths[0] < widths[1]
    capped = share_interval(0.8, calm, most=5)
    assert capped == share_interval(0.8, np.full(8, 0.8), most=5)


def test_one_episode_has_no_interval():
    assert share_interval(0.7, np.array([0.7]), most=20) is None
    assert over_episodes(lambda chosen: 0.7, 1, 20) == {"value": 0.7, "low": None, "high": None}
    # Nor two, one of which has no change: without the other nothing is known.
    share = {(0, 1): 0.5, (0,): 0.5, (1,): np.nan}
    assert over_episodes(lambda chosen: share[tuple(chosen)], 2, 20)["low"] is None
    assert over_episodes(lambda chosen: np.nan, 3, 0)["value"] is None
