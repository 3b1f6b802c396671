import numpy as np
import pytest

from cls_vla_ros.evaluation.measures.confidence import share_interval
from cls_vla_ros.evaluation.measures.detection import (
    LIGHT,
    NUISANCE,
    ORDINARY,
    Pairs,
    auc,
    deployed,
    joined,
    kinds_of,
    measure,
    recall,
    roc,
)
from cls_vla_ros.recordings.episodes import Event


def test_a_pair_is_what_lies_between_its_frames():
    """Frame 4 is the first that shows the move, 8 the first in dimmed light."""
    events = [Event(0.4, "object_moved", True), Event(0.8, "light_dimmed", False)]
    stamps = (
        np.arange(11) / 10 + 0.002
    )  # the stamp of an observation is that of its newest picture
    kinds = kinds_of(events, stamps, 3)
    expected = ["ordinary"] + ["object_moved"] * 3 + ["ordinary"] + ["light"] * 3
    assert kinds.tolist() == expected


def test_a_change_outweighs_light_and_the_first_change_counts():
    events = [
        Event(0.1, "light_dimmed", False),
        Event(0.2, "occluder_in", True),
        Event(0.3, "object_moved", True),
    ]
    assert kinds_of(events, np.array([0.0, 0.5]), 1).tolist() == ["occluder_in"]


@pytest.mark.parametrize("seed", range(5))
def test_the_area_is_the_share_of_pairs_in_the_right_order(seed):
    random = np.random.default_rng(seed)
    changed, unchanged = random.integers(0, 6, 30) + 1.0, random.integers(0, 6, 50) * 1.0
    by_hand = np.mean([(c > u) + 0.5 * (c == u) for c in changed for u in unchanged])
    assert auc(changed, unchanged) == pytest.approx(by_hand)
    false, caught = roc(changed, unchanged)
    assert np.trapezoid(caught, false) == pytest.approx(by_hand)
    assert (false[-1], caught[-1]) == (1, 1)
    assert auc(changed + 10, unchanged) == 1
    assert np.isnan(auc(changed, unchanged[:0]))


def test_recall_keeps_the_false_alarms():
    unchanged = np.arange(100.0)
    assert recall(np.array([94.5, 95.5, 99.5, 10.0]), unchanged, 0.05) == 0.5
    assert recall(unchanged, unchanged, 0.05) <= 0.05


def pairs(seed: int, shift: float) -> Pairs:
    random = np.random.default_rng(seed)
    kinds = np.array(
        [ORDINARY] * 50 + [LIGHT] * 5 + ["object_moved"] * 4 + ["occluder_in"] * 4, object
    )
    scores = random.normal(size=len(kinds)) + shift * np.isin(
        kinds, ("object_moved", "occluder_in")
    )
    scores[kinds == "occluder_in"] += 10
    return Pairs(kinds, {"gate": scores})


def test_measures_come_with_an_interval_over_episodes():
    found = measure([pairs(seed, 1.5) for seed in range(20)], "gate", 0.05)
    assert list(found) == ["auc", "auc_light", "recall all", "recall object", "recall occluder"]
    for name in ("auc", "recall object"):
        assert found[name]["low"] < found[name]["value"] < found[name]["high"]
    assert found["recall occluder"]["value"] == 1
    few = measure([pairs(seed, 1.5) for seed in range(4)], "gate", 0.05)
    width = [f["auc"]["high"] - f["auc"]["low"] for f in (found, few)]
    assert width[0] < width[1]


def test_at_the_nodes_thresholds_the_alarms_count_whatever_the_scores():
    kinds = np.array([ORDINARY] * 40 + ["object_moved"] * 4 + ["occluder_in"] * 4, object)
    alarms = np.array([True] * 2 + [False] * 38 + [True] * 4 + [False] * 4)
    of = Pairs(kinds, {"gate": np.zeros(48)}, {"gate": alarms}, 4)
    found = deployed([of, of, of], "gate")
    values = {name: measured["value"] for name, measured in found.items()}
    assert values == {
        **{"recall all": 0.5, "recall object": 1.0, "recall occluder": 0.0},
        "false alarms": 0.05,
    }
    # Nothing varies: three changes, and thirty pairs that do not overlap, are what is known.
    assert found["recall object"]["low"] == pytest.approx(share_interval(1.0, np.ones(3), 3)[0])
    assert found["false alarms"]["high"] == pytest.approx(
        share_interval(0.05, np.full(3, 0.05), 30)[1]
    )


def test_parts_of_an_episode_are_joined():
    first = Pairs(
        np.array([ORDINARY, "object_moved"], object), {"a": np.zeros(2), "b": np.ones(2)}
    )
    other = Pairs(np.array([ORDINARY], object), {"a": np.ones(1)}, {}, 1).as_kind(NUISANCE)
    both = joined([first, other])
    assert both.kinds.tolist() == [ORDINARY, "object_moved", NUISANCE]
    assert both.changed.tolist() == [False, True, False]
    assert set(both.scores) == {"a"}
    assert both.scores["a"].tolist() == [0, 0, 1]
    assert both.only(both.changed).scores["a"].tolist() == [0]
    assert both.changes("all") == 1
