"""Which episodes are refused, from fingerprints that are made."""

from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from cls_vla_ros.inference import Observation
from cls_vla_ros.recordings.checks import check_provenance
from cls_vla_ros.recordings.episodes import Frame, fingerprint_of


class Recorded:
    def __init__(self, number, has_actions=True):
        self.name, self.number, self.has_actions = f"e{number}", number, has_actions

    def frames(self, rate_hz=None):
        action = np.full(2, self.number, np.float32) if self.has_actions else None
        for n in range(3):
            yield Frame(Observation({}, np.full(2, n, np.float32), "open", n / 10), action)


EPISODES = [Recorded(0), Recorded(1), Recorded(2, has_actions=False)]


def config(trained=(), calibrated=()):
    of = [fingerprint_of(episode) for episode in EPISODES]
    return SimpleNamespace(
        cls_episodes_trained_on=[of[k] for k in trained] or ["another"],
        cls_episodes_calibrated_on=[of[k] for k in calibrated],
    )


def check(config, use=False, **more):
    console = Console(width=500, record=True, quiet=False)
    found = check_provenance(config, EPISODES, use, console, **more)
    return found, console.export_text()


def test_what_was_trained_on_is_refused_by_both():
    for is_judged in (False, True):
        with pytest.raises(ValueError, match=r"trained on 1 of these episodes \(e1\)"):
            check(config(trained=[1]), is_judged=is_judged)
    _, said = check(config(trained=[1]), use=True)
    assert "trained on 1 of these" in said


def test_what_was_calibrated_on_is_refused_where_it_is_judged():
    with pytest.raises(ValueError, match=r"calibrated on 2 of these episodes \(e0, e1\)"):
        check(config(calibrated=[0, 1]), is_judged=True)
    found, said = check(config(calibrated=[0, 1]))  # calibrating again is fine
    assert "calibrated on" not in said
    assert found == [fingerprint_of(episode) for episode in EPISODES]
    assert found[2] is None


def test_what_nobody_can_tell_is_said():
    _, said = check(config(), is_judged=True)
    assert "1 episodes (e2) have no actions" in said
    assert "trained or calibrated on" in said
    nothing = SimpleNamespace(cls_episodes_trained_on=[], cls_episodes_calibrated_on=[])
    found, said = check(nothing, is_judged=True)
    assert "does not say what it was trained on" in said
    assert "no actions" not in said
    assert found[:2] == [fingerprint_of(episode) for episode in EPISODES[:2]]
