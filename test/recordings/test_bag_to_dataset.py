"""What is trained on is what the node sees."""

import json
import math
import sys

import numpy as np
import pytest
import torch
from lerobot.policies.common.vla_utils import resize_with_pad

from cls_vla_ros.policy.training.provenance import dataset_fingerprints
from cls_vla_ros.recordings import bag_to_dataset
from cls_vla_ros.recordings.dataset_episodes import open_episodes
from cls_vla_ros.recordings.episodes import Source, fingerprint_of
from cls_vla_ros.robot.parameters.params_file import parameters_of

COMMAND = ("--action-topic", "/command")


@pytest.fixture
def convert(run, tmp_path):
    def call(*bags, out="dataset", more=COMMAND):
        run(bag_to_dataset.main, *more, "--out", tmp_path / out, *(bag.path for bag in bags))
        return tmp_path / out

    return call


@pytest.fixture
def episodes_of(params_file):
    """Of paths; the params file is read as by the tools."""

    def call(*paths, **source):
        with parameters_of(params_file) as parameters:
            return open_episodes(paths, parameters, Source(**source))

    return call


@pytest.mark.parametrize(
    "kind",
    [
        "std_msgs/msg/Float64MultiArray",
        "sensor_msgs/msg/JointState",
        pytest.param("trajectory_msgs/msg/JointTrajectory", marks=pytest.mark.slow),
    ],
)
def test_the_dataset_holds_what_the_node_sees(make_bag, convert, episodes_of, kind):
    """Pictures as they came, joints by name in the policy's units, a frame's first action."""
    bag = make_bag(action_kind=kind, events=[(5, "object_moved", True)])
    root = convert(bag)
    (episode,) = episodes_of(root)
    frames = list(episode.frames())
    assert len(frames) == 12
    assert json.loads((root / "meta" / "info.json").read_text())["fps"] == 20
    for frame, front, position, action in zip(
        frames, bag.fronts, bag.positions, bag.actions, strict=True
    ):
        assert np.array_equal(frame.observation.images["observation.images.front"], front)
        in_degrees = position * [180 / math.pi, 1, 1]
        assert frame.observation.state == pytest.approx(in_degrees, rel=1e-5)
        assert frame.action == pytest.approx(action * [1, 180 / math.pi, 1], rel=1e-5)
        assert frame.observation.task == "open the drawer"
    (of_bag,) = episodes_of(bag.path, action_topic="command")
    assert [f.observation.stamp_s for f in of_bag.frames()] == [
        f.observation.stamp_s for f in frames
    ]
    assert of_bag.events == episode.events
    assert fingerprint_of(of_bag) == fingerprint_of(episode) == dataset_fingerprints(root)[0]


def test_pictures_may_have_the_policys_size(make_bag, convert, episodes_of):
    bag = make_bag(frames=3)
    (episode,) = episodes_of(convert(bag, more=(*COMMAND, "--picture-size", "32")))
    stored = next(iter(episode.frames())).observation.images["observation.images.front"]
    assert stored.shape == (24, 32, 3)
    picture = torch.from_numpy(bag.fronts[0]).permute(2, 0, 1)[None] / 255
    by_policy = resize_with_pad(picture, 32, 32, pad_value=0)[0, :, 8:].permute(1, 2, 0)
    assert np.abs(stored / 255 - by_policy.numpy()).max() <= 0.5 / 255 + 1e-6
    again = torch.from_numpy(stored).permute(2, 0, 1)[None] / 255
    assert torch.equal(resize_with_pad(again, 32, 32, pad_value=0)[:, :, 8:], again)


@pytest.mark.parametrize(("frames", "is_short"), [(12, True), (52, False)])
def test_an_episode_that_is_shorter_than_a_chunk_is_told(
    make_bag, convert, capsys, frames, is_short
):
    convert(make_bag(frames=frames))
    said = " ".join(capsys.readouterr().out.split())
    assert ("shorter than a chunk of 50 steps" in said) == is_short
    assert ("train with a shorter --policy.chunk_size" in said) == is_short


