"""What the report says of pairs and nuisances, from pairs that are made."""

import io
import json
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from cls_vla_ros.evaluation.evaluation import Evaluated
from cls_vla_ros.evaluation.measures.detection import LIGHT, NUISANCE, ORDINARY, Pairs
from cls_vla_ros.evaluation.pairs import UnderNuisance
from cls_vla_ros.evaluation.report import make_report, print_report, with_nuisances

ARGS = SimpleNamespace(
    every=4, false_alarms=0.05, seed=0, use_trained_on=False, phases=12, nuisances=["jpeg"]
)


def pairs(kinds, scores, alarms) -> Pairs:
    kinds = np.array(kinds, object)
    return Pairs(kinds, {"gate": np.array(scores)}, {"gate": np.array(alarms)}, 4)


def episode(seed=0, caught=True) -> Pairs:
    random = np.random.default_rng(seed)
    ordinary = random.uniform(0, 0.5, 100)
    scores = np.concatenate([ordinary, [0.9 if caught else 0.6] * 4])
    return pairs([ORDINARY] * 100 + ["object_moved"] * 4, scores, scores > 0.7)


def under(recall=True, onset_alarms=0.5) -> dict[str, UnderNuisance]:
    steady = pairs(
        [ORDINARY] * 10 + ["object_moved"] * 4,
        [0.1] * 10 + [0.9] * 4,
        [True] * 2 + [False] * 8 + [recall] * 4,
    )
    scores = np.concatenate([np.full(10, 0.95), np.full(10, 0.1)])
    onset = pairs([NUISANCE] * 20, scores, np.arange(20) < onset_alarms * 20)
    return {"jpeg": UnderNuisance(steady, onset), "light_gradual": UnderNuisance(steady, None)}


def evaluated(count=3) -> Evaluated:
    return Evaluated(
        [episode(k, caught=k > 0) for k in range(count)],
        [f"e{k}" for k in range(count)],
        [under(recall=k > 0, onset_alarms=0.5) for k in range(count)],
    )


def test_recall_is_that_of_the_thresholds_that_the_node_has():
    report = make_report(evaluated(), ARGS, "some/policy")["pairs"]
    # At the test set's own quantile, about 0.48, all three are caught; at the node's, two.
    assert report["detectors"]["gate"]["recall all"]["value"] == 1
    deployed = report["deployed"]["gate"]
    assert deployed["recall all"]["value"] == pytest.approx(2 / 3)
    assert deployed["recall object"]["value"] == pytest.approx(2 / 3)
    assert deployed["recall all"]["low"] < 2 / 3 < deployed["recall all"]["high"]
    assert deployed["false alarms"]["value"] == 0
    assert report["kinds"] == {"object_moved": 12, "ordinary": 300}
    assert report["episodes"] == ["e0", "e1", "e2"]


def test_each_nuisance_has_recall_and_false_alarms_while_steady_and_at_its_onset():
    report = make_report(evaluated(), ARGS, "some/policy")["pairs"]["nuisances"]
    assert list(report) == ["jpeg", "light_gradual"]
    gate = report["jpeg"]["gate"]
    assert gate["steady"]["recall all"]["value"] == pytest.approx(2 / 3)
    assert gate["steady"]["false alarms"]["value"] == pytest.approx(0.2)
    assert gate["onset"]["value"] == 0.5
    assert report["light_gradual"]["gate"]["onset"] is None


def test_nuisances_among_them_count_as_ordinary():
    among = with_nuisances(evaluated())
    assert [len(of.kinds) for of in among] == [104 + 2 * 10 + 20] * 3
    assert [of.changed.sum() for of in among] == [4] * 3  # of the recorded ones alone
    report = make_report(evaluated(), ARGS, "some/policy")["pairs"]
    # The onsets score 0.95, so at 5 % false alarms nothing is left.
    assert report["nuisances_among_them"]["gate"]["recall all"]["value"] == 0
    assert report["nuisances_among_them"]["gate"]["auc"]["value"] < 1
    without = evaluated()
    without.nuisances[:] = [{}, {}, {}]
    report = make_report(without, ARGS, "some/policy")["pairs"]
    assert report["nuisances_among_them"] == report["nuisances"] == {}


def shown(report) -> str:
    console = Console(width=200, record=True, file=io.StringIO())
    print_report(report, console)
    return console.export_text()


def test_the_tables_show_it_with_intervals_for_several_episodes_and_none_for_one():
    text = shown(make_report(evaluated(), ARGS, "some/policy"))
    assert "At the thresholds that the node has" in text
    assert "light gradual" in text
    assert "0.667" in text
    assert "[" in text
    text = shown(make_report(evaluated(1), ARGS, "some/policy"))
    assert "[" not in text
    assert "interval" not in text


def test_what_is_not_known_is_null_in_the_report():
    kinds = np.array([ORDINARY, LIGHT, ORDINARY], object)
    of = Pairs(kinds, {"gate": np.array([0.1, 0.2, 0.3])}, {"gate": np.zeros(3, bool)})
    report = make_report(Evaluated([of], ["calm"], [{}]), ARGS, "some/policy")
    nothing = {"value": None, "low": None, "high": None}
    assert report["pairs"]["detectors"]["gate"]["auc"] == nothing
    assert report["pairs"]["deployed"]["gate"]["recall all"] == nothing
    assert report["pairs"]["deployed"]["gate"]["false alarms"]["value"] == 0
    assert report["replays"] is None
    json.dumps(report, allow_nan=False)
    assert make_report(Evaluated(), ARGS, "some/policy")["pairs"] is None
