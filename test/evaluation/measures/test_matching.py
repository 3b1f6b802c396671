import pytest

from cls_vla_ros.evaluation.measures.matching import Look, match
from cls_vla_ros.recordings.episodes import Event

EVENTS = [
    Event(0.5, "occluder_in", True),
    Event(1.05, "light_dimmed_20_percent", False),
    Event(2.0, "object_moved", True),
    Event(9.0, "occluder_in", True),
]


def test_the_first_full_inference_that_shows_a_change_is_the_one_that_counts():
    looks = [Look(1.0, False), Look(1.1, True), Look(2.0, True), Look(2.1, True)]
    shown, false_alarms = match(looks, EVENTS, began_s=0.0)
    assert [(s.event.stamp_s, s.caught) for s in shown] == [(0.5, False), (2.0, True)]
    assert [s.delay_s for s in shown] == pytest.approx([0.5, 0.0])
    assert false_alarms == [1.1, 2.1]  # other light is no change


def test_what_was_there_from_the_start_counts_for_nothing():
    shown, false_alarms = match([Look(1.0, True)], EVENTS, began_s=0.5)
    assert shown == []
    assert false_alarms == [1.0]