def test_what_is_left_out_is_counted_with_its_reason(make_bag, convert, capsys):
    root = convert(make_bag(joints_from=2, actions_until=6))
    said = " ".join(capsys.readouterr().out.split())
    assert "1 episodes, 4 frames" in said
    assert "2 x no observation: no message yet on joint_states" in said
    assert "6 x no action within observation.max_skew_s" in said
    assert len(json.loads((root / "meta" / "cls_vla_ros.json").read_text())["episodes"]) == 1


def test_the_task_is_the_labels_unless_it_is_given(make_bag, episodes_of):
    bag = make_bag(frames=2, events=[], more_labels={"instruction": "close it"}.items())
    assert episodes_of(bag.path)[0].task == "close it"
    assert episodes_of(bag.path, task="push it")[0].task == "push it"
    assert episodes_of(make_bag("other", frames=2).path)[0].task == "open the drawer"


def test_a_rate_leaves_frames_out_as_the_node_does(make_bag, episodes_of):
    """Each inference takes the newest pictures when it is due, 0.1 s after the one before."""
    (episode,) = episodes_of(make_bag(frames=12).path)
    stamps = [frame.observation.stamp_s for frame in episode.frames(10.0)]
    assert len(stamps) == 7
    assert np.diff(stamps)[:-1] == pytest.approx(0.1, abs=0.003)
    assert len(list(episode.frames(1000.0))) == 12


@pytest.mark.parametrize(
    ("bag", "more", "said"),
    [
        ({}, ("--action-topic", "/other"), "lacks the topics ['other']; it has ['command'"),
        ({}, ("--action-topic", "/front"), "the topic front is sensor_msgs/msg/Image"),
        ({"frames": 1}, COMMAND, "at least 2 are needed"),
        ({"joints_from": 99}, COMMAND, "no message yet on joint_states"),
        ({"actions_until": 0}, COMMAND, "no action within"),
    ],
)
def test_a_bag_that_cannot_be_used_is_named_and_nothing_is_left(
    make_bag, convert, tmp_path, bag, more, said
):
    bag = make_bag(**bag)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(SystemExit, match="bag_to_dataset") as exit_:
        convert(bag, more=more)
    assert said in str(exit_.value)
    assert sorted(tmp_path.iterdir()) == before


def test_an_existing_folder_is_not_touched(make_bag, convert, tmp_path):
    (tmp_path / "dataset").mkdir()
    with pytest.raises(SystemExit, match="is there already"):
        convert(make_bag(frames=2))
    assert not list((tmp_path / "dataset").iterdir())


def test_an_interrupt_leaves_nothing_behind(make_bag, convert, tmp_path, monkeypatch):
    bag = make_bag(frames=4)
    before = sorted(tmp_path.iterdir())
    add = bag_to_dataset._add

    def interrupted(*args):
        add(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(bag_to_dataset, "_add", interrupted)
    with pytest.raises(SystemExit, match="nothing was left behind"):
        convert(bag)
    assert sorted(tmp_path.iterdir()) == before


def test_labels_that_are_none_are_named(make_bag, episodes_of, tmp_path):
    bag = make_bag(frames=2)
    (tmp_path / "bag.labels.json").write_text('{"events": [{"kind": "object_moved"}]}')
    with pytest.raises(ValueError, match=r"bag\.labels\.json cannot be used.*stamp_ns"):
        episodes_of(bag.path)


def test_what_is_neither_bag_nor_dataset_is_named(episodes_of, tmp_path):
    with pytest.raises(FileNotFoundError, match="neither"):
        episodes_of(tmp_path)


def test_without_lerobots_datasets_it_says_what_to_install(make_bag, convert, monkeypatch):
    monkeypatch.setitem(sys.modules, "lerobot.datasets.lerobot_dataset", None)
    with pytest.raises(SystemExit, match=r"pip install 'lerobot\[training\]"):
        convert(make_bag(frames=2))
