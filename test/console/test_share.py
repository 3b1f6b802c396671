import sys

import pytest

from cls_vla_ros.console.share import share


def test_without_ros_the_data_is_where_pip_puts_it(monkeypatch, tmp_path):
    assert share("config", "demo.yaml").is_file()
    monkeypatch.setitem(sys.modules, "ament_index_python.packages", None)
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="colcon"):
        share("config", "demo.yaml")
    (tmp_path / "share" / "cls_vla_ros").mkdir(parents=True)
    assert share("config", "a") == tmp_path / "share" / "cls_vla_ros" / "config" / "a"
