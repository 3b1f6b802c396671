"""Replays, and what is measured of them."""

from dataclasses import dataclass, fields

import numpy as np
import pytest

from cls_vla_ros.evaluation.measures.replays import (
    Step,
    blocks,
    chunks,
    deviations,
    full,
    periodic,
    periodic_and_eye,
    replay,
    spread,
)
from cls_vla_ros.evaluation.measures.reuse_measures import played, spoke_up, summary
from cls_vla_ros.inference import (
    Inference,
    Observation,
    PolicyServer,
    Reason,
    ReuseLimits,
    load_policy,
)
from cls_vla_ros.policy.scene_gate import GateDecision
from cls_vla_ros.recordings.episodes import Event

CAMERAS = ("observation.images.front", "observation.images.wrist")


@pytest.fixture(scope="module")
def server(checkpoint):
    policy, *processors = load_policy(checkpoint, "cpu")
    policy.config.num_steps = 1  # quicker
    return PolicyServer(policy, *processors)


@pytest.fixture
def observations(make_observation):
    return [make_observation(seed, stamp_s=10 + 0.1 * seed) for seed in range(9)]


def reused(steps) -> list[bool]:
    return [step.inference.prefix_reused for step in steps]


def test_two_full_recomputes_with_one_noise_are_the_same(server, observations):
    first, again, other = (chunks(replay(server, observations, full, s)) for s in (1, 1, 2))
    scale = spread(first)
    assert deviations(again, first, scale).max() == 0
    assert deviations(other, first, scale).min() > 0
    assert first.shape == (9, 50, 3)


def test_a_deviation_is_in_standard_deviations_of_each_value():
    reference = np.stack([np.zeros((4, 2)), np.ones((4, 2)) * [2, 20]])  # deviations of 1 and 10
    assert spread(reference) == pytest.approx([1, 10])
    shifted = np.add(reference, [3, 40])
    assert deviations(shifted, reference, spread(reference)) == pytest.approx([np.sqrt(12.5)] * 2)


@pytest.mark.parametrize("share", [0.0, 0.4, 0.5, 2 / 3, 0.75])
def test_a_timer_reuses_the_share_that_it_is_told_evenly(server, observations, share):
    flags = reused(replay(server, observations, periodic(1 - share, CAMERAS, 0.5), 0))
    assert not flags[0]
    assert abs(sum(flags) - share * 8) < 1
    runs = "".join("r" if flag else "c" for flag in flags[1:]).split("c")
    assert max(map(len, runs)) <= np.ceil(share / (1 - share))


def test_prefixes_of_every_age_are_replayed(server, observations):
    steps = replay(server, observations, blocks(4, 1, CAMERAS), 0)
    ages = [round(step.inference.cache_age_s / 0.1) for step in steps]
    assert ages == [0, 1, 2, 0, 1, 2, 3, 0, 1]
    reference = replay(server, observations, full, 0)
    off = deviations(chunks(steps), chunks(reference), spread(chunks(reference)))
    assert [bool(value > 1e-5) for value in off] == [age > 0 for age in ages]


def eye(picture_changes_at=(), frames=13):
    """Observations whose front camera shows something else from these frames on."""
    random = np.random.default_rng(0)
    front, made = random.integers(0, 256, (48, 64, 3), dtype=np.uint8), []
    for n in range(frames):
        if n in picture_changes_at:
            front = random.integers(0, 256, (48, 64, 3), dtype=np.uint8)
        images = {CAMERAS[0]: front.copy(), CAMERAS[1]: np.full((60, 60, 3), 99, np.uint8)}
        made.append(Observation(images, np.zeros(3, np.float32), "open", 10 + 0.1 * n))
    return made


LOOKING = ReuseLimits(guard_frozen=False, unguarded=frozenset(CAMERAS[1:]), max_reuses=1)


def test_a_timer_with_an_eye_is_a_timer_where_that_sees_nothing(server):
    share, phase = 0.25, 0.5
    with_eye = replay(server, eye(), periodic_and_eye(share, CAMERAS, phase, LOOKING), 0)
    alone = replay(server, eye(), periodic(share, CAMERAS, phase), 0)
    assert reused(with_eye) == reused(alone)
    assert sum(reused(alone)) == 9


def test_what_the_eye_asks_for_is_taken_from_the_timer(server):
    way = periodic_and_eye(0.25, CAMERAS, 0.5, LOOKING)
    steps = replay(server, eye([3, 4]), way, 0)
    word = "".join("r" if r else "c" for r in reused(steps))
    #       the timer's at 2, the eye's at 3 and 4 for which it leaves out those at 6 and 10
    assert word == "crcccrrrrrrrr"
    assert [s.inference.reason for s in steps[2:5]] == [
        Reason.MAX_REUSES,
        *[Reason.FRAME_DIFFERENT] * 2,
    ]
    assert sum(reused(steps)) == sum(reused(replay(server, eye(), way, 0)))
    # An eye that asks for more than the share gets it.
    steps = replay(server, eye(range(1, 9)), way, 0)
    assert sum(reused(steps)) == 13 - 9


