"""The whole evaluation on small recordings, with a policy whose gate is noise."""

import json
import shutil

import pytest

from cls_vla_ros.evaluation import evaluate
from cls_vla_ros.recordings.dataset_episodes import open_episodes
from cls_vla_ros.recordings.episodes import Source, fingerprint_of
from cls_vla_ros.robot.parameters.params_file import parameters_of

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
    report = report_of("--nuisances", "jpeg,light_sudden", bag.path, calm.path)
    pairs = report["pairs"]
    assert pairs["episodes"] == ["seen", "calm"]
    assert pairs["kinds"] == {"light": 1, "occluder_in": 4, "occluder_out": 4, "ordinary": 12}
    detectors = pairs["detectors"]
    assert set(detectors) == {"gate", "guard", "gate_and_guard", "pixels", "joints"}
    deployed = pairs["deployed"]
    assert deployed["guard"]["recall occluder"]["value"] == 1
    assert deployed["gate"]["false alarms"]["value"] == 0  # open, whatever it sees
    assert set(pairs["nuisances"]) == {"jpeg", "light_sudden"}
    under = pairs["nuisances"]["light_sudden"]["guard"]
    assert under["steady"]["recall all"]["value"] == 1
    assert 0 <= under["onset"]["value"] <= 1
    assert detectors["guard"]["auc"]["value"] == 1
    assert detectors["guard"]["recall occluder"]["value"] == 1
    assert detectors["gate"]["auc"]["value"] < 1

    groups = report["replays"]["groups"]
    assert set(groups) == {"disturbed", "undisturbed"}
    calm = groups["undisturbed"]
    # Computed at frames 0, 3, 6, 9 of 12, 11 and 10: two reuses in a row at most.
    assert [calm[way]["reuse_fraction"] for way in calm] == pytest.approx([21 / 33] * 5)
    assert (calm["gate"]["episodes"], calm["gate"]["replays"]) == (1, 3)
    both = groups["disturbed"]["gate_and_guard"]
    assert both["detection"]["occluder"] == {
        "changes": 2,
        "shown": 6,
        # Where the prefix is due anyhow, the guard does not look, and the gate is open here.
        "miss_rate": pytest.approx(1 / 6),
        "miss_rate_interval": None,
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
    assert both["deviation"]["count"] == 17 + 16 + 15
    assert set(groups["disturbed"]) == {
        "gate",
        "guard",
        "gate_and_guard",
        "timer_and_guard",
        "periodic",
    }
    for name in ("detection.png", "replays.png"):
        assert (tmp_path / "out" / name).stat().st_size > 10_000
    assert "untrained: its similarity is noise" in " ".join(capsys.readouterr().out.split())


def test_episodes_that_the_policy_was_calibrated_on_are_refused(
    make_bag, policy, run, params_file, tmp_path
):
    bag = make_bag(frames=6, events=[]).path
    with parameters_of(params_file) as parameters:
        (episode,) = open_episodes([bag], parameters, Source(action_topic="command"))
    config = json.loads((policy / "config.json").read_text())
    config["cls_episodes_calibrated_on"] = [fingerprint_of(episode)]
    (policy / "config.json").write_text(json.dumps(config))
    line = ("--policy", policy, "--allow-untrained", "--action-topic", "command", "--no-replays")
    line += ("--out", tmp_path / "out", "--nuisances", "none", "--every", "2", bag)
    with pytest.raises(SystemExit, match="was calibrated on 1 of these episodes"):
        run(evaluate.main, *line)
    run(evaluate.main, "--use-trained-on", *line)
    report = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert report["trained_on_allowed"]
    assert report["replays"] is None
    assert report["pairs"]["nuisances"] == {}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (("--nuisances", "fog"), "there is no nuisance fog"),
        (("--phases", "0"), "--phases must be at least 1"),
        (("--every", "0"), "--every must be at least 1"),
        (("--false-alarms", "1"), "--false-alarms must be between 0 and 1"),
    ],
)
def test_what_cannot_be_meant_is_refused(run, capsys, line, said):
    with pytest.raises(SystemExit):
        run(evaluate.main, *line, "bag")
    assert said in capsys.readouterr().err


def test_without_labels_nothing_is_said_of_detection(make_bag, report_of, capsys):
    report = report_of(make_bag(frames=6).path)
    assert report["pairs"] is None
    assert list(report["replays"]["groups"]) == ["unlabelled"]
    assert "no episode has labels" in capsys.readouterr().out


def test_an_untrained_gate_is_refused(make_bag, run, policy):
    with pytest.raises(SystemExit, match="untrained"):
        run(evaluate.main, "--policy", policy, make_bag(frames=3).path)
