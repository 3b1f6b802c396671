import numpy as np
import pytest

from cls_vla_ros.evaluation.calibration.motion import BINS, MIN_SAMPLES, Drift


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


def ages(off, count=40, motion=1.0) -> Drift:
    """Prefixes 1, 2, ... frames of 0.05 s old, each with so many samples of that deviation."""
    each = np.repeat(np.array(off), count)
    frames = np.repeat(np.arange(1, len(off) + 1), count)
    return Drift(frames * 0.05 + 1e-4, np.full(len(each), motion), each)


def test_the_oldest_age_is_the_last_before_the_first_that_deviates_too_much():
    of = ages([0.1, 0.5, 0.9, 0.2])
    found = [of.max_frames(0.05, limit, np.inf) for limit in (0.05, 0.1, 0.6, 2.0)]
    assert found == [0, 1, 2, 4]
    assert ages([0.1], count=MIN_SAMPLES - 1).max_frames(0.05, 1.0, np.inf) == 0
    assert ages([0.1], count=MIN_SAMPLES).max_frames(0.05, 1.0, np.inf) == 1
    assert ages([]).max_frames(0.05, 1.0, np.inf) == 0


def test_an_age_is_limited_by_its_tail_and_not_by_its_median():
    of = ages([0.1, 0.1])
    of.deviations[-3:] = 5.0  # of forty, more than a twentieth
    assert of.max_frames(0.05, 1.0, np.inf) == 1
    of.deviations[-3:-1] = 0.1
    assert of.max_frames(0.05, 1.0, np.inf) == 2


def test_what_the_motion_budget_refuses_does_not_limit_the_age():
    near, far = ages([0.1, 0.2, 0.3], motion=0.5), ages([0.1, 5.0, 5.0], motion=1.5)
    both = Drift(
        *(
            np.concatenate([getattr(near, name), getattr(far, name)])
            for name in ("ages_s", "motions", "deviations")
        )
    )
    assert both.max_frames(0.05, 1.0, 2.0) == 1
    assert both.max_frames(0.05, 1.0, 0.5) == 3
    assert both.max_frames(0.05, 1.0, 0.4) == 0


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
