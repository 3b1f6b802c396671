"""Thresholds and limits, from recordings into a checkpoint."""

import json
import shutil

import cv2
import numpy as np
import pytest
import torch

from cls_vla_ros.evaluation.calibration import calibrate
from cls_vla_ros.evaluation.calibration.intervals import Wanted, intervals_of
from cls_vla_ros.evaluation.measures.traces import DIMMED_FRAMES, PATCHED_FRAMES, Trace, patched
from cls_vla_ros.policy.checkpoint.files import load_config
from cls_vla_ros.recordings.dataset_episodes import open_episodes
from cls_vla_ros.recordings.episodes import Event, Source, fingerprint_of
from cls_vla_ros.robot.parameters.params_file import parameters_of

EVENTS = [(8, "object_moved", True), (14, "light_dimmed", False)]


@pytest.fixture
def trained(checkpoint, tmp_path):
    """A checkpoint that says that its head is trained, and on what."""
    path = shutil.copytree(checkpoint, tmp_path / "trained")

    def make(episodes=("none of these",)):
        config = json.loads((path / "config.json").read_text())
        told = {"cls_head_trained": True, "cls_episodes_trained_on": list(episodes)}
        told["num_steps"] = 1  # quicker
        (path / "config.json").write_text(json.dumps(config | told))
        return path

    return make


@pytest.mark.slow
def test_what_it_finds_is_in_the_checkpoint_and_the_rest_is_kept(make_bag, trained, run, capsys):
    path = trained()
    before = json.loads((path / "config.json").read_text())
    bags = [make_bag(f"bag{n}", frames=18, seed=n, events=EVENTS).path for n in range(2)]
    more = ("--intervals", "1,4", "--action-topic", "command")
    limits = ("--max-deviation", "1000", "--max-delay", "0.12", "--max-tail", "1000")
    limits += ("--steps", "3,4")
    run(calibrate.main, "--policy", path, *more, *limits, *bags)
    after = json.loads((path / "config.json").read_text())
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {
        *("cls_thresholds", "cls_max_age_s", "cls_max_reuses", "cls_max_motion", "num_steps"),
    }
    assert after["cls_min_spread"] is None  # of 18 frames nobody can say
    report = json.loads((path / "calibration.json").read_text())
    assert after["cls_thresholds"] == [[i["seconds"], i["threshold"]] for i in report["intervals"]]
    assert [i["seconds"] for i in report["intervals"]] == pytest.approx([0.05, 0.2])
    assert report["intervals"][1]["similarities"]["changed"]["pairs"] == 2 * 4
    assert report["intervals"][1]["similarities"]["light"]["pairs"] == 2 * 4
    assert report["intervals"][1]["similarities"]["ordinary"]["pairs"] == 2 * 6
    assert report["changes"] == "labelled"
    assert [row["num_steps"] for row in report["steps"]] == [3, 4]
    assert after["num_steps"] == report["num_steps"] == 3
    assert after["cls_max_motion"] == report["max_motion"] > 1.0  # the joints are drawn anew
    assert report["drift"]["samples"] > 20
    # Computed at frames 0, 3, 6, ...: two reuses in a row, unless the gate says no.
    assert 0.3 < report["reuse"] <= 12 / 18
    assert (after["cls_max_age_s"], after["cls_max_reuses"]) == (pytest.approx(0.1), 2)
    assert (path / "calibration.png").stat().st_size > 10_000
    config = load_config(path)
    assert config.cls_thresholds == after["cls_thresholds"]
    assert "does not say what it was trained on" not in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("events", [None, []])
def test_without_events_changes_are_made_and_it_is_said(
    make_bag, trained, run, capsys, tmp_path, events
):
    path = trained()
    before = (path / "config.json").read_text()
    bag = make_bag(frames=12, events=events).path
    more = ("--intervals", "2", "--dry-run", "--out", tmp_path / "out")
    run(calibrate.main, "--policy", path, *more, bag)
    assert (path / "config.json").read_text() == before
    report = json.loads((tmp_path / "out" / "calibration.json").read_text())
    assert "pasting patches" in report["changes"]
    assert report["intervals"][0]["similarities"]["changed"]["pairs"] == 2 * 10
    said = " ".join(capsys.readouterr().out.split())
    assert "1 of 1 episodes have no labelled events" in said
    assert "nobody can tell whether they were trained on" in said


