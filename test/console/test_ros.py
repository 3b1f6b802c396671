import importlib.util

import pytest

from cls_vla_ros.console.ros import check_ros


@pytest.mark.parametrize(
    ("missing", "said"), [("rclpy", "no rclpy here: source"), ("cls_vla_ros.msg", "with colcon")]
)
def test_what_is_missing_is_said_with_how_to_get_it(monkeypatch, missing, said):
    check_ros()
    found = importlib.util.find_spec
    without = lambda name: None if name == missing else found(name)  # noqa: E731
    monkeypatch.setattr("cls_vla_ros.console.ros.find_spec", without)
    with pytest.raises(ImportError, match=said):
        check_ros()
