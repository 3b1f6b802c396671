import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cls_vla_ros.policy.scene_gate import SceneGate
from cls_vla_ros.policy.thresholds import THRESHOLD_PRESETS


def obs_cls_out(seen, predicted) -> torch.Tensor:
    """(B, 2, H) from B vectors each."""
    return torch.stack([torch.tensor(seen), torch.tensor(predicted)], dim=1).float()


def test_without_history_nothing_has_changed_and_the_prefix_may_be_kept():
    decision = SceneGate().evaluate(torch.randn(1, 2, 4))
    assert not decision.has_history
    assert math.isnan(decision.similarity)
    assert decision.should_cache
    assert not decision.scene_changed


def test_compares_what_is_seen_with_what_was_predicted():
    gate = SceneGate(0.5)
    gate.commit(obs_cls_out([[9.0, 9.0]], [[1.0, 0.0]]))
    now = obs_cls_out([[3.0, 4.0]], [[-7.0, 7.0]])
    decision = gate.evaluate(now)
    assert decision.similarity == pytest.approx(0.6)  # cos of (3, 4) and (1, 0)
    assert decision.should_cache
    assert decision.has_history


def test_the_threshold_itself_does_not_pass():
    gate = SceneGate(0.0)
    gate.commit(obs_cls_out([[1.0, 0.0]], [[1.0, 0.0]]))
    decision = gate.evaluate(obs_cls_out([[0.0, 1.0]], [[1.0, 0.0]]))
    assert decision.similarity == 0.0
    assert not decision.should_cache
    assert decision.scene_changed


def test_a_batch_is_decided_by_its_mean_and_shows_each_sample():
    gate = SceneGate(0.45)
    gate.commit(obs_cls_out([[0.0, 1.0]] * 2, [[1.0, 0.0]] * 2))
    decision = gate.evaluate(obs_cls_out([[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0]] * 2))
    assert decision.per_sample == pytest.approx((1.0, 0.0))
    assert decision.similarity == pytest.approx(0.5)
    assert decision.should_cache


def test_evaluating_alone_does_not_make_history():
    gate = SceneGate()
    gate.evaluate(torch.randn(1, 2, 4))
    assert not gate.evaluate(torch.randn(1, 2, 4)).has_history


def test_history_is_a_copy():
    gate = SceneGate()
    out = obs_cls_out([[1.0, 0.0]], [[1.0, 0.0]])
    gate.commit(out)
    out.zero_()
    assert gate.evaluate(obs_cls_out([[1.0, 0.0]], [[1.0, 0.0]])).similarity == pytest.approx(1.0)


def test_a_stricter_preset_caches_less():
    strict, balanced, relaxed = (THRESHOLD_PRESETS[n] for n in ("strict", "balanced", "relaxed"))
    assert strict > balanced > relaxed
    assert SceneGate("strict").threshold == strict


@pytest.mark.parametrize("bad", [1.01, -1.01, math.nan, math.inf, "sloppy", True, None])
def test_a_threshold_that_is_none_is_refused_and_the_old_one_stays(bad):
    gate = SceneGate(0.4)
    with pytest.raises(ValueError, match=r"threshold"):
        gate.threshold = bad
    assert gate.threshold == 0.4


@pytest.mark.parametrize("shape", [(1, 1, 4), (2, 4), (1, 2, 3, 4)])
def test_a_wrong_shape_is_named(shape):
    with pytest.raises(ValueError, match="num_cls_prefix"):
        SceneGate().evaluate(torch.zeros(shape))


def test_another_batch_size_than_the_historys_is_an_error():
    gate = SceneGate()
    gate.commit(torch.randn(2, 2, 4))
    with pytest.raises(ValueError, match="reset"):
        gate.evaluate(torch.randn(3, 2, 4))


ROWS = [[0.1, 0.8], [0.3, 0.6]]


@pytest.mark.parametrize(
    ("interval_s", "threshold"),
    [(0.1, 0.8), (0.2, 0.7), (0.3, 0.6), (0.0, 0.8), (9.0, 0.6), (None, 0.5)],
)
def test_the_threshold_is_that_of_the_time_since_the_last_full_inference(interval_s, threshold):
    """Interpolated between two rows, held beyond the ends, the single one without a clock."""
    gate = SceneGate(0.5, ROWS)
    gate.commit(obs_cls_out([[1.0, 0.0]], [[1.0, 0.0]]))
    just_below, just_above = (
        gate.evaluate(obs_cls_out([[c, math.sqrt(1 - c * c)]], [[1.0, 0.0]]), interval_s)
        for c in (threshold - 1e-3, threshold + 1e-3)
    )
    assert just_below.threshold == just_above.threshold == pytest.approx(threshold)
    assert (just_below.should_cache, just_above.should_cache) == (False, True)


def test_a_number_overrides_the_thresholds_by_interval():
    gate = SceneGate(0.5, ROWS)
    gate.threshold = 0.4
    assert gate.threshold_at(0.1) == 0.4
    assert gate.by_interval == ()