def test_episodes_that_were_trained_on_are_refused(make_bag, trained, run, params_file):
    bag = make_bag(frames=12, events=EVENTS).path
    with parameters_of(params_file) as parameters:
        (episode,) = open_episodes([bag], parameters, Source(action_topic="command"))
    path = trained([fingerprint_of(episode)])
    line = ("--policy", path, "--action-topic", "command", "--intervals", "1", bag)
    with pytest.raises(SystemExit, match="was trained on 1 of these episodes"):
        run(calibrate.main, *line)
    assert "cls_thresholds" not in json.loads((path / "config.json").read_text()) or not (
        load_config(path).cls_thresholds
    )
    run(calibrate.main, "--use-trained-on", *line)
    assert load_config(path).cls_thresholds


def test_an_untrained_head_is_refused(make_bag, checkpoint, run):
    with pytest.raises(SystemExit, match="untrained"):
        run(calibrate.main, "--policy", checkpoint, make_bag(frames=2).path)


def test_a_policy_that_cannot_be_written_to_is_refused(make_bag, run):
    with pytest.raises(SystemExit, match=r"demo has no config\.json"):
        run(calibrate.main, "--policy", "demo", make_bag(frames=2).path)


def trace(angles, events=(), disturbed=None) -> Trace:
    """Frames whose similarity with any earlier one is the cosine of their angle."""
    count = len(angles)

    def out(of):
        seen = torch.tensor([[np.cos(a), np.sin(a)] for a in of])
        return torch.stack([seen, torch.tensor([[1.0, 0.0]] * count)], 1).float()

    stamps = np.arange(count) / 10
    nothing = np.zeros((count, 1))
    others = {name: out(of) for name, of in (disturbed or {}).items()}
    return Trace("t", events, stamps, nothing, nothing, out(angles), others, [])


def test_thresholds_keep_the_false_alarms_or_the_misses_that_were_asked_for():
    random = np.random.default_rng(0)
    angles = np.abs(random.normal(0, 0.5, 400))
    angles[100] = 1.5
    of = trace(angles, [Event(10.0, "object_moved", True), Event(20.0, "light", False)])
    (interval,) = intervals_of([of], [1], 0.1, Wanted(false_alarms=0.1))
    assert (interval.ordinary <= interval.threshold).mean() == pytest.approx(0.1, abs=0.005)
    assert interval.changed == pytest.approx([np.cos(1.5)])
    assert len(interval.light) == 1
    assert interval.to_values()["miss_rate"] == 0
    (interval,) = intervals_of([of], [5], 0.1, Wanted(miss_rate=0.4))
    assert (interval.changed > interval.threshold).mean() == pytest.approx(0.4)
    assert interval.seconds == 0.5


def test_made_changes_go_both_ways():
    angles = {PATCHED_FRAMES: [1.0] * 4, DIMMED_FRAMES: [0.2] * 4}
    of = trace([0.0] * 4, None, angles)
    (interval,) = intervals_of([of], [1], 0.1, Wanted(false_alarms=0.05))
    # The prediction is the same in all, so where the patch vanishes nothing is seen here.
    assert interval.changed == pytest.approx([np.cos(1.0)] * 3 + [1.0] * 3)
    assert interval.light == pytest.approx([np.cos(0.2)] * 3 + [1.0] * 3)


@pytest.mark.parametrize("wanted", [Wanted(false_alarms=0.05), Wanted(miss_rate=0.1)])
def test_too_few_pairs_are_named(wanted):
    with pytest.raises(ValueError, match="pairs of frames 8 apart"):
        intervals_of([trace([0.0] * 4, [])], [8], 0.1, wanted)


def test_a_reuse_rate_is_kept_by_the_false_alarms_that_follow():
    wanted = Wanted.of(None, None, 0.7, max_reuses=4)
    random = np.random.default_rng(0)
    reused = computed = 0
    for is_alarm in random.random(20_000) < wanted.false_alarms:
        computed += 1
        reused += 0 if is_alarm else 4
    assert reused / (reused + computed) == pytest.approx(0.7, abs=0.005)
    with pytest.raises(ValueError, match=r"more than the 0\.8"):
        Wanted.of(None, None, 0.9, max_reuses=4)
    assert Wanted.of(None, None, None, 4).false_alarms == 0.05


@pytest.mark.parametrize("shade", [0, 128, 255])
def test_a_patch_is_seen_and_leaves_the_rest(shade):
    random = np.random.default_rng(1)
    image = np.full((48, 64, 3), shade, np.uint8)
    for _ in range(20):
        changed = (patched(image, random) != image).any(2)
        assert 0.01 < changed.mean() < 0.15
        parts, _ = cv2.connectedComponents(changed.astype(np.uint8))
        assert parts - 1 <= 3  # something in one place, which may have fingers; no noise
    assert (image == shade).all()
