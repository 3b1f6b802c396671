"""The glance's threshold, from what a glance that sees brightness says."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

from cls_vla_ros.evaluation.calibration.conformal import expected, risk
from cls_vla_ros.evaluation.calibration.glance_threshold import (
    Glanced,
    find_glance_threshold,
    glance_over,
)
from cls_vla_ros.inference import Observation
from cls_vla_ros.policy.training.nuisances import NAMED
from cls_vla_ros.recordings.episodes import Event, Frame

FRAMES = 12


class Brightness:
    """Looks at brightness, and says how much it changed."""

    def look(self, images, state):
        assert set(images) == {"front"}  # the wrist is not guarded
        return float(images["front"].mean())

    def score(self, then, now):
        return abs(now - then) / 255


SERVER = SimpleNamespace(glance=Brightness(), preprocess=lambda o: SimpleNamespace(state=o.state))


class Recorded:
    """Grey, and much brighter from an event on."""

    name, task, skipped = "some", "open", Counter()

    def __init__(self, moved_at=None):
        self.moved_at = moved_at
        self.events = [] if moved_at is None else [Event(moved_at / 10, "object_moved", True)]

    def frames(self, rate_hz=None):
        for n in range(FRAMES):
            level = 100 if self.moved_at is None or n < self.moved_at else 180
            picture = np.full((48, 64, 3), level, np.uint8)
            images = {"front": picture, "wrist": picture}
            yield Frame(Observation(images, np.zeros(2), "open", n / 10), None)


def trace(episode):
    return SimpleNamespace(events=episode.events, stamps_s=np.arange(FRAMES) / 10)


def glanced(episode, frames=(1, 3), **more):
    return glance_over(SERVER, episode, trace(episode), frames, ["front"], 0, **more)


def test_every_nuisance_is_ordinary_where_it_is_steady_and_where_it_begins():
    looked = []
    found = glanced(Recorded(), on_look=lambda: looked.append(1))
    assert len(looked) == 1 + len(NAMED)
    steady = {f"{name} steady" for name in NAMED}
    onset = {f"{name} onset" for name in NAMED} - {"light_gradual onset"}
    assert set(found.ordinary) == {"ordinary", *steady, *onset}
    assert {len(scores) for scores in found.ordinary.values()} == {11 + 9}
    assert found.ordinary["ordinary"].max() == 0
    assert found.ordinary["light_sudden onset"] == pytest.approx(40 / 255, abs=0.003)
    assert found.ordinary["light_sudden steady"].max() == 0
    assert found.ordinary["light_gradual steady"].max() < 0.03
    assert found.samples == pytest.approx((11 + 9 / 3) / 2)
    assert len(found.parts) == len(found.ordinary)


def test_a_labelled_change_is_none_of_the_ordinary():
    found = glanced(Recorded(moved_at=6))
    assert len(found.changed) == 1 + 3
    assert found.changed == pytest.approx(80 / 255)
    assert {len(scores) for scores in found.ordinary.values()} == {10 + 6}
    assert found.ordinary["ordinary"].max() == 0


def test_without_events_patches_are_the_changes():
    found = glanced(Recorded())
    assert len(found.changed) == 2 * (11 + 9)
    assert (found.changed > 0).mean() > 0.9


def test_an_interval_longer_than_the_episode_has_no_part():
    found = glanced(Recorded(), frames=(1, 50))
    assert {len(scores) for scores in found.ordinary.values()} == {11}
    assert found.samples == 11
    nothing = glanced(Recorded(), frames=(50,))
    assert len(nothing.changed) == 0
    with pytest.raises(ValueError, match="no ordinary pairs for the glance"):
        find_glance_threshold([nothing], 0.05)


def episode(random, changed=0.9) -> Glanced:
    ordinary = {"ordinary": random.uniform(0, 0.2, 50), "jpeg onset": random.uniform(0, 0.5, 50)}
    return Glanced(ordinary, np.full(3, changed), 25.0)


def test_the_threshold_keeps_the_share_on_others_where_nuisances_weigh_as_much():
    random = np.random.default_rng(0)
    episodes = [episode(random) for _ in range(20)]
    found = find_glance_threshold(episodes, 0.05)
    assert found.threshold == pytest.approx(0.46, abs=0.015)  # of jpeg's a tenth, or nearly
    fresh = [episode(random) for _ in range(100)]
    assert np.mean([risk(of.parts, found.threshold) for of in fresh]) <= 0.055
    values = found.to_values()
    assert values["false_alarms"]["ordinary"] == 0
    assert values["false_alarms"]["jpeg onset"] == pytest.approx(0.08, abs=0.01)
    assert values["miss_rate"] == 0
    assert values["promised"] == pytest.approx(0.05 + 0.75 / 21)
    assert values["threshold"] == found.threshold == round(found.threshold, 4) >= found.held.cut
    assert found.expected == values["false_alarms_expected"]


def test_what_is_expected_is_from_the_thresholds_of_the_others():
    random = np.random.default_rng(0)
    episodes = [episode(random) for _ in range(6)]
    by_hand = [
        risk(of.parts, find_glance_threshold(episodes[:k] + episodes[k + 1 :], 0.1).threshold)
        for k, of in enumerate(episodes)
    ]
    assert find_glance_threshold(episodes, 0.1).expected == expected(np.array(by_hand), 6 * 25.0)


def test_changes_that_the_glance_does_not_see_are_counted():
    random = np.random.default_rng(0)
    episodes = [episode(random, changed=0.9 if k % 4 else 0.1) for k in range(40)]
    assert find_glance_threshold(episodes, 0.05).to_values()["miss_rate"] == 0.25


def test_of_one_episode_nothing_is_expected():
    found = find_glance_threshold([episode(np.random.default_rng(0))], 0.05)
    assert found.expected["value"] is None
    assert found.to_values()["false_alarms"]["jpeg onset"] == 0
