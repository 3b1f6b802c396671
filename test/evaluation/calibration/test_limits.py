"""Which limits follow from what was measured, with replays that are made."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from rich.console import Console

from cls_vla_ros.evaluation.calibration import calibrate
from cls_vla_ros.evaluation.calibration.ageing import Ageing
from cls_vla_ros.evaluation.calibration.glance_threshold import Glanced
from cls_vla_ros.evaluation.calibration.motion import Drift
from cls_vla_ros.evaluation.loading import Loaded
from cls_vla_ros.evaluation.measures.replays import Step
from cls_vla_ros.evaluation.measures.traces import Trace
from cls_vla_ros.inference import ReuseLimits, Session
from cls_vla_ros.inference.reuse.gate_sight import smallest_spread

PERIOD_S, RATE_HZ, FRAMES = 0.1, 5.0, 60
TOLD = dict.fromkeys(("false_alarms", "miss_rate", "reuse_rate", "glance_false_alarms", "steps"))
ARGS = SimpleNamespace(
    **TOLD | {"intervals": [1, 2, 4], "max_tail": 1.0, "max_delay": 9.0, "seed": 3}
)


class Parameters:
    def get(self, name):
        assert name == "rate_hz"
        return RATE_HZ

    def read(self):
        return SimpleNamespace(cameras=[])

    def reuse_limits(self, cameras, config):
        return ReuseLimits(unguarded=frozenset({"wrist"}))


class Recorded:
    def __init__(self):
        self.rates = []

    def frames(self, rate_hz=None):
        self.rates.append(rate_hz)
        return iter([])


def angles_of(seed) -> np.ndarray:
    """Twenty frames that are alike; the first of them is no full inference two frames later."""
    angles = np.random.default_rng(seed).normal(0.5, 0.1 * (seed + 1), FRAMES)
    angles[1:21] = 0.5
    return angles


def trace(seed) -> Trace:
    angles = angles_of(seed)
    seen = torch.tensor(np.stack([np.cos(angles), np.sin(angles)], 1))
    out = torch.stack([seen, torch.tensor([[1.0, 0.0]]).expand(FRAMES, 2)], 1).float()
    states = np.arange(FRAMES)[:, None] * 1.0
    return Trace("t", [], np.arange(FRAMES) * PERIOD_S, states, states, out, {}, [])


def drift(tolerable_frames=7, furthest=12.0) -> Drift:
    """Ages of up to ten frames; deviates by too much beyond so many frames and so much motion."""
    random = np.random.default_rng(0)
    frames = np.tile(np.arange(1, 11), 240)
    motions = random.uniform(0, 20, len(frames))
    bad = (frames > tolerable_frames) & (random.random(len(frames)) < 0.1)
    deviations = np.where(bad | (motions > furthest), 2.0, 0.3)
    return Drift(frames * PERIOD_S, motions, deviations)


@pytest.fixture
def asked(monkeypatch):
    """What ageing and the last replay were asked for; four of ten are reused."""
    made = SimpleNamespace(ageing=None, sessions=[], limits=[], seeds=[], drift=drift())

    def measure_ageing(server, episodes, traces, oldest, executed, seed, on_episode):
        made.ageing = (oldest, executed, seed)
        return Ageing({}, 1.0, np.ones(9), made.drift)

    def replay(server, observations, way, seed):
        list(observations)
        made.sessions.append(Session(0.9, 0, has_gate=True, is_trained=True))
        made.limits.append(way(made.sessions[-1])(0))
        made.seeds.append(seed)
        return [Step(0.0, SimpleNamespace(prefix_reused=n < 4)) for n in range(10)]

    monkeypatch.setattr(calibrate, "measure_ageing", measure_ageing)
    monkeypatch.setattr(calibrate, "replay", replay)
    return made


def loaded(glance=None, episodes=2) -> Loaded:
    config = SimpleNamespace(
        cls_similarity_threshold=0.5, image_features={"front": None, "wrist": None}
    )
    server = SimpleNamespace(config=config, glance=glance)
    return Loaded(Parameters(), [Recorded() for _ in range(episodes)], server, ["ab", None])


def found_with(of=None, **more):
    args = SimpleNamespace(**vars(ARGS) | more)
    traces = [trace(0), trace(1)]
    return calibrate.calibrate(of or loaded(), traces, args, Console(quiet=True))


def test_the_nodes_rate_says_what_is_executed_and_how_many_reuses_an_age_is(asked):
    found = found_with()
    assert asked.ageing == (4, 2, 3)  # two frames from an inference to the next
    assert found.max_motion == pytest.approx(12.0, abs=2.0)
    assert found.max_age_s == pytest.approx(0.7)
    assert found.max_reuses == 3
    assert found.executed_p95 == 0.3
    assert found.fingerprints == ["ab"]


def test_the_delay_bounds_the_age(asked):
    found = found_with(max_delay=0.5)
    assert found.max_age_s == pytest.approx(0.5)
    assert found.max_reuses == 2


def test_the_tail_bounds_the_age_within_the_motion(asked):
    assert found_with(max_tail=3.0).max_age_s == pytest.approx(1.0)
    none = found_with(max_tail=0.1)
    assert (none.max_age_s, none.max_reuses, none.max_motion) == (0, 0, 0)
    assert np.isnan(none.executed_p95)


def test_the_spread_is_the_smallest_at_the_nodes_interval(asked):
    spreads = [smallest_spread(np.cos(angles_of(seed)[2:])) for seed in (0, 1)]
    assert min(spreads) > 1e-3
    assert found_with().min_spread == pytest.approx(min(spreads), rel=1e-3)


def test_the_reuse_is_that_of_what_was_found_at_the_nodes_rate(asked):
    of = loaded()
    found = found_with(of)
    assert found.reuse == pytest.approx(0.4)
    assert [episode.rates for episode in of.episodes] == [[RATE_HZ]] * 2
    assert asked.seeds == [3, 3]
    limits = asked.limits[0]
    assert (limits.max_age_s, limits.max_reuses) == (found.max_age_s, found.max_reuses)
    assert limits.max_motion == found.max_motion
    assert limits.unguarded == {"front", "wrist"}
    rows = asked.sessions[0].thresholds_by_interval
    assert [list(row) for row in rows] == found.to_config()["cls_thresholds"]
    assert asked.sessions[0].threshold == 0.5


@pytest.fixture
def glanced(monkeypatch):
    made = []

    def glance_over(server, episode, trace, frames, cameras, seed, on_look):
        made.append((list(frames), list(cameras), seed))
        return Glanced({"ordinary": np.linspace(0, 1, 1001)}, np.ones(2), 9.0)

    monkeypatch.setattr(calibrate, "glance_over", glance_over)
    return made


@pytest.mark.parametrize(
    ("told", "share"),
    [
        ({"false_alarms": 0.3}, 0.3),
        ({"false_alarms": 0.3, "glance_false_alarms": 0.4}, 0.4),
        ({"glance_false_alarms": 0.4}, 0.4),
    ],
)
def test_the_glance_looks_at_guarded_cameras_as_far_back_as_a_prefix_is_old(
    asked, glanced, told, share
):
    found = found_with(loaded(glance=object()), max_delay=0.25, **told)
    assert glanced == [([1, 2], ["front"], 3)] * 2
    kept = (share * 3 - 0.25) / 2  # of two episodes
    assert found.glance.threshold == pytest.approx(1 - kept, abs=2e-3)
    assert found.to_config()["glance_threshold"] == found.glance.threshold


def test_where_nothing_is_reused_the_glance_has_the_shortest_interval(asked, glanced):
    found_with(loaded(glance=object()), max_tail=0.1)
    assert glanced[0][0] == [1]


def test_without_a_glance_or_a_guarded_camera_there_is_no_threshold(asked, glanced, monkeypatch):
    assert found_with().glance is None
    everything = ReuseLimits(unguarded=frozenset({"front", "wrist"}))
    monkeypatch.setattr(Parameters, "reuse_limits", lambda *of: everything)
    assert found_with(loaded(glance=object())).glance is None
    assert glanced == []
