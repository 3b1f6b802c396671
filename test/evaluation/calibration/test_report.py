"""What calibrate says, in words."""

import io
from types import SimpleNamespace

import numpy as np
import torch
from rich.console import Console

from cls_vla_ros.evaluation.calibration.ageing import Ageing
from cls_vla_ros.evaluation.calibration.conformal import Held
from cls_vla_ros.evaluation.calibration.found import Found
from cls_vla_ros.evaluation.calibration.glance_threshold import Glanced, find_glance_threshold
from cls_vla_ros.evaluation.calibration.intervals import Interval, Similarities
from cls_vla_ros.evaluation.calibration.motion import Drift
from cls_vla_ros.evaluation.calibration.report import in_words, make_report, print_report
from cls_vla_ros.evaluation.measures.traces import Trace
from cls_vla_ros.policy.thresholds import Row


def asked(**more):
    names = ("false_alarms", "miss_rate", "reuse_rate", "glance_false_alarms")
    told = {"max_tail": 1.0, "max_delay": 0.3, "seed": 0, "use_trained_on": False, "nuisances": []}
    return SimpleNamespace(**(dict.fromkeys(names) | told | more))


def interval(episodes) -> Interval:
    of = Similarities(np.linspace(0.5, 1, 20), np.zeros(20))
    held = Held(-0.6, np.full(episodes, -0.6), episodes, 0.1)
    rates = np.linspace(0.0, 0.1, episodes)
    return Interval(2, of, of, of, Row(0.1, 0.55, 0.65, 1.5), held, held, rates)


def found(episodes=8, max_reuses=2, **more) -> Found:
    ageing = Ageing({1: np.ones(12)}, 0.5, np.ones(12), Drift(*np.ones((3, 12))))
    return Found([interval(episodes)], ageing, 0.1, max_reuses, 1.2, 0.01, **more)


def shown(of: Found, args) -> str:
    console = Console(width=300, record=True, file=io.StringIO())
    print_report(of, [SimpleNamespace(has_made_changes=False)], args, console)
    return console.export_text()


def test_what_is_expected_is_said_with_its_interval():
    assert in_words({"value": 0.05, "low": 0.01, "high": 0.2}) == "0.050 [0.010, 0.200]"
    assert in_words({"value": 0.05, "low": None, "high": None}) == "0.050"
    assert in_words({"value": None, "low": None, "high": None}) == "-"
    text = shown(found(), asked())
    assert "0.050 [0." in text
    assert "0.550" in text
    assert "0.650" in text


def test_what_so_few_episodes_cannot_keep_is_said_and_how_many_can():
    assert "cannot keep" not in shown(found(episodes=4), asked())
    text = shown(found(episodes=3), asked())
    assert "3 episodes cannot keep 0.05 on others, but 0.0625: 4 can" in text
    assert "24 can" in shown(found(episodes=8), asked(false_alarms=0.01))
    assert "cannot keep" not in shown(found(episodes=8), asked(reuse_rate=0.5))
    assert "cannot keep" in shown(found(episodes=8), asked(miss_rate=0.02))


def test_nothing_reused_is_said():
    assert "nothing will be reused" in shown(found(max_reuses=0), asked())
    assert "nothing will be reused" not in shown(found(), asked())


def glance(most):
    scores = {"ordinary": np.zeros(9), "jpeg onset": np.linspace(0, most, 9)}
    return find_glance_threshold([Glanced(scores, np.array([0.9]), 9.0)] * 3, 0.05)


def test_the_glance_is_said_with_the_nuisances_that_cost_most():
    text = shown(found(glance=glance(0.5)), asked())
    assert "the glance: threshold 0.500" in text
    assert "jpeg onset 0.000" in text
    assert "changes missed 0.000" in text
    assert "it is off" not in text
    assert "it is off" in shown(found(glance=glance(1.0)), asked())


def test_the_checkpoint_gets_what_was_found():
    told = found(glance=glance(0.5), fingerprints=["b", "a"], num_steps=2).to_config()
    assert told == {
        "cls_thresholds": [[0.1, 0.55, 0.65, 1.5]],
        "cls_max_age_s": 0.1,
        "cls_max_reuses": 2,
        "cls_max_motion": 1.2,
        "cls_min_spread": 0.01,
        "cls_episodes_calibrated_on": ["a", "b"],
        "glance_threshold": 0.5,
        "num_steps": 2,
    }
    assert {"glance_threshold", "num_steps"} & set(found().to_config()) == set()


def test_the_report_has_it_all():
    nothing = np.zeros((3, 1))
    trace = Trace("a", [], nothing, nothing, nothing, torch.zeros(3, 2, 1), {}, [])
    report = make_report(found(glance=glance(0.5)), [trace], asked(max_tail=2.0))
    assert report["asked"]["max_tail"] == 2.0
    assert report["intervals"][0]["row"] == [0.1, 0.55, 0.65, 1.5]
    assert report["glance"]["threshold"] == 0.5
    assert report["episodes"] == [{"name": "a", "frames": 3, "labelled": True}]
    assert report["executed_p95"] is None
