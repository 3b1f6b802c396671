import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from rosbags.highlevel import AnyReader

from cls_vla_ros.simulation.bag import TOPICS, SimBag
from cls_vla_ros.simulation.recording import (
    ActionNoise,
    HowToRecord,
    bag_name,
    is_recorded,
    labels_file,
)
from cls_vla_ros.simulation.tasks import HEIGHT, JOINTS, WIDTH

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"frames": 0}, "1 to 166 frames, not 0"),
        ({"frames": 150, "random_start": True}, "1 to 141 frames, not 150"),
        ({"action_noise": -0.1}, "action_noise is 0 to 1"),
        ({"after_success": -1}, "after_success is 0 or more"),
        ({"events": "some"}, "events is one of"),
        ({"shadow_pixels": 0}, "shadow_pixels is 1 or more"),
    ],
)
def test_what_cannot_be_recorded_is_refused(options, said):
    with pytest.raises(ValueError, match=said):
        HowToRecord(**options)


def test_an_episode_ends_so_many_frames_after_the_task_is_done():
    how = HowToRecord(after_success=3)
    assert not how.is_over(13, 10)
    assert how.is_over(14, 10)
    assert not how.is_over(50, None)
    assert not HowToRecord().is_over(119, 10)


def test_action_noise_lasts_and_has_the_size_asked_for():
    random = np.random.default_rng(0)
    wanted = np.array([0.1, 0.0, -0.1, 1.0], np.float32)
    noise = ActionNoise(random, 0.2, 0.0125)
    added = np.array([noise(wanted) - wanted for _ in range(20000)])
    np.testing.assert_allclose(added[:, :3].std(axis=0), 0.2, rtol=0.1)
    np.testing.assert_array_equal(added[:, 3], 0.0)
    following = np.corrcoef(added[:-1, 0], added[1:, 0])[0, 1]
    assert following == pytest.approx(np.exp(-0.0125 / 0.15), abs=0.02)
    assert np.abs(added + wanted).max() <= 1.0 + 1e-6


def test_without_noise_the_action_is_the_experts_to_the_bit():
    action = np.array([0.1234567, -1.0, 1.0, 0.6], np.float32)
    done = ActionNoise(np.random.default_rng(0), 0.0, 0.0125)(action)
    assert done.dtype == action.dtype
    np.testing.assert_array_equal(done, action)


def test_a_bag_is_kept_only_if_it_was_recorded_in_the_same_way(tmp_path):
    how = HowToRecord(events="random", action_noise=0.1)
    bag = tmp_path / bag_name("door-open-v3", 7, how)
    assert bag.name == "door-open-v3_7_events"
    assert not is_recorded(bag, how)
    bag.mkdir()
    older = {k: v for k, v in asdict(how).items() if k != "shadow_pixels"}
    labels_file(bag).write_text(json.dumps({"recorded_with": older}))
    assert is_recorded(bag, how)  # an option that came later did what its default says
    with pytest.raises(ValueError, match="remove it, or record into another folder"):
        is_recorded(bag, HowToRecord(events="random"))


def test_a_bag_has_the_topics_stamps_and_values_of_the_demos_recording(tmp_path):
    picture = np.full((HEIGHT, WIDTH, 3), (200, 100, 50), np.uint8)
    with SimBag(tmp_path / "bag") as bag:
        bag.add_pictures(10**9, {"front": picture, "wrist": picture})
        bag.add_step(10**9, np.arange(9.0), np.zeros(9), np.array([0.5, 0, 0, 1], np.float32))
    with AnyReader([tmp_path / "bag"]) as reader:
        messages = {
            c.topic: (t, reader.deserialize(d, c.msgtype)) for c, t, d in reader.messages()
        }
        ours = {c.topic: c.msgtype for c in reader.connections}
    with AnyReader([ROOT / "bags" / "demo"]) as reader:
        assert ours == {c.topic: c.msgtype for c in reader.connections} == TOPICS
    assert [messages[topic][0] - 10**9 for topic in TOPICS] == [0, 2_000_000, 10**6, 10**6]
    front, wrist, joints, action = (messages[topic][1] for topic in TOPICS)
    np.testing.assert_array_equal(front.data.reshape(HEIGHT, WIDTH, 3), picture)
    assert (front.encoding, wrist.format) == ("rgb8", "rgb8; jpeg compressed bgr8")
    assert tuple(joints.name) == JOINTS
    np.testing.assert_array_equal(joints.position, np.arange(9.0))
    np.testing.assert_array_equal(action.data, [0.5, 0, 0, 1])
