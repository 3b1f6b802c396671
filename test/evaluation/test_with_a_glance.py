"""Calibrated, and evaluated on other recordings: a policy whose glance is noise."""

import json

import pytest
from conftest import CAMERAS, STATS

from cls_vla_ros.evaluation import evaluate
from cls_vla_ros.evaluation.calibration import calibrate
from cls_vla_ros.policy.checkpoint.files import load_config
from cls_vla_ros.policy.checkpoint.random_checkpoint import make_random_checkpoint

EVENTS = [(8, "object_moved", True)]


@pytest.fixture
def policy(tmp_path):
    told = {"glance_width": 4, "glance_trained": True, "cls_head_trained": True, "num_steps": 1}
    return make_random_checkpoint(tmp_path / "policy", CAMERAS, STATS, **told)


def test_its_threshold_is_calibrated_and_it_has_rows_of_its_own(
    make_bag, policy, run, tmp_path, capsys
):
    bags = [
        make_bag(f"bag{n}", frames=14, seed=n, events=EVENTS, occluded=range(8, 14)).path
        for n in range(3)
    ]
    line = ("--policy", policy, "--action-topic", "command")
    limits = ("--intervals", "1,2", "--false-alarms", "0.2", "--max-tail", "1000")
    limits += ("--nuisances", "haze", "--max-delay", "0.12")
    run(calibrate.main, *line, *limits, *bags[:2])
    config = load_config(policy)
    report = json.loads((policy / "calibration.json").read_text())
    shares = report["intervals"][1]["false_alarms_nuisances"]
    assert set(shares) == {"haze steady", "haze onset"}
    found = report["glance"]
    assert config.glance_threshold == found["threshold"] > 0
    assert found["promised"] == pytest.approx(0.2 + 0.75 / 3)
    assert found["false_alarms_expected"]["value"] is not None
    assert 0 <= found["miss_rate"] <= 1
    assert {"ordinary", "jpeg steady", "jpeg onset"} <= set(found["false_alarms"])
    assert all(0 <= share <= 1 for share in found["false_alarms"].values())
    assert len(config.cls_episodes_calibrated_on) == 2
    assert all(len(row) == 4 for row in config.cls_thresholds)
    said = " ".join(capsys.readouterr().out.split())
    assert "the glance: threshold" in said

    out = ("--out", tmp_path / "out", "--nuisances", "haze", "--every", "2", "--phases", "2")
    with pytest.raises(SystemExit, match="calibrated on 1 of these"):
        run(evaluate.main, *line, *out, *bags[1:])
    run(evaluate.main, *line, *out, bags[2])
    report = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    pairs = report["pairs"]
    alone = {"gate", "glance", "guard"}
    assert set(pairs["detectors"]) == {*alone, "gate_and_glance", "pixels", "joints"}
    assert set(pairs["deployed"]) == set(pairs["nuisances"]["haze"])
    assert set(pairs["deployed"]) == {*alone, "gate_and_glance"}
    for measures in pairs["deployed"].values():
        assert measures["recall all"]["low"] is None  # of one episode
    ways = report["replays"]["groups"]["disturbed"]
    assert list(ways) == ["gate_and_glance", "gate", "glance", "timer_and_glance", "periodic"]
    assert ways["gate"]["replays"] == 2
    assert (tmp_path / "out" / "detection.png").stat().st_size > 10_000
