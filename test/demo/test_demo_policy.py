"""The policy that comes with the package, on the recording that comes with it."""

import itertools
import json

import pytest
from ament_index_python.packages import get_package_share_directory
from rich.console import Console

from cls_vla_ros.console.share import share
from cls_vla_ros.evaluation.evaluation import Ways
from cls_vla_ros.recordings.checks import check_provenance
from cls_vla_ros.recordings.dataset_episodes import open_episodes
from cls_vla_ros.recordings.episodes import Source, events_between
from cls_vla_ros.robot.demo_policy import resolve_policy_path
from cls_vla_ros.robot.load_server import load_server
from cls_vla_ros.robot.parameters.params_file import parameters_of


def test_demo_is_the_packages_own_and_any_other_path_is_itself():
    assert resolve_policy_path("demo").startswith(get_package_share_directory("cls_vla_ros"))
    assert resolve_policy_path("me/my_policy") == "me/my_policy"


def test_it_is_small_trained_calibrated_and_at_home_anywhere():
    policy = share("policies", "demo")
    files = [file for file in policy.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 10e6
    config = json.loads((policy / "config.json").read_text())
    assert config["cls_head_trained"]
    assert config["cls_thresholds"]
    assert config["cls_max_reuses"]
    assert len(config["cls_episodes_trained_on"]) == 425
    assert config["vlm_model_name"] == "vlm"
    assert not [f for f in files if f.suffix == ".json" and b'": "/' in f.read_bytes()]


@pytest.fixture(scope="module")
def steps():
    """A replay of bags/demo as the node runs it, and the recording's labels."""
    with parameters_of(share("config", "demo.yaml"), {"policy.device": "cpu"}) as parameters:
        episodes = open_episodes(
            [share("bags", "demo")], parameters, Source(None, "/expert_action")
        )
        server = load_server(parameters.read(), 0, lambda line: None)
        check_provenance(server.config, episodes, False, Console(quiet=True))
        replays = Ways(server, parameters, 0).play_gated(episodes[0])
        return replays, episodes[0].events


def test_its_gate_sees_what_changes_the_scene_and_nothing_else(steps):
    replay, events = steps
    computed = [step for step in replay if not step.inference.prefix_reused]
    alarms = []
    for before, now in itertools.pairwise(computed):
        since = events_between(events, before.stamp_s, now.stamp_s)
        changed = any(event.scene_change for event in since)
        if changed:
            assert now.inference.decision.scene_changed, since
        elif now.inference.decision.scene_changed:
            alarms.append(now.stamp_s - replay[0].stamp_s)
    assert len(alarms) <= 1, alarms


def test_half_of_its_prefixes_and_more_are_reused(steps):
    replay, _ = steps
    assert sum(step.inference.prefix_reused for step in replay) >= 0.5 * len(replay)
