"""The node's end, where the signal comes before ROS has heard of it."""

import signal

import pytest
import rclpy
from rclpy.lifecycle import TransitionCallbackReturn

from cls_vla_ros.node.policy_node import PolicyNode
from cls_vla_ros.node.spin import run


@pytest.fixture(autouse=True)
def signals():
    handlers = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("during", ["trigger_configure", "trigger_activate"])
def test_ctrl_c_during_autostart_is_an_orderly_end(monkeypatch, during):
    """rclpy's handler tells Python first: for a moment ROS is still up."""

    def interrupted(self):
        assert rclpy.ok()
        raise KeyboardInterrupt

    done = TransitionCallbackReturn.SUCCESS
    monkeypatch.setattr(PolicyNode, "trigger_configure", lambda self: done)
    monkeypatch.setattr(PolicyNode, during, interrupted)
    assert run(["policy_node", "--ros-args", "-p", "autostart:=true"]) == 0
    assert not rclpy.ok()
