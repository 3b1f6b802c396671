"""How episodes are replayed in each way, and what comes of it."""

from types import SimpleNamespace

import numpy as np
import pytest

from cls_vla_ros.evaluation import evaluation
from cls_vla_ros.evaluation.evaluation import PERIODIC, Evaluated, Replays, Ways
from cls_vla_ros.evaluation.measures.replays import Step, full
from cls_vla_ros.inference import Reason, ReuseLimits, Session
from cls_vla_ros.recordings.episodes import Event

FRAMES, RATE_HZ = 40, 10.0
LIMITS = ReuseLimits(
    max_age_s=1.0,
    max_reuses=2,
    glance_threshold=0.7,
    guard_threshold=0.4,
    unguarded=frozenset({"wrist"}),
    adaptive=True,
)
ROWS = [[0.2, 0.7]]


class Parameters:
    def get(self, name):
        assert name == "rate_hz"
        return RATE_HZ

    def read(self):
        return SimpleNamespace(cameras=["cameras"])

    def reuse_limits(self, cameras, config):
        assert cameras == ["cameras"]
        return LIMITS

    def set_thresholds(self, session, config):
        session.set_thresholds(0.5, ROWS)


class Recorded:
    """Frames at 20 Hz, twice the node's rate."""

    def __init__(self, name="some", events=()):
        self.name, self.events = name, events

    def frames(self, rate_hz=None):
        for n in range(0, FRAMES, 1 if rate_hz is None else 2):
            yield SimpleNamespace(observation=SimpleNamespace(stamp_s=n / 20, number=n))


def server(glance=None):
    features = {"front": None, "wrist": None}
    return SimpleNamespace(config=SimpleNamespace(image_features=features), glance=glance)


class Played:
    """A replay as it was asked for: its way's session and limits, in order."""

    def __init__(self, observations, way, seed):
        self.numbers = [o.number for o in observations]
        self.seed, self.is_full = seed, way is full
        self.session = Session(0.3, 0, has_gate=True, is_trained=True)
        self.of = way(self.session)
        self.limits = [self.of(n) for n in range(len(self.numbers))]


@pytest.fixture
def asked(monkeypatch):
    """What was replayed; the node's way reuses half of what comes after the first."""
    made = []

    def replay(server, observations, way, seed):
        made.append(Played(observations, way, seed))
        count = len(made[-1].numbers)
        return [
            Step(
                n / RATE_HZ,
                SimpleNamespace(
                    actions=np.full((2, 1), float(n + seed)),
                    prefix_reused=n % 2 == 1,
                    decision=SimpleNamespace(scene_changed=False),
                    reason=Reason.REUSED if n % 2 else Reason.MAX_REUSES,
                    cache_age_s=(n % 2) / RATE_HZ,
                ),
            )
            for n in range(count)
        ]

    monkeypatch.setattr(evaluation, "replay", replay)
    return made


def test_the_ways_are_the_nodes_its_parts_and_two_timers(asked):
    ways = Ways(server(), Parameters(), seed=7)
    replays = ways.play(Recorded())
    assert list(replays.steps) == list(ways.names)
    assert ways.names == ("gate_and_guard", "gate", "guard", "timer_and_guard", "periodic")
    both, gate, guard, timer_and_guard, timer, *rest = asked
    assert {played.seed for played in asked[:5]} == {7}
    assert [(played.is_full, played.seed) for played in rest] == [(True, 8), (True, 7)]
    for played in (both, gate):  # the node's thresholds
        assert [row[:2] for row in played.session.thresholds_by_interval] == [(0.2, 0.7)]
    for played in (guard, timer_and_guard, timer):  # the gate has no say
        assert played.session.threshold == -1.0
        assert played.session.thresholds_by_interval == ()
    assert set(both.limits) == {LIMITS}
    everything = {"front", "wrist"}
    assert {(of.unguarded, of.max_reuses) for of in gate.limits} == {(frozenset(everything), 2)}
    assert {of.unguarded for of in guard.limits} == {LIMITS.unguarded}
    assert guard.limits[0].max_reuses == 2
    assert guard.limits[0].allow_untrained
    assert not guard.limits[0].adaptive
    assert {of.unguarded for of in timer.limits} == {frozenset(everything)}
    # Twenty inferences, ten of them reused: 9 of the 19 after the first compute.
    due = [n for n, of in enumerate(timer.limits) if of.max_reuses == 0]
    assert due[0] == 0
    assert len(due) - 1 in (8, 9, 10)
    assert timer_and_guard.limits[1].unguarded == LIMITS.unguarded


