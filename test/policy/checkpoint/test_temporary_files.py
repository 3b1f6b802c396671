"""A checkpoint that is read leaves no temporary file."""

import tempfile

import pytest

from cls_vla_ros.policy.checkpoint.files import load_config
from cls_vla_ros.policy.checkpoint.temporary_files import temporary_files_removed


def test_a_configuration_that_is_read_leaves_nothing(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert load_config(checkpoint).type == "cls_smolvla"
    assert not list(tmp_path.iterdir())
    assert tempfile.gettempdir() == str(tmp_path)


def test_the_folder_is_the_old_one_after_a_fault_too(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def fail():
        with temporary_files_removed():
            tempfile.mkstemp()
            raise OSError("broken")

    with pytest.raises(OSError, match="broken"):
        fail()
    assert tempfile.gettempdir() == str(tmp_path)
    assert not list(tmp_path.iterdir())
