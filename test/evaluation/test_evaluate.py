"""The whole evaluation on small recordings, with a policy whose gate is noise."""

import json
import shutil

import numpy as np
import pytest

from cls_vla_ros.evaluation import evaluate
from cls_vla_ros.evaluation.evaluation import Evaluated
from cls_vla_ros.evaluation.measures.detection import LIGHT, ORDINARY, Pairs
from cls_vla_ros.evaluation.report import make_report

DISTURBED = [(8, "occluder_in", True), (12, "occluder_out", True), (15, "light_dimmed", False)]


@pytest.fixture
def policy(checkpoint, tmp_path):
    path = shutil.copytree(checkpoint, tmp_path / "policy")
    config = json.loads((path / "config.json").read_text())
    # Below all cosines, so that the gate, which is noise here, stays open.
    told = {"num_steps": 1, "cls_thresholds": [[0.1, -1.0]], "cls_max_reuses": 2}
    (path / "config.json").write_text(json.dumps(config | told))
    return path


@pytest.fixture
def report_of(run, policy, tmp_path):
    def call(*arguments) -> dict:
        out = tmp_path / "out"
        more = ("--policy", policy, "--allow-untrained", "--out", out)
        run(evaluate.main, *more, *arguments)
        return json.loads((out / "evaluation.json").read_text())

    return call


@pytest.mark.slow
def test_the_guard_sees_the_occluder_and_reuse_is_as_the_node_does(
    make_bag, report_of, tmp_path, capsys
):
    bag = make_bag("seen", frames=17, events=DISTURBED, occluded=range(8, 12))
    calm = make_bag("calm", frames=12, seed=1, events=[])
    report = report_of(bag.path, calm.path)
    pairs = report["pairs"]
    assert pairs["episodes"] == ["seen", "calm"]
    assert pairs["kinds"] == {"light": 1, "occluder_in": 4, "occluder_out": 4, "ordinary": 12}
    detectors = pairs["detectors"]
    assert set(detectors) == {"gate", "guard", "gate_and_guard", "pixels", "joints"}
    assert detectors["guard"]["auc"]["value"] == 1
    assert detectors["guard"]["recall occluder"]["value"] == 1
    assert detectors["gate"]["auc"]["value"] < 1

    groups = report["replays"]["groups"]
    assert set(groups) == {"disturbed", "undisturbed"}
    calm = groups["undisturbed"]
    # Computed at frames 0, 3, 6, 9 of 12: two reuses in a row at most.
    assert [calm[way]["reuse_fraction"] for way in calm] == pytest.approx([8 / 12] * 4)
    both = groups["disturbed"]["gate_and_guard"]
    assert both["detection"]["occluder"] == {
        "changes": 2,
        "miss_rate": 0.0,
        "delay_s": {
            "median": pytest.approx(0.002, abs=1e-5),
            "largest": pytest.approx(0.002, abs=1e-5),
        },
    }
    assert groups["disturbed"]["gate"]["detection"]["all"]["miss_rate"] == 1
    assert both["false_alarms_per_minute"] == 0
    periodic = groups["disturbed"]["periodic"]
    assert periodic["reuse_fraction"] == pytest.approx(both["reuse_fraction"])
    ages = [row["age_s"] for row in both["deviation_by_age"]]
    assert ages == pytest.approx([0.05, 0.1])
    assert both["deviation"]["count"] == 17
    for name in ("detection.png", "replays.png"):
        assert (tmp_path / "out" / name).stat().st_size > 10_000
    assert "untrained: its similarity is noise" in " ".join(capsys.readouterr().out.split())


def test_without_labels_nothing_is_said_of_detection(make_bag, report_of, capsys):
    report = report_of(make_bag(frames=6).path)
    assert report["pairs"] is None
    assert list(report["replays"]["groups"]) == ["unlabelled"]
    assert "no episode has labels" in capsys.readouterr().out


def test_an_untrained_gate_is_refused(make_bag, run, policy):
    with pytest.raises(SystemExit, match="untrained"):
        run(evaluate.main, "--policy", policy, make_bag(frames=3).path)


def test_what_is_not_known_is_null_in_the_report():
    class Args:
        every, false_alarms, seed, use_trained_on = 4, 0.05, 0, False

    kinds = np.array([ORDINARY, LIGHT, ORDINARY], object)
    pairs = Pairs(kinds, {"gate": np.array([0.1, 0.2, 0.3])})
    report = make_report(Evaluated([pairs], ["calm"], {}), Args, "some/policy")
    assert report["pairs"]["detectors"]["gate"]["auc"] == {
        "value": None,
        "low": None,
        "high": None,
    }
    assert report["replays"] is None
    json.dumps(report, allow_nan=False)
