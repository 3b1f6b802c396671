import random

import pytest

from cls_vla_ros.inference.reuse.adaptive_threshold import BAND, CLAMP, STEP, AdaptiveThreshold


class GuidesSign(AdaptiveThreshold):
    """The guide's own: a hit rate that is too low raises the threshold."""

    def adjust(self, should_cache, threshold):
        moved = super().adjust(should_cache, threshold)
        return min(max(2 * threshold - moved, CLAMP[0]), CLAMP[1])


def hit_rate_after(adaptive, mean: float, threshold: float = 0.5) -> tuple[float, float]:
    """Hit rate of the last 400 of 2000 evaluations of a scene whose similarity is mean +- 0.1."""
    generator = random.Random(0)
    decisions = []
    for _ in range(2000):
        decisions.append(generator.gauss(mean, 0.1) > threshold)
        threshold = adaptive.adjust(decisions[-1], threshold)
    return sum(decisions[-400:]) / 400, threshold


@pytest.mark.parametrize("mean", [0.3, 0.65])
def test_a_hit_rate_outside_the_band_ends_inside_it(mean):
    rate, threshold = hit_rate_after(AdaptiveThreshold(), mean)
    assert BAND[0] - 0.05 <= rate <= BAND[1] + 0.05
    assert CLAMP[0] <= threshold <= CLAMP[1]


@pytest.mark.parametrize("mean", [0.3, 0.65])
def test_the_guides_own_sign_drives_it_into_the_clamp(mean):
    rate, threshold = hit_rate_after(GuidesSign(), mean)
    assert not BAND[0] - 0.05 <= rate <= BAND[1] + 0.05
    assert threshold == pytest.approx(CLAMP[1] if mean < 0.5 else CLAMP[0])


def test_it_moves_by_one_step_and_not_before_there_were_enough_decisions():
    adaptive, threshold = AdaptiveThreshold(), 0.5
    moves = []
    for _ in range(41):
        moved = adaptive.adjust(False, threshold)
        moves.append(round(moved - threshold, 6))
        threshold = moved
    assert [i for i, move in enumerate(moves) if move] == [19, 39]
    assert set(moves) == {0.0, -STEP}


def test_it_never_leaves_the_clamp():
    for decision, end in ((False, CLAMP[0]), (True, CLAMP[1])):
        adaptive, threshold = AdaptiveThreshold(), 0.5
        for _ in range(1000):
            threshold = adaptive.adjust(decision, threshold)
        assert threshold == pytest.approx(end)


@pytest.mark.parametrize(("start", "decision", "end"), [(0.95, True, 0.8), (0.0, False, 0.2)])
def test_a_start_outside_the_clamp_is_brought_into_it_first(start, decision, end):
    assert AdaptiveThreshold().adjust(decision, start) == end
