"""Thresholds and limits, from recordings into a checkpoint."""

import json
import shutil

import pytest

from cls_vla_ros.evaluation.calibration import calibrate
from cls_vla_ros.policy.checkpoint.files import load_config
from cls_vla_ros.recordings.dataset_episodes import open_episodes
from cls_vla_ros.recordings.episodes import Source, fingerprint_of
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
    limits = ("--max-delay", "0.12", "--max-tail", "1000")
    limits += ("--steps", "3,4")
    run(calibrate.main, "--policy", path, *more, *limits, *bags)
    after = json.loads((path / "config.json").read_text())
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {
        *("cls_thresholds", "cls_max_age_s", "cls_max_reuses", "cls_max_motion", "num_steps"),
        "cls_episodes_calibrated_on",
    }
    assert len(after["cls_episodes_calibrated_on"]) == 2
    assert after["cls_min_spread"] is None  # of 18 frames nobody can say
    report = json.loads((path / "calibration.json").read_text())
    assert after["cls_thresholds"] == [i["row"] for i in report["intervals"]]
    assert report["glance"] is None
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