def test_both_timers_reuse_as_much_as_the_node_did_in_that_replay(asked, monkeypatch):
    told = []

    def periodic(share, cameras, phase):
        told.append((share, phase))
        return full

    monkeypatch.setattr(evaluation, "periodic", periodic)
    monkeypatch.setattr(evaluation, "periodic_and_eye", lambda s, c, p, limits: periodic(s, c, p))
    Ways(server(), Parameters(), 7).play(Recorded())
    assert told[0] == told[1]
    assert told[0][0] == 1 - 10 / 19  # ten of the nineteen after the first are reused


def test_a_policy_with_a_glance_has_it_in_the_guards_place():
    names = Ways(server(glance=object()), Parameters(), 0).names
    assert names == ("gate_and_glance", "gate", "glance", "timer_and_glance", PERIODIC)


def test_the_timer_that_has_an_eye_has_the_nodes(asked):
    Ways(server(), Parameters(), 7).play(Recorded())
    played = asked[3]
    played.session.total.reasons[Reason.NO_HISTORY] += 5
    played.session.statistics.reasons[Reason.NO_HISTORY] += 5  # ahead of the timer
    looking = played.of(1)
    assert (looking.guard_threshold, looking.glance_threshold) == (0.4, 0.7)
    assert looking.guard_frozen
    assert looking.max_reuses > 1000
    assert played.of(19).max_reuses == 0  # and now behind it


def test_replays_begin_at_every_frame_of_a_refresh_cycle(asked):
    ways = Ways(server(), Parameters(), 7)
    # Three inferences, two frames each.
    assert ways.phases(FRAMES, 0.05, most=12) == [0, 1, 2, 3, 4, 5]
    assert ways.phases(FRAMES, 0.05, most=3) == [0, 2, 4]
    assert ways.phases(FRAMES, 0.2, most=12) == [0, 1, 2]  # slower than the node
    assert ways.phases(7, 0.05, most=12) == [0, 1, 2]  # half of the frames are left
    assert ways.phases(2, 0.05, most=12) == [0]
    ways.play(Recorded())
    first = asked[0].numbers
    assert first == list(range(0, FRAMES, 2))
    asked.clear()
    later = ways.play(Recorded(), 3)
    assert {tuple(played.numbers) for played in asked} == {tuple(range(3, FRAMES, 2))}
    assert later.other is None  # the noise is measured once
    assert (later.reference == np.arange(19)[:, None, None] + 7).all()
    assert later.episode == "some"


def test_timers_begin_elsewhere_in_each_replay(asked):
    ways = Ways(server(), Parameters(), 7)
    for first in range(6):
        ways.play(Recorded(), first)
    for name in ("some", "other"):
        ways.play(Recorded(name))
    due = [tuple(of.max_reuses == 0 for of in played.limits[:18]) for played in asked]
    timers = [of for played, of in zip(asked, due, strict=True) if 3 < sum(of) < 18]
    assert len(set(timers)) > 2


def test_what_the_node_does_can_be_played_alone(asked):
    steps = Ways(server(), Parameters(), 7).play_gated(Recorded())
    assert len(steps) == 20
    assert set(asked[0].limits) == {LIMITS}


def replays(events, off=1.0, other=2.0, episode="some") -> Replays:
    """Ten chunks of deviation 1 from each other; a way is off, another noise too."""
    reference = np.where(np.arange(10) % 2, 1.0, -1.0)[:, None, None]
    steps = [
        Step(
            n / 10,
            SimpleNamespace(
                actions=reference[n] + off,
                prefix_reused=n % 2 == 1,
                cache_age_s=0.1 * (n % 2),
                decision=SimpleNamespace(scene_changed=False),
                reason=Reason.MAX_REUSES,
            ),
        )
        for n in range(10)
    ]
    more = None if other is None else reference + other
    return Replays(episode, events, reference, more, {"gate": steps})


def test_deviations_are_in_units_of_two_noises_and_pooled_by_group():
    moved = [Event(0.35, "object_moved", True)]
    light = [Event(0.35, "light", False)]
    evaluated = Evaluated(
        replays=[
            replays(moved),
            replays(moved, other=None),
            replays(light, off=0.5, other=4.0),
            replays(None, off=0.0),
        ]
    )
    two_noises, groups = evaluated.played()
    assert two_noises == pytest.approx((2 + 4 + 2) / 3)
    assert {group: len(ways["gate"]) for group, ways in groups.items()} == {
        **{"disturbed": 2, "undisturbed": 1, "unlabelled": 1}
    }
    (calm,) = groups["undisturbed"]["gate"]
    assert calm.deviation == pytest.approx(0.5 / two_noises)
    assert calm.episode == "some"
    first, _ = groups["disturbed"]["gate"]
    assert first.after_change.sum() == 5
    assert [(catch.group, catch.caught) for catch in first.catches] == [("object", False)]


def test_two_noises_must_differ():
    with pytest.raises(ValueError, match="two noises make the same actions"):
        Evaluated(replays=[replays([], other=0.0)]).played()
