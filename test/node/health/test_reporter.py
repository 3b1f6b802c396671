"""Logs at a rate that a person can read."""

import pytest

from cls_vla_ros.node.health import reporter
from cls_vla_ros.node.health.reporter import Reporter


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


class Logger:
    def __init__(self) -> None:
        self.said = []

    def warning(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(reporter, "time", clock)
    return clock


def said_in(clock, seconds: float, complain) -> int:
    """How many lines, with ten complaints a second."""
    logger = Logger()
    talker = Reporter(logger)
    for k in range(int(seconds * 10)):
        clock.now += 0.1
        complain(talker, k)
    return len(logger.said)


def test_the_same_is_said_every_half_minute(clock):
    assert said_in(clock, 95, lambda r, k: r.hold("no new frame on front")) == 4


def test_other_numbers_are_no_other_text(clock):
    def complain(r, k):
        r.hold(f"joint_states is {k / 10:.2f} s old, at most 0.5 may be")

    assert said_in(clock, 95, complain) == 4


def test_two_reasons_that_take_turns_are_said_once_each(clock):
    assert said_in(clock, 25, lambda r, k: r.hold(("one", "another")[k % 2])) == 2


def test_another_topic_whose_name_has_a_number_is_another_source(clock):
    assert said_in(clock, 25, lambda r, k: r.refused(f"camera{k % 3}", "cut off")) == 3


def test_always_another_text_comes_every_two_seconds_at_most(clock):
    # k as letters
    texts = ["".join(chr(97 + int(d)) for d in str(k)) for k in range(1000)]
    assert 8 <= said_in(clock, 20, lambda r, k: r.hold(texts[k])) <= 11


def test_the_diagnostics_have_the_numbers_of_now(clock):
    talker = Reporter(Logger())
    for age in (1.0, 2.0):
        talker.hold(f"{age} s old")
    assert talker.health._message == "holding: 2.0 s old"
