"""`replay --out --against`: the same twice, and what is wrong is found before the policy loads."""

import json
import sys

import pytest
import yaml
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore

from cls_vla_ros.demo import replay


@pytest.fixture
def call(params_file, checkpoint, tmp_path, monkeypatch):
    """Its exit code or reason; `out` is the folder's name."""
    content = yaml.safe_load(params_file.read_text())
    parameters = content["/**"]["ros__parameters"]
    parameters |= {"limits": {"first_step": 0.0}, "observation": {"frozen_s": 3600.0}}
    parameters["policy"] |= {"path": str(checkpoint), "num_steps": 1}
    params_file.write_text(yaml.dump(content))

    def run(bag, out, *options):
        line = ["replay", bag, "--params-file", params_file, "--out", tmp_path / out, *options]
        monkeypatch.setattr(sys, "argv", [str(part) for part in line])
        try:
            return replay.main()
        except SystemExit as end:
            return end.code

    return run


def test_twice_the_same_and_another_policy_is_told(call, make_bag, tmp_path, capsys):
    bag = make_bag(frames=8, events=[]).path
    assert not call(bag, "first", "--rate", "4")
    assert not call(bag, "second", "--against", tmp_path / "first" / "report.json")
    assert "as " in capsys.readouterr().out.splitlines()[-1]
    report = json.loads((tmp_path / "first" / "report.json").read_text())
    assert report["problems"] == []
    assert report["reset_s"] is None
    assert len(report["inferences"]) == 8
    report["inferences"][3]["first_action"][0] += 1.0
    other = tmp_path / "other.json"
    other.write_text(json.dumps(report))
    said = call(bag, "second", "--against", other)
    assert "1 times the first action differs by more than 0.01" in said
    with AnyReader([tmp_path / "second" / "recording"],
                   default_typestore=get_typestore(Stores.ROS2_JAZZY)) as reader:  # fmt: skip
        counts = {c.topic: c.msgcount for c in reader.connections}
        assert counts["/scene_change"] == counts["/action_chunk"] == counts["/front"] == 8
        chunks = [c for c in reader.connections if c.topic == "/action_chunk"]
        _, _, raw = next(reader.messages(connections=chunks))
        message = reader.deserialize(raw, "cls_vla_ros/msg/ActionChunk")
        assert len(message.data) == message.chunk_size * message.action_dim


def test_a_wrong_recording_is_found_before_the_policy_loads(call, make_bag, tmp_path, params_file):
    assert "is not a rosbag2 directory" in call(tmp_path / "none", "out")
    bag = make_bag(frames=2).path
    content = yaml.safe_load(params_file.read_text())
    content["/**"]["ros__parameters"]["camera"]["front"]["topic"] = "other"
    params_file.write_text(yaml.dump(content))
    assert "lacks the topics ['other']" in call(bag, "out")
    assert "there is no report" in call(bag, "out", "--against", tmp_path / "none.json")
    assert not (tmp_path / "out").exists()