def test_thresholds_by_interval_move_with_the_single_one():
    gate = SceneGate(0.5, ROWS)
    gate.shift_to(0.45)
    assert gate.threshold_at(0.2) == pytest.approx(0.65)
    assert [row[:2] for row in gate.by_interval] == [
        (0.1, pytest.approx(0.75)),
        (0.3, pytest.approx(0.55)),
    ]
    gate.shift_to(0.2)
    assert gate.threshold_at(0.1) == pytest.approx(0.5)  # from where it was given, not from 0.45
    assert SceneGate(0.5, [[0.1, 0.9]]).threshold_at(5.0) == 0.9


def test_a_shifted_threshold_stays_a_cosine():
    gate = SceneGate(0.2, [[0.1, 0.9]])
    gate.shift_to(0.8)
    assert gate.threshold_at(0.1) == 1.0


SPLIT = [[0.1, 0.6, 0.8, 0.2], [0.3, 0.4, 0.7, 0.6]]  # the robot moves, it is calm


@pytest.mark.parametrize(
    ("interval_s", "motion", "threshold"),
    [
        *((0.1, 0.19, 0.8), (0.1, 0.2, 0.6), (0.3, 0.59, 0.7), (0.3, 0.6, 0.4), (9.0, 5.0, 0.4)),
        *((0.2, 0.39, 0.75), (0.2, 0.41, 0.5)),  # thresholds and motion halfway between the rows
        *((0.1, None, 0.6), (0.1, math.nan, 0.6), (None, 0.0, 0.5)),
    ],
)
def test_a_robot_that_moves_has_a_threshold_of_its_own(interval_s, motion, threshold):
    gate = SceneGate(0.5, SPLIT)
    gate.commit(obs_cls_out([[1.0, 0.0]], [[1.0, 0.0]]))
    decision = gate.evaluate(obs_cls_out([[1.0, 0.0]], [[1.0, 0.0]]), interval_s, motion)
    assert decision.threshold == pytest.approx(threshold)
    gate.shift_to(0.4)
    assert gate.threshold_at(interval_s, motion) == pytest.approx(threshold - 0.1)


def test_where_the_motion_is_unknown_the_lower_threshold_holds():
    assert SceneGate(0.5, [[0.1, 0.8, 0.6, 0.2]]).threshold_at(0.1) == 0.6


def test_a_row_of_one_threshold_is_for_both():
    gate = SceneGate(0.5, [[0.1, 0.8], [0.3, 0.4, 0.6, 0.2]])
    assert [gate.threshold_at(0.1, motion) for motion in (None, 0.0, 9.0)] == [0.8] * 3
    assert gate.threshold_at(0.2, 0.05) == pytest.approx(0.7)
    assert [str(row) for row in gate.by_interval] == [
        "0.800 at 0.1 s",
        "0.400 moving, 0.600 calm at 0.3 s",
    ]


@pytest.mark.parametrize(
    "rows",
    [
        [[0.1, 0.5, 0.5]],
        [[0.1, 0.5, 1.5, 0.2]],
        [[0.1, 0.5, 0.5, -0.1]],
        [[0.1, 0.5, 0.5, math.nan]],
        [[0.1]],
        [[0.2, 0.5], [0.1, 0.5]],
        [[0.1, 0.5], [0.1, 0.6]],
        [[0.1, 1.5]],
        [[0.0, 0.5]],
        ["ab"],
    ],
)
def test_rows_that_are_none_are_refused_and_the_old_ones_stay(rows):
    gate = SceneGate(0.5, ROWS)
    with pytest.raises(ValueError, match=r"interval|threshold"):
        gate.use(0.4, rows)
    assert gate.threshold_at(0.2) == pytest.approx(0.7)


class GateMachine(RuleBasedStateMachine):
    """History is that of the last commit since the last reset, and the rule always holds."""

    def __init__(self):
        super().__init__()
        self.gate = SceneGate()
        self.predicted = None

    @rule(seed=st.integers(0, 100), threshold=st.floats(-1, 1), commit=st.booleans())
    def infer(self, seed, threshold, commit):
        out = torch.randn(1, 2, 3, generator=torch.Generator().manual_seed(seed))
        self.gate.threshold = threshold
        decision = self.gate.evaluate(out)
        if self.predicted is None:
            assert math.isnan(decision.similarity)
            assert decision.should_cache
        else:
            seen = out[0, 0]
            by_hand = float(seen @ self.predicted / (seen.norm() * self.predicted.norm()))
            assert decision.similarity == pytest.approx(by_hand, abs=1e-6)
            assert decision.should_cache == (decision.similarity > threshold)
            assert decision.scene_changed != decision.should_cache
        if commit:
            self.gate.commit(out)
            self.predicted = out[0, 1]

    @rule()
    def reset(self):
        self.gate.reset()
        self.predicted = None

    @invariant()
    def history_is_known(self):
        assert self.gate.has_history == (self.predicted is not None)


TestGateMachine = GateMachine.TestCase
TestGateMachine.settings = settings(max_examples=50, stateful_step_count=20, deadline=None)


def test_what_is_not_finite_is_refused_and_is_not_the_history():
    gate = SceneGate()
    with pytest.raises(ValueError, match="NaN"):
        gate.evaluate(torch.full((1, 2, 4), math.nan))
    assert not gate.has_history
