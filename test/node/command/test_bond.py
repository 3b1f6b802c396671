"""A lifecycle manager hears that the node lives, and when it ends."""

import sys
import time

from bond.msg import Status

from cls_vla_ros.node.command.bond import Bond


def test_it_beats_while_active_and_says_goodbye(robot):
    heard: list[Status] = []
    robot.peer.create_subscription(Status, "bond", heard.append, 100)
    robot.wait_until(lambda: len(heard) > 5, "heartbeats")
    beat = heard[-1]
    assert beat.id == "cls_vla_policy"
    assert beat.active
    assert len({status.instance_id for status in heard}) == 1
    assert 0 < beat.heartbeat_period < beat.heartbeat_timeout
    robot.node.trigger_deactivate()
    robot.wait_until(lambda: not heard[-1].active, "goodbye")
    count = len([status for status in heard if status.active])
    time.sleep(0.3)
    assert len([status for status in heard if status.active]) == count
    robot.node.trigger_activate()
    robot.wait_until(lambda: heard[-1].active, "heartbeats again")


def test_without_the_package_it_says_what_to_set(robot, monkeypatch):
    monkeypatch.setitem(sys.modules, "bond.msg", None)
    said = []
    bond = Bond(robot.node, said.append)
    assert "set bond_timeout to 0.0" in said[0]
    bond.begin()
    bond.end()