@dataclass
class Script:
    """Steps at 10 Hz from a word: c computed, r reused; ! gate, g guard, l glance speak up."""

    word: str

    def steps(self) -> list[Step]:
        made = []
        for n, letter in enumerate(self.word):
            kept = letter != "!"
            decision = GateDecision(0.0, (0.0,), 0.0, n > 0, should_cache=kept)
            reason = {"r": Reason.REUSED, "g": Reason.FRAME_DIFFERENT, "l": Reason.GLANCE}.get(
                letter, Reason.MAX_REUSES
            )
            age_s = 0.1 if letter == "r" else 0.0
            numbers = dict.fromkeys((field.name for field in fields(Inference)), 0.0)
            inference = Inference(
                **numbers
                | {
                    "actions": np.zeros((1, 1)),
                    "decision": decision,
                    "reason": reason,
                    "cache_age_s": age_s,
                }
            )
            made.append(Step(n / 10, inference))
        return made


@pytest.mark.parametrize(
    ("word", "catches", "false_alarms"),
    [
        ("crr!rr", [(True, 0.1)], 0),  # one reused inference showed it, then the gate looked
        ("crgrrr", [(True, 0.0)], 0),
        ("crrcr!", [(False, 0.1)], 1),  # what comes later is no catch
        ("c!rrrr", [], 1),  # before it; and no full inference after it
        ("cgrcgg", [(False, 0.1)], 3),
        ("crlrrr", [(True, 0.0)], 0),  # the glance, as the guard
    ],
)
def test_a_change_is_caught_by_the_first_full_inference_or_not_at_all(word, catches, false_alarms):
    """The change is first seen at 0.2 s; light at 0.3 s is none."""
    events = [Event(0.2, "object_moved", True), Event(0.3, "light_dimmed", False)]
    found = played(Script(word).steps(), np.zeros(6), events)
    assert [(c.caught, pytest.approx(c.delay_s)) for c in found.catches] == catches
    assert found.false_alarms == false_alarms
    assert found.duration_s == pytest.approx(0.5)


def test_a_summary_is_over_all_episodes():
    events = [Event(0.2, "object_moved", True)]
    off = np.array([0.0, 1.0, 2.0, 0.0])
    good, bad = (played(Script(word).steps(), off, events) for word in ("crg!", "crcc"))
    found = summary([good, bad])
    assert found["reuse_fraction"] == 0.25
    assert found["deviation_reused"] == {"count": 2, "median": 1.0, "p95": 1.0, "p99": 1.0}
    assert found["deviation_after_change"]["count"] == 4
    assert found["deviation_by_age"] == [
        {"age_s": 0.1, "count": 2, "median": 1.0, "p95": 1.0, "p99": 1.0}
    ]
    detection = found["detection"]["object"]
    assert (found["episodes"], found["replays"]) == (1, 2)
    assert (detection["changes"], detection["shown"], detection["miss_rate"]) == (1, 2, 0.5)
    assert detection["miss_rate_interval"] is None  # of one episode
    assert found["false_alarms_per_minute"] == pytest.approx(60 / 0.6)


def test_misses_have_an_interval_over_episodes_whatever_the_replays_of_each():
    events = [Event(0.2, "object_moved", True)]
    nothing = np.zeros(4)
    words = {"a": ("crg!", "crg!", "crg!"), "b": ("crcc", "crg!"), "c": ("crg!",)}
    replays = [
        played(Script(word).steps(), nothing, events, name)
        for name, of in words.items()
        for word in of
    ]
    found = summary(replays)
    assert (found["episodes"], found["replays"]) == (3, 6)
    of = found["detection"]["all"]
    assert (of["changes"], of["shown"]) == (3, 6)
    assert of["miss_rate"] == pytest.approx(1 / 6)
    low, high = of["miss_rate_interval"]
    assert 0 <= low < 1 / 6 < high < 1
    assert summary(replays[:3])["detection"]["all"]["miss_rate_interval"] is None
    assert summary([played(Script("crrr").steps(), nothing, [], "d")])["detection"]["all"] == {
        **{"changes": 0, "shown": 0, "miss_rate": None, "miss_rate_interval": None},
        "delay_s": {"median": None, "largest": None},
    }


@pytest.mark.parametrize("letter", "gl!")
def test_who_spoke_up_is_gate_guard_or_glance(letter):
    assert [spoke_up(step) for step in Script(f"cr{letter}c").steps()] == [
        False,
        False,
        True,
        False,
    ]


def test_a_replay_of_one_inference_says_nothing():
    with pytest.raises(ValueError, match="a replay of 1 inferences"):
        played(Script("c").steps(), np.zeros(1), [])
