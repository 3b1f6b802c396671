"""Scores and alarms of pairs, as the node would have them, from traces that are made."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from cls_vla_ros.evaluation import pairs as pairs_module
from cls_vla_ros.evaluation.measures.detection import NUISANCE
from cls_vla_ros.evaluation.measures.traces import Trace
from cls_vla_ros.evaluation.pairs import Scorer
from cls_vla_ros.inference import ReuseLimits
from cls_vla_ros.inference.reuse.frame_guard import Thumbnail
from cls_vla_ros.policy.training.nuisances import NAMED
from cls_vla_ros.recordings.episodes import Event

FRAMES, EVERY = 12, 2
MOVED = Event(0.6, "object_moved", True)


class Glance:
    """Looks are numbers; the score is how far they are apart, in tenths."""

    def score(self, then, now):
        return min(abs(now - then) / 10, 1.0)


class Parameters:
    def __init__(self, unguarded=(), rows=((0.2, 0.5, 0.9, 1.0),)):
        self.limits = ReuseLimits(
            glance_threshold=0.25, guard_threshold=0.3, unguarded=frozenset(unguarded)
        )
        self.rows = rows

    def read(self):
        return SimpleNamespace(cameras=[])

    def reuse_limits(self, cameras, config):
        return self.limits

    def set_thresholds(self, session, config):
        session.set_thresholds(0.1, self.rows)


def server(glance=None):
    config = SimpleNamespace(image_features={"front": None, "wrist": None})
    return SimpleNamespace(config=config, glance=glance)


def picture(seed) -> Thumbnail:
    return Thumbnail.of(np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8))


def trace(angles, looks=None, seen=None, moving_from=FRAMES, events=(MOVED,)) -> Trace:
    """The similarity with any earlier frame is the cosine of the angle."""
    out = torch.tensor([[[np.cos(a), np.sin(a)], [1.0, 0.0]] for a in angles]).float()
    states = np.maximum(np.arange(FRAMES) - moving_from + 1, 0.0)[:, None]
    seen = [0] * FRAMES if seen is None else seen
    small = [{"front": picture(s), "wrist": picture(0)} for s in seen]
    stamps = np.arange(FRAMES) / 10
    looks = [0] * FRAMES if looks is None else looks
    return Trace("some", list(events), stamps, states, states, out, {}, small, looks)


def test_the_gates_alarms_are_at_the_threshold_of_interval_and_motion():
    angles = np.full(FRAMES, np.arccos(0.7))  # between the two thresholds
    scorer = Scorer(server(), Parameters())
    of = trace(angles, moving_from=5)
    found = scorer.pairs(of, of, EVERY)
    assert found.scores["gate"] == pytest.approx(-0.7)
    # Calm below a motion of 1, with the threshold 0.9: frames 2 to 4, and frame 5, which moved 1.
    assert found.alarms["gate"].tolist() == [True] * 3 + [False] * 7
    assert (found.kinds != "ordinary").tolist() == [False] * 4 + [True] * 2 + [False] * 4
    assert found.frames == EVERY
    # Another interval has the thresholds of another row.
    rows = ((0.1, -1.0), (0.2, 0.9))
    assert not Scorer(server(), Parameters(rows=rows)).pairs(of, of, 1).alarms["gate"].any()
    assert Scorer(server(), Parameters(rows=rows)).pairs(of, of, 2).alarms["gate"].all()


def test_without_a_glance_the_guard_looks_at_every_frame_between():
    seen = [0] * FRAMES
    seen[5] = 1  # for one frame
    of = trace(np.zeros(FRAMES), seen=seen)
    scorer = Scorer(server(), Parameters())
    assert scorer.eye == "guard"
    found = scorer.pairs(of, of, EVERY)
    # Pairs end at frames 2 to 11: those with frame 5 after their first, or as their first.
    assert found.alarms["guard"].tolist() == [n in (5, 6, 7) for n in range(2, FRAMES)]
    assert (found.scores["pixels"] > 0.3).tolist() == [n in (5, 7) for n in range(2, FRAMES)]
    assert "glance" not in found.scores
    assert set(found.alarms) == {"gate", "guard", "gate_and_guard"}
    assert found.alarms["gate_and_guard"].tolist() == found.alarms["guard"].tolist()


def test_a_glance_is_in_the_guards_place():
    looks = [0, 0, 0, 0, 0, 2.8, 0, 0, 0, 0, 2, 2]
    angles = np.zeros(FRAMES)
    angles[8] = 1.5
    of = trace(angles, looks)
    scorer = Scorer(server(Glance()), Parameters())
    assert scorer.eye == "glance"
    found = scorer.pairs(of, of, EVERY)
    expected = [0, 0, 0, 0.28, 0.28, 0.28, 0, 0, 0.2, 0.2]
    assert found.scores["glance"] == pytest.approx(expected)
    assert found.alarms["glance"].tolist() == [s > 0.25 for s in expected]
    at_gate = [n == 8 for n in range(2, FRAMES)]
    assert found.alarms["gate"].tolist() == at_gate
    assert found.alarms["gate_and_glance"].tolist() == (found.alarms["glance"] | at_gate).tolist()
    # Above one where one of the two is above its threshold.
    assert (found.scores["gate_and_glance"] > 1).tolist() == found.alarms[
        "gate_and_glance"
    ].tolist()
    assert set(found.alarms) == {"gate", "glance", "guard", "gate_and_glance"}
    assert found.scores["guard"].max() == 0
    assert found.scores["gate_and_glance"][3] == pytest.approx(0.28 / 0.25)
    assert found.scores["gate_and_glance"][6] == pytest.approx((1 - np.cos(1.5)) / 0.1)


def test_a_glance_that_is_off_leaves_its_place_to_the_guard():
    parameters = Parameters()
    parameters.limits = replace(parameters.limits, glance_threshold=1.0)
    scorer = Scorer(server(Glance()), parameters)
    assert scorer.eye == "guard"
    of = trace(np.zeros(FRAMES), looks=[0, 9] * (FRAMES // 2))
    assert "glance" not in scorer.pairs(of, of, EVERY).scores


def test_without_a_guarded_camera_there_is_the_gate_alone():
    of = trace(np.zeros(FRAMES))
    scorer = Scorer(server(), Parameters(unguarded=("front", "wrist")))
    assert scorer.guarded == []
    found = scorer.pairs(of, of, EVERY)
    assert set(found.alarms) == {"gate"}
    assert set(found.scores) == {"gate", "joints"}


def test_a_camera_that_is_not_guarded_does_not_count():
    seen = [0, 1] * (FRAMES // 2)
    of = trace(np.zeros(FRAMES), seen=seen)
    found = Scorer(server(), Parameters(unguarded=("front",))).pairs(of, of, EVERY)
    assert not found.alarms["guard"].any()


@pytest.fixture
def recorded(monkeypatch):
    """Under a nuisance the glance sees a 4, and the gate, which it blinds, the same."""
    made = []

    def record(server, episode, *, guarded, seed):
        made.append((episode.name, tuple(guarded), seed))
        return trace(np.zeros(FRAMES), looks=[4] * FRAMES)

    monkeypatch.setattr(pairs_module, "record", record)
    return made


def test_a_nuisance_is_steady_or_begins_between_the_two(recorded):
    angles = np.zeros(FRAMES)
    angles[6:] = 1.5
    usual = trace(angles)
    scorer = Scorer(server(Glance()), Parameters())
    episode = SimpleNamespace(name="some", task="open")
    found = scorer.under_nuisances(episode, usual, list(NAMED), EVERY, seed=3)
    assert list(found) == list(NAMED)
    assert recorded == [(f"some, {name}", ("front", "wrist"), 3) for name in NAMED]
    of = found["white_balance"]
    assert len(of.steady.kinds) == 10
    assert of.steady.changed.sum() == 2
    assert not of.steady.alarms["gate"].any()  # of the disturbed alone
    assert not of.steady.alarms["glance"].any()
    assert set(of.onset.kinds) == {NUISANCE}
    assert len(of.onset.kinds) == 8  # those across a change are left out
    assert of.onset.alarms["glance"].all()
    assert not of.onset.alarms["gate"].any()
    assert [name for name, of in found.items() if of.onset is None] == ["light_gradual"]
