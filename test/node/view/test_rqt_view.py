"""`rqt_view` where there is no rqt; with it, it was tried by hand (docs/view.md)."""

import pytest

from cls_vla_ros.node.view import rqt_view


@pytest.mark.parametrize(
    ("installed", "packages"),
    [
        ((), "ros-$ROS_DISTRO-rqt-gui ros-$ROS_DISTRO-rqt-plot"),
        (("rqt_gui",), "ros-$ROS_DISTRO-rqt-plot"),
    ],
)
def test_what_is_missing_is_said(monkeypatch, installed, packages):
    monkeypatch.setattr(rqt_view, "find_spec", lambda name: name if name in installed else None)
    with pytest.raises(SystemExit) as end:
        rqt_view.main()
    assert str(end.value).endswith(f"`sudo apt install {packages}`")
