"""`check` as from the command line."""

import pytest
import yaml
from fixtures.recordings import ACTIONS, JOINTS, PARAMETERS

from cls_vla_ros.node.checking.check import main

# The checkpoint says that its data are within a few units of zero, so they are no degrees.
RECORDED = PARAMETERS | {
    "state": {"joints": JOINTS, "units": ["rad"] * 3},
    "action": {"names": ACTIONS, "units": [""] * 3},
}


@pytest.fixture
def check(tmp_path, monkeypatch, capsys, checkpoint):
    """Its exit code, and what it said in one line."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments, parameters=None, text=None, **changes):
        content = (parameters or RECORDED) | changes
        policy = {"path": str(checkpoint), "device": "cpu", "seed": 0}
        content["policy"] = policy | changes.get("policy", {})
        file = tmp_path / "robot.yaml"
        if text is None:
            text = yaml.dump({"/**": {"ros__parameters": content}})
        file.write_text(text)
        line = ["check", "--params-file", file, "--seconds", "0.5", *arguments]
        monkeypatch.setattr("sys.argv", [str(part) for part in line])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code
        return code, " ".join(capsys.readouterr().out.split())

    return call
