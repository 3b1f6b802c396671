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
    replay,
    spread,
)
from cls_vla_ros.evaluation.measures.reuse_measures import played, summary
from cls_vla_ros.inference import Inference, PolicyServer, Reason, load_policy
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


@dataclass
class Script:
    """Steps at 10 Hz from a word: c computed, r reused, ! the gate speaks up, g the guard."""

    word: str

    def steps(self) -> list[Step]:
        made = []
        for n, letter in enumerate(self.word):
            kept = letter != "!"
            decision = GateDecision(0.0, (0.0,), 0.0, n > 0, should_cache=kept)
            reason = {"r": Reason.REUSED, "g": Reason.FRAME_DIFFERENT}.get(
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
    assert (detection["changes"], detection["miss_rate"]) == (2, 0.5)
    assert found["false_alarms_per_minute"] == pytest.approx(60 / 0.6)
