import numpy as np
import pytest

from cls_vla_ros.evaluation.calibration.motion import BINS, Drift


def drift(count=2000, of_age=0.0, of_motion=0.0, seed=0) -> Drift:
    """Age and motion go together, and the deviation follows as told."""
    random = np.random.default_rng(seed)
    ages_s = random.uniform(0, 1, count)
    motions = 2 * ages_s * random.uniform(0, 1, count)
    noise = random.uniform(0, 0.05, count)
    return Drift(ages_s, motions, of_age * ages_s + of_motion * motions + noise)


def test_the_furthest_motion_is_where_the_tail_comes_to_the_limit():
    of = drift(of_motion=1.0)
    furthest = of.max_motion(0.5)
    assert furthest == pytest.approx(0.42, abs=0.06)
    near = of.deviations[of.motions <= furthest]
    assert np.quantile(near, 0.95) <= 0.5
    assert of.max_motion(10.0) == of.motions.max()
    assert of.max_motion(0.01) == 0.0
    assert of.p95_within(1.0, furthest) == pytest.approx(np.quantile(near, 0.95))
    assert np.isnan(of.p95_within(-1.0, 1.0))


def test_one_far_outlier_does_not_count_but_a_tail_does():
    of = drift()
    of.deviations[0] = 100.0
    assert of.max_motion(0.2) == of.motions.max()
    far = np.argsort(of.motions)[-len(of.motions) // BINS :]
    of.deviations[far[: len(far) // 10]] = 100.0
    assert of.max_motion(0.2) <= of.motions[far].min()


def test_too_few_samples_allow_no_motion():
    assert drift(count=BINS - 1).max_motion(100.0) == 0.0
    assert drift(count=BINS - 1).bins() == []


def test_what_explains_the_deviation_is_told_from_what_goes_with_it():
    of_motion = drift(of_motion=1.0).explained()
    assert of_motion["motion"] > 0.95
    assert of_motion["age"] > 0.5  # because it goes with the motion
    assert of_motion["motion_given_age"] > 0.9
    assert abs(of_motion["age_given_motion"]) < 0.2
    of_age = drift(of_age=1.0).explained()
    assert of_age["age_given_motion"] > 0.9
    assert abs(of_age["motion_given_age"]) < 0.2
    nothing = Drift(np.ones(5), np.ones(5), np.arange(5.0)).explained()
    assert nothing["age"] is None
    assert nothing["motion_given_age"] is None
