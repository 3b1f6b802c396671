"""Thresholds from similarities that are made, and what they do."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from cls_vla_ros.evaluation.calibration.conformal import expected, kept_by
from cls_vla_ros.evaluation.calibration.intervals import Wanted, intervals_of
from cls_vla_ros.evaluation.measures.traces import DIMMED_FRAMES, PATCHED_FRAMES, Trace
from cls_vla_ros.recordings.episodes import Event


def trace(angles, events=(), disturbed=None, positions=None) -> Trace:
    """Frames whose similarity with any earlier one is the cosine of their angle."""
    count = len(angles)

    def out(of):
        seen = torch.tensor([[np.cos(a), np.sin(a)] for a in of])
        return torch.stack([seen, torch.tensor([[1.0, 0.0]] * count)], 1).float()

    stamps = np.arange(count) / 10
    states = np.zeros((count, 1)) if positions is None else np.reshape(positions, (count, 1))
    others = {name: out(of) for name, of in (disturbed or {}).items()}
    return Trace("t", events, stamps, states, states, out(angles), others, [], state_std=2.0)


def moving_then_calm(seed: int, pairs=40) -> Trace:
    """Moves by two standard deviations a frame and is less as predicted then; stands still."""
    random = np.random.default_rng(seed)
    angles = np.concatenate([random.normal(0.8, 0.1, pairs), random.normal(0.2, 0.05, pairs)])
    positions = np.concatenate([np.arange(pairs) * 4.0, np.full(pairs, pairs * 4.0)])
    return trace(angles, positions=positions)


def test_a_robot_that_moves_and_a_calm_one_have_thresholds_of_their_own():
    traces = [moving_then_calm(seed) for seed in range(20)]
    (interval,) = intervals_of(traces, [1], 0.1, Wanted(false_alarms=0.05))
    row = interval.row
    assert row.interval_s == interval.seconds == 0.1
    assert row.motion == 2.0  # in standard deviations
    assert np.cos(1.1) < row.moving < np.cos(0.8)
    assert np.cos(0.35) < row.calm < np.cos(0.2)
    moves = interval.ordinary.motions >= row.motion
    assert moves.mean() == pytest.approx(40 / 79)
    alarms = interval.alarms(interval.ordinary)
    for of_group in (alarms[moves], alarms[~moves]):
        # 0.05 * 21 / 20 - 0.25 / 20 of them, as the bound has it
        assert of_group.mean() == pytest.approx(0.04, abs=0.002)
    assert interval.to_values()["false_alarms"] == pytest.approx(0.04, abs=0.002)
    assert interval.to_values()["row"] == [0.1, row.moving, row.calm, 2.0]
    assert interval.to_values()["promised"]["calm"] == pytest.approx(0.05 + 0.75 / 21)


def test_false_alarms_are_expected_from_the_thresholds_of_the_others():
    traces = [moving_then_calm(seed) for seed in range(8)]
    (interval,) = intervals_of(traces, [1], 0.1, Wanted(false_alarms=0.1))
    for left, rate in enumerate(interval.rates):
        others = [of for k, of in enumerate(traces) if k != left]
        (without,) = intervals_of(others, [1], 0.1, Wanted(false_alarms=0.1))
        (its,) = intervals_of([traces[left]], [1], 0.1, Wanted(false_alarms=0.5))
        assert rate == pytest.approx(without.alarms(its.ordinary).mean())
    assert interval.expected == expected(interval.rates, 8 * 79)
    assert interval.expected["low"] < interval.expected["value"] < interval.expected["high"]
    fresh = [moving_then_calm(seed) for seed in range(100, 200)]
    (of_fresh,) = intervals_of(fresh, [1], 0.1, Wanted(false_alarms=0.1))
    fresh_rate = interval.alarms(of_fresh.ordinary).mean()
    assert interval.expected["low"] <= fresh_rate <= interval.expected["high"]


def test_pairs_that_overlap_are_one_sample():
    traces = [moving_then_calm(seed) for seed in range(8)]
    (interval,) = intervals_of(traces, [8], 0.1, Wanted(false_alarms=0.1))
    assert interval.expected == expected(interval.rates, 8 * 72 / 8)


def test_of_one_episode_nothing_is_expected_and_no_pair_alarms():
    (interval,) = intervals_of([moving_then_calm(0)], [1], 0.1, Wanted(false_alarms=0.05))
    assert interval.expected["value"] is None
    assert interval.moving.episodes == 1
    assert kept_by(1, 0.05) == 0.125
    assert not interval.alarms(interval.ordinary).any()
    lowest = interval.ordinary.values[interval.ordinary.motions >= 2.0].min()
    assert lowest - 2e-4 <= interval.row.moving < lowest


def test_a_robot_that_never_moves_has_one_threshold():
    traces = [trace(np.linspace(0, 1, 50)) for _ in range(2)]
    (interval,) = intervals_of(traces, [1], 0.1, Wanted(false_alarms=0.4))
    assert interval.row.motion == 0
    assert interval.row.moving == interval.row.calm
    assert interval.moving == interval.calm


def test_changes_and_light_are_not_ordinary():
    random = np.random.default_rng(0)
    angles = np.abs(random.normal(0, 0.5, 400))
    angles[100] = 1.5
    of = trace(angles, [Event(10.0, "object_moved", True), Event(20.0, "light", False)])
    (interval,) = intervals_of([of] * 9, [1], 0.1, Wanted(false_alarms=0.1))
    alarms = interval.alarms(interval.ordinary).mean()
    assert alarms == pytest.approx((0.1 * 10 - 0.25) / 9, abs=0.005)
    assert interval.changed.values == pytest.approx([np.cos(1.5)] * 9)
    assert len(interval.light) == 9
    assert len(interval.unchanged) == 9 * 398
    values = interval.to_values()
    assert values["miss_rate"] == 0
    assert values["false_alarms_light"] in (0, 1)
    assert values["similarities"]["changed"]["pairs"] == 9


def test_a_miss_rate_is_kept_likewise():
    random = np.random.default_rng(0)
    episodes = [
        trace(np.abs(random.normal(0, 0.5, 60)), [Event(2.0, "object_moved", True)])
        for _ in range(12)
    ]
    (interval,) = intervals_of(episodes, [20], 0.1, Wanted(miss_rate=0.4))
    missed = (~interval.alarms(interval.changed)).mean()
    assert missed == pytest.approx((0.4 * 13 - 0.25) / 12, abs=0.01)
    assert interval.seconds == 2.0
    assert interval.to_values()["miss_rate"] == pytest.approx(missed)
    assert interval.expected["value"] > 0.3  # of false alarms, which is the price
    # The highest threshold would do better, the next lower one misses more than that.
    assert interval.row.moving in np.ceil(interval.changed.values * 1e4) / 1e4


def test_made_changes_go_both_ways():
    angles = {PATCHED_FRAMES: [1.0] * 4, DIMMED_FRAMES: [0.2] * 4}
    of = trace([0.0] * 4, None, angles, positions=[0.0, 2.0, 2.0, 8.0])
    (interval,) = intervals_of([of], [1], 0.1, Wanted(false_alarms=0.05))
    # The prediction is the same in all, so where the patch vanishes nothing is seen here.
    assert interval.changed.values == pytest.approx([np.cos(1.0)] * 3 + [1.0] * 3)
    assert interval.changed.motions == pytest.approx([1, 0, 3, 1, 0, 3])
    assert interval.light.values == pytest.approx([np.cos(0.2)] * 3 + [1.0] * 3)


def under_nuisances(seed: int) -> Trace:
    """Ordinary at 0.2 to 0.4, a little more in haze, which looks like a change as it begins."""
    random = np.random.default_rng(seed)
    usual = random.uniform(0.2, 0.4, 60)
    haze = random.uniform(0.3, 0.5, 60)
    moved = [Event(3.0, "object_moved", True)]
    return trace(usual, moved, {"haze": haze, "light_gradual": usual}, np.arange(60.0))


def test_pairs_under_nuisances_are_ordinary_steady_and_at_their_onset():
    traces = [under_nuisances(seed) for seed in range(10)]
    (interval,) = intervals_of(traces, [1], 0.1, Wanted(false_alarms=0.1))
    assert list(interval.nuisances) == ["haze steady", "haze onset", "light_gradual steady"]
    assert {len(of) for of in interval.nuisances.values()} == {10 * 58}  # without the change
    assert len(interval.ordinary) == 10 * 58
    shares = interval.to_values()["false_alarms_nuisances"]
    # The four parts weigh the same, and all that may alarm is in haze.
    kept = (0.1 * 11 - 0.25) / 10
    assert interval.to_values()["false_alarms"] == 0
    assert shares["light_gradual steady"] == 0
    both = (shares["haze steady"] + shares["haze onset"]) / 4
    assert both == pytest.approx(kept, abs=0.01)
    assert interval.expected["value"] == pytest.approx(kept, abs=0.05)
    plain = [replace(of, disturbed={}) for of in traces]
    (without,) = intervals_of(plain, [1], 0.1, Wanted(false_alarms=0.1))
    assert without.row.calm > interval.row.calm
    assert without.nuisances == {}


def test_a_nuisance_is_compared_with_itself_or_at_its_onset_with_what_was_before():
    of = under_nuisances(0)
    predicted = of.obs_cls_out.clone()
    predicted[:, 1] = torch.tensor([0.0, 1.0])
    other = replace(of, disturbed={"haze": predicted, "light_gradual": of.obs_cls_out})
    (interval,) = intervals_of([other], [1], 0.1, Wanted(false_alarms=0.3))
    haze = torch.sin(torch.atan2(predicted[1:, 0, 1], predicted[1:, 0, 0]))
    steady, onset = (interval.nuisances[f"haze {how}"].values for how in ("steady", "onset"))
    assert steady == pytest.approx(np.delete(haze.numpy(), 29), abs=1e-5)
    assert onset == pytest.approx(np.sqrt(1 - steady**2), abs=1e-4)


def test_a_miss_rate_does_not_look_at_nuisances():
    traces = [under_nuisances(seed) for seed in range(4)]
    plain = [replace(of, disturbed={}) for of in traces]
    rows = [intervals_of(of, [1], 0.1, Wanted(miss_rate=0.3))[0].row for of in (traces, plain)]
    assert rows[0] == rows[1]


@pytest.mark.parametrize("wanted", [Wanted(false_alarms=0.05), Wanted(miss_rate=0.1)])
def test_too_few_pairs_are_named(wanted):
    with pytest.raises(ValueError, match="pairs of frames 8 apart"):
        intervals_of([trace([0.0] * 4, [])], [8], 0.1, wanted)


def test_a_miss_rate_needs_changes():
    with pytest.raises(ValueError, match=r"no changed pairs .* ask for --false-alarms"):
        intervals_of([trace([0.0] * 9, [])], [1], 0.1, Wanted(miss_rate=0.1))


def test_a_reuse_rate_is_kept_by_the_false_alarms_that_follow():
    wanted = Wanted.of(None, None, 0.7, max_reuses=4)
    random = np.random.default_rng(0)
    reused = computed = 0
    for is_alarm in random.random(20_000) < wanted.false_alarms:
        computed += 1
        reused += 0 if is_alarm else 4
    assert reused / (reused + computed) == pytest.approx(0.7, abs=0.005)
    with pytest.raises(ValueError, match=r"not below the 0\.8"):
        Wanted.of(None, None, 0.8, max_reuses=4)
    assert Wanted.of(None, None, None, 4) == Wanted(false_alarms=0.05)
    assert Wanted.of(0.02, None, None, 4) == Wanted(false_alarms=0.02)
    assert Wanted.of(None, 0.03, None, 4) == Wanted(miss_rate=0.03)


def test_an_episode_too_short_for_an_interval_has_no_part_in_it():
    short, long = trace([0.5] * 4), trace([0.0] * 30)
    one, eight = intervals_of([short, long], [1, 8], 0.1, Wanted(false_alarms=0.05))
    assert (len(one.rates), len(eight.rates)) == (2, 1)
    assert len(one.ordinary) == 3 + 29
    assert math.isclose(eight.seconds, 0.8)
