import numpy as np
import pytest

from cls_vla_ros.evaluation.measures.timer import computed_share, is_due


@pytest.mark.parametrize("share", [0.0, 0.1, 0.2, 1 / 3, 0.55, 1.0])
def test_a_periodic_refresh_is_as_frequent_as_asked_for_and_even(share):
    due = [is_due(number, share, phase=0.3) for number in range(301)]
    assert due[0]
    assert sum(due[1:]) == pytest.approx(300 * share, abs=1)
    gaps = np.diff(np.flatnonzero(due[1:]))
    assert not len(gaps) or gaps.max() - gaps.min() <= 1
    # In episodes of three inferences too, on average over where they begin.
    short = [is_due(n, share, phase) for phase in np.linspace(0, 0.999, 1000) for n in (1, 2)]
    assert np.mean(short) == pytest.approx(share, abs=0.005)


def test_a_timer_of_the_computed_share_reuses_as_often():
    share = computed_share(33, 24, episodes=3)
    assert share == pytest.approx(0.2)
    assert sum(is_due(n, share, 0.5) for n in range(11)) == 3
    assert computed_share(3, 0, episodes=3) == 1.0
