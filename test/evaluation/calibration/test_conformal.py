import numpy as np
import pytest

from cls_vla_ros.evaluation.calibration.conformal import (
    WORST,
    expected,
    hold,
    kept_by,
    needed,
    promised_by,
    risk,
)


def episode(random: np.random.Generator, differ=1.0, pairs=60) -> list[np.ndarray]:
    """Pairs of an episode are more or less alike."""
    return [random.normal(random.normal(0, differ), 0.5, pairs)]


@pytest.mark.parametrize(
    ("count", "share", "differ"),
    [(8, 0.05, 0.2), (8, 0.05, 1.0), (24, 0.05, 1.0), (24, 0.02, 0.2)],
)
def test_the_share_holds_on_average_over_episodes_that_nobody_has_seen(count, share, differ):
    random = np.random.default_rng(count)
    fresh = np.array([episode(random, differ)[0] for _ in range(400)])
    rates = []
    for _ in range(40):
        seen = [episode(random, differ) for _ in range(count)]
        held = hold(seen, share)
        rates.append((fresh > held.cut).mean())
    error = 2 * np.std(rates) / np.sqrt(len(rates))
    assert np.mean(rates) <= share + error
    assert np.mean(rates) <= held.promised
    assert np.mean(rates) >= share - 2 * WORST / (count + 1) - error  # no stricter than it must be


def test_the_cut_is_the_lowest_that_the_bound_allows():
    """Twenty episodes of ten pairs: 0.05 * 21 - 0.25 = 0.8 episodes' risk may be spent."""
    episodes = [[np.arange(10.0) + k / 100] for k in range(20)]
    held = hold(episodes, 0.05)
    # Eight of the largest scores (9.12 to 9.19) are a tenth of an episode each: 0.8.
    assert held.cut == pytest.approx(9.11)
    assert (held.episodes, held.promised) == (20, pytest.approx(0.05 + 0.75 / 21))
    # Without the last, 0.05 * 20 - 0.25 = 0.75: seven of the others.
    assert held.without[19] == pytest.approx(9.11)
    assert held.without[0] == pytest.approx(9.12)


def test_an_episode_of_its_own_kind_is_paid_for_by_all():
    lost = [np.arange(100.0, 103.0)]
    episodes = [lost] + [[np.arange(10.0) + k / 100] for k in range(20)]
    # 0.05 * 22 - 0.25 = 0.85: two of its three pairs, and one of another's ten.
    assert hold(episodes, 0.05).cut == 100.0
    # 0.1 * 22 - 0.25 = 1.95: all of it, and nine of the others' pairs.
    assert hold(episodes, 0.1).cut == pytest.approx(9.10)


def test_parts_weigh_the_same_however_long():
    parts = [np.zeros(1000), np.array([1.0, 0.0])]
    assert risk(parts, 0.5) == 0.25
    assert risk([*parts, np.zeros(0)], 0.5) == 0.25
    assert risk([np.array([0.5])], 0.5) == 0.0  # an alarm is above the cut
    assert np.isnan(risk([np.zeros(0)], 0.5))
    # As in the test above, but each alarm is a twentieth of an episode: sixteen of them.
    episodes = [[np.arange(10.0) + k / 100, np.zeros(5), np.zeros(0)] for k in range(20)]
    assert hold(episodes, 0.05).cut == pytest.approx(9.03)


def test_what_few_episodes_cannot_promise_none_of_theirs_costs():
    held = hold([[np.array([0.0, 1.0, 2.0])], [np.array([3.0, 0.5])]], 0.05)
    assert held.cut == 3.0
    assert held.promised == pytest.approx(1 / 3)
    assert held.without.tolist() == [3.0, 2.0]
    assert kept_by(2, 0.2) == 0.2
    assert promised_by(0, 0.9) == 1.0


@pytest.mark.parametrize(("share", "count"), [(0.05, 4), (0.01, 24), (0.25, 0), (0.02, 12)])
def test_how_many_episodes_are_needed(share, count):
    assert needed(share) == count
    assert kept_by(count, share) == pytest.approx(share)
    assert count == 0 or kept_by(count - 1, share) > share + 1e-6


def test_an_episode_without_pairs_has_no_part():
    held = hold([[np.array([1.0])], [np.zeros(0)], [np.array([2.0])]], 0.05)
    assert held.episodes == 2
    assert held.without.tolist() == [2.0, 2.0, 1.0]
    assert hold([[np.zeros(0)], []], 0.05) is None
    assert np.isnan(hold([[np.array([1.0])], []], 0.05).without[0])


def test_what_is_expected_has_an_interval_over_episodes():
    rates = np.array([0.0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12, 0.14, 0.3, np.nan])
    found = expected(rates, samples=200)
    assert found["value"] == pytest.approx(0.86 / 9)
    assert 0 < found["low"] < found["value"] < found["high"] < 0.3
    assert found["nine_of_ten"] == pytest.approx(0.3)  # the ninth of nine: of ten, nine
    more = expected(np.concatenate([rates[:9], np.zeros(10)]), samples=200)
    assert more["nine_of_ten"] == pytest.approx(0.14)  # the 18th of 19
    # More pairs in each are more certain, where the episodes are alike.
    few, many = (expected(np.array([0.0, 0.0, 0.0]), samples)["high"] for samples in (5, 50))
    assert many < few


def test_the_interval_covers_what_new_episodes_do():
    random = np.random.default_rng(5)
    covered = 0
    fresh = [episode(random) for _ in range(800)]
    for _ in range(60):
        seen = [episode(random) for _ in range(12)]
        held = hold(seen, 0.05)
        rates = [risk(of, cut) for of, cut in zip(seen, held.without, strict=True)]
        truth = np.mean([risk(of, held.cut) for of in fresh])
        found = expected(np.array(rates), samples=12 * 60)
        covered += found["low"] <= truth <= found["high"]
    assert covered >= 0.9 * 60


def test_of_one_episode_nothing_is_expected():
    nothing = {"value": None, "low": None, "high": None, "nine_of_ten": None}
    assert expected(np.array([0.1, np.nan]), 100) == nothing
    assert expected(np.array([]), 0) == nothing
    assert expected(np.array([0.1] * 8), 100)["nine_of_ten"] is None  # needs nine
