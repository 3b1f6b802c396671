"""Nuisances by name, as calibration, evaluation and simulation use them."""

import cv2
import numpy as np
import pytest

from cls_vla_ros.policy.training.nuisances import NAMED

GRADUAL = {"flicker", "light_gradual"}


@pytest.fixture
def pictures():
    """Five of one scene, a box before a smooth wall: (5, 48, 64, 3) uint8."""
    coarse = np.random.default_rng(0).integers(40, 180, (6, 8, 3), dtype=np.uint8)
    picture = cv2.resize(coarse, (64, 48), interpolation=cv2.INTER_LINEAR)
    picture[10:30, 20:50] = (170, 60, 80)
    return np.repeat(picture[None], 5, axis=0)


def disturbed(name, pictures, seed=0, **kwargs):
    return NAMED[name](pictures, np.random.default_rng(seed), **kwargs)


def test_their_names_are_those_of_the_interface():
    assert set(NAMED) == {
        *("white_balance", "saturation", "haze", "noise", "jpeg", "flicker"),
        *("light_gradual", "light_sudden", "gamma", "blur", "shift"),
    }


@pytest.mark.parametrize("name", NAMED)
def test_each_changes_pictures_and_leaves_those_it_was_given(name, pictures):
    given = pictures.copy()
    after = disturbed(name, pictures)
    assert after.shape == pictures.shape
    assert after.dtype == np.uint8
    assert np.array_equal(pictures, given)
    assert np.abs(after[-1].astype(int) - given[-1]).mean() > 0.5
    assert np.array_equal(after, disturbed(name, pictures))


@pytest.mark.parametrize("name", NAMED)
def test_a_camera_does_it_steadily_and_noise_and_flicker_change(name, pictures):
    after = disturbed(name, pictures)
    same = all(np.array_equal(after[0], picture) for picture in after[1:])
    assert same == (name not in {*GRADUAL, "noise"})


@pytest.mark.parametrize("name", NAMED)
def test_pictures_one_at_a_time_are_what_the_episode_at_once_would_be(name, pictures):
    at_once = disturbed(name, pictures, seed=4)
    for number, picture in enumerate(pictures):
        alone = disturbed(name, picture[None], seed=4, start=number)
        assert np.array_equal(alone[0], at_once[number])


def ratio(after, before):
    """Of the mean colours, (3,)."""
    return after.reshape(-1, 3).mean(0) / before.reshape(-1, 3).mean(0)


def test_white_balance_grows_warmer_or_colder(pictures):
    found = {
        tuple(ratio(disturbed("white_balance", pictures, seed), pictures).round(2))
        for seed in range(20)
    }
    assert found == {(1.06, 1.0, 0.9), (0.94, 1.0, 1.11)}


def test_light_falls_by_40_percent_at_once_or_within_60_pictures(pictures):
    assert ratio(disturbed("light_sudden", pictures), pictures) == pytest.approx(0.6, abs=0.01)
    dimming = disturbed("light_gradual", pictures[:1].repeat(100, axis=0))
    shares = [ratio(picture, pictures[0]).mean() for picture in dimming]
    assert shares[0] == pytest.approx(1.0, abs=0.01)
    assert shares[30] == pytest.approx(0.8, abs=0.01)
    assert shares[60] == pytest.approx(0.6, abs=0.01)
    assert shares[99] == pytest.approx(0.6, abs=0.01)


def test_flicker_swings_by_10_percent_about_the_light_there_is(pictures):
    swinging = disturbed("flicker", pictures[:1].repeat(200, axis=0))
    shares = [ratio(picture, pictures[0]).mean() for picture in swinging]
    assert np.mean(shares) == pytest.approx(1.0, abs=0.02)
    assert np.max(shares) == pytest.approx(1.1, abs=0.01)
    assert np.min(shares) == pytest.approx(0.9, abs=0.01)


def test_noise_has_a_standard_deviation_of_16():
    grey = np.full((3, 40, 40, 3), 128, np.uint8)
    noise = disturbed("noise", grey).astype(float) - 128
    assert noise.std() == pytest.approx(16, abs=0.5)
    assert noise.mean() == pytest.approx(0, abs=0.5)


def test_haze_and_gamma_and_saturation_are_what_their_names_say(pictures):
    before = pictures.astype(float)
    haze = disturbed("haze", pictures)
    assert np.abs(haze - (0.85 * before + 0.15 * 0.85 * 255)).max() <= 1
    exponents = {
        round(float(np.median(np.log(after / 255) / np.log(before / 255))), 2)
        for after in (disturbed("gamma", pictures, seed) for seed in range(9))
    }
    assert exponents == {0.8, 1.25}
    spreads = {
        round(float(after.std(-1).mean() / before.std(-1).mean()), 1)
        for after in (disturbed("saturation", pictures, seed) for seed in range(9))
    }
    assert spreads == {0.7, 1.4}
    grey = cv2.cvtColor(pictures[0], cv2.COLOR_RGB2GRAY).astype(int)
    paler = disturbed("saturation", pictures, 1)[0]
    assert np.abs(cv2.cvtColor(paler, cv2.COLOR_RGB2GRAY) - grey).max() <= 3


def test_a_shift_is_by_a_pixel_of_a_small_policys_picture(pictures):
    wide = cv2.resize(pictures[0], (320, 240))[None]
    for picture, pixels in ((pictures[:1], 1), (wide, 5)):
        inner = slice(8, -8)
        found = [
            (down, right)
            for down in (-pixels, pixels)
            for right in (-pixels, pixels)
            if np.array_equal(
                disturbed("shift", picture)[0, inner, inner],
                np.roll(picture[0], (down, right), (0, 1))[inner, inner],
            )
        ]
        assert len(found) == 1


def test_a_wide_picture_is_as_much_out_of_focus_as_a_small_one(pictures):
    for factor in (1, 5):
        wide = cv2.resize(pictures[0], (64 * factor, 48 * factor))
        expected = cv2.GaussianBlur(wide, (0, 0), 0.6 * factor)
        assert np.array_equal(disturbed("blur", wide[None])[0], expected)


def test_colours_keep_their_order_through_jpeg():
    red = np.zeros((1, 32, 32, 3), np.uint8)
    red[..., 0] = 200
    assert np.abs(disturbed("jpeg", red)[0].reshape(-1, 3).mean(0) - [200, 0, 0]).max() < 8
