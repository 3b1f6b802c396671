"""The whole demo, on a short recording of another task than the params file's."""

import json
import sys

import numpy as np
import pytest
import yaml

from cls_vla_ros.demo import demo

PARAMETERS = {"limits": {"first_step": 0.0}, "observation": {"frozen_s": 3600.0}}


@pytest.fixture
def short_demo(make_bag, params_file, checkpoint, tmp_path, monkeypatch):
    """Run it on a bag whose labels name an instruction."""

    def run(*options) -> dict:
        bag = make_bag(frames=24, events=[], more_labels=[("instruction", 'close: the "lid"')])
        content = yaml.safe_load(params_file.read_text())
        parameters = content["/**"]["ros__parameters"] | PARAMETERS
        parameters["policy"]["path"] = str(checkpoint)
        parameters["policy"]["num_steps"] = 1
        params_file.write_text(yaml.dump({"/**": {"ros__parameters": parameters}}))
        line = ["demo", "--bag", bag.path, "--params-file", params_file, "--out", tmp_path / "out"]
        monkeypatch.setattr(sys, "argv", [str(part) for part in (*line, *options)])
        demo.main()
        return json.loads((tmp_path / "out" / "report.json").read_text())

    return run


@pytest.mark.parametrize(
    ("options", "task"), [((), 'close: the "lid"'), (("--task", "push"), "push")]
)
def test_a_recording_runs_under_its_own_instruction(short_demo, options, task):
    report = short_demo(*options)
    assert report["task"] == task
    assert report["problems"] == []
    assert np.isfinite(report["summary"]["latency_ms"]["median"])
