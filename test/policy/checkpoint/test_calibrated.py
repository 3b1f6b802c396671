import json

import pytest

from cls_vla_ros.policy.checkpoint import calibrated


def test_the_configuration_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    file = tmp_path / "config.json"
    file.write_text('{"type": "cls_smolvla", "num_steps": 10}')
    calibrated.write_calibration(tmp_path, {"num_steps": 2, "cls_max_age_s": 0.1})
    wanted = {"type": "cls_smolvla", "num_steps": 2, "cls_max_age_s": 0.1}
    assert json.loads(file.read_text()) == wanted
    monkeypatch.setattr(calibrated.os, "replace", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        calibrated.write_calibration(tmp_path, {"num_steps": 3})
    assert json.loads(file.read_text()) == wanted
