"""Ages, motions and deviations, from replays that are made."""

from types import SimpleNamespace

import numpy as np
import pytest

from cls_vla_ros.evaluation.calibration import ageing
from cls_vla_ros.evaluation.calibration.ageing import PHASES, measure_ageing
from cls_vla_ros.evaluation.measures.replays import Step, full
from cls_vla_ros.recordings.episodes import Event

FRAMES, PERIOD_S, SEED, SPREAD = 30, 0.1, 7, 2.0
SERVER = SimpleNamespace(config=SimpleNamespace(image_features={"front": None}))


class Recorded:
    def __init__(self, events=None):
        self.events = events

    def frames(self, rate_hz=None):
        return iter([SimpleNamespace(observation=n) for n in range(FRAMES)])


def trace():
    """Actions whose standard deviation is 2."""
    actions = np.where(np.arange(FRAMES) % 2, SPREAD, -SPREAD)[:, None, None]
    return SimpleNamespace(
        actions=np.repeat(actions, 4, axis=1), stamps_s=np.arange(FRAMES) * PERIOD_S
    )


@pytest.fixture
def calls(monkeypatch):
    """A replay whose actions are off by the age at first, and by 50 in the rest of the chunk.

    Another noise is off by one standard deviation, or by two in every other frame.
    """
    made = []

    def replay(server, observations, way, seed):
        assert list(observations) == list(range(FRAMES))
        steps, computed_s = [], 0.0
        if way is not full:
            limits = way(SimpleNamespace(threshold=0.5))
        ages = []
        for n in range(FRAMES):
            if way is full:
                actions = trace().actions[n] + SPREAD * (1 + n % 2)
                age_s = 0.0
            else:
                if limits(n).max_reuses == 0:
                    computed_s = n * PERIOD_S
                age_s = n * PERIOD_S - computed_s
                actions = trace().actions[n] + 50.0
                actions[:2] = trace().actions[n, :2] + SPREAD * age_s
            ages.append(round(age_s / PERIOD_S))
            inference = SimpleNamespace(actions=actions, cache_age_s=age_s, motion=3 * age_s)
            steps.append(Step(n * PERIOD_S, inference))
        made.append((way is full, seed, ages))
        return steps

    monkeypatch.setattr(ageing, "replay", replay)
    return made


def test_deviations_are_of_what_is_executed_in_units_of_two_noises(calls):
    done = []
    found = measure_ageing(
        SERVER, [Recorded()], [trace()], 4, 2, SEED, on_episode=lambda: done.append(1)
    )
    assert found.two_noises == pytest.approx(1.5)
    assert found.of_noises == pytest.approx([1 / 1.5, 2 / 1.5] * (FRAMES // 2))
    assert set(found.by_frames) == {1, 2, 3, 4}
    for frames, values in found.by_frames.items():
        assert values == pytest.approx(frames * PERIOD_S / 1.5)
        assert len(values) >= 2 * (FRAMES // 5) - PHASES
    assert found.drift.motions == pytest.approx(3 * found.drift.ages_s)
    assert found.drift.deviations == pytest.approx(found.drift.ages_s / 1.5)
    assert done == [1]
    assert found.to_values()[1] == {
        "frames": 2,
        "samples": len(found.by_frames[2]),
        **dict.fromkeys(("median", "p95", "p99"), pytest.approx(0.2 / 1.5)),
    }


def test_the_replays_begin_at_other_frames_with_the_references_noise(calls):
    measure_ageing(SERVER, [Recorded()], [trace()], 4, 2, SEED)
    assert [(is_full, seed) for is_full, seed, _ in calls] == [
        (True, SEED + 1),
        *[(False, SEED)] * PHASES,
    ]
    first, second = calls[1][2], calls[2][2]
    assert first[:7] == [0, 1, 2, 3, 4, 0, 1]
    assert second[:7] == [0, 1, 2, 0, 1, 2, 3]


def test_a_prefix_from_before_an_event_does_not_count(calls):
    usual = measure_ageing(SERVER, [Recorded()], [trace()], 4, 2, SEED)
    events = [Event(0.95, "light_dimmed", False), Event(1.2, "object_moved", True)]
    found = measure_ageing(SERVER, [Recorded(events)], [trace()], 4, 2, SEED)
    across = sum(
        any(computed < event.stamp_s <= now for event in events)
        for _, _, ages in calls[1 : 1 + PHASES]
        for now, computed in ((n * PERIOD_S, (n - age) * PERIOD_S) for n, age in enumerate(ages))
    )
    assert across > 4
    assert len(usual.drift.ages_s) - len(found.drift.ages_s) == across


def test_two_noises_must_differ(calls, monkeypatch):
    monkeypatch.setattr(ageing, "deviations", lambda actions, *more: np.zeros(len(actions)))
    with pytest.raises(ValueError, match="two noises make the same actions"):
        measure_ageing(SERVER, [Recorded()], [trace()], 4, 2, SEED)
