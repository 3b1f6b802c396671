import cv2
import numpy as np
import pytest
import torch

from cls_vla_ros.policy.training.nuisances import disturb, draw_strengths
from cls_vla_ros.policy.training.nuisances.formulas import blurred, saturated
from cls_vla_ros.policy.training.nuisances.jpeg import jpeg
from cls_vla_ros.policy.training.nuisances.strengths import SHIFT_PIXELS, Strengths

MODULE = "cls_vla_ros.policy.training.nuisances.strengths"


@pytest.fixture
def pictures():
    """Smooth ones, as of a camera."""
    random = torch.Generator().manual_seed(0)
    coarse = torch.rand(64, 3, 6, 8, generator=random)
    return torch.nn.functional.interpolate(coarse, (48, 64), mode="bilinear")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_disturbed_picture_is_one_still(pictures):
    disturbed = disturb(pictures, generator())
    assert disturbed.shape == pictures.shape
    assert disturbed.min() >= 0
    assert disturbed.max() <= 1
    gains = disturbed.mean((1, 2, 3)) / pictures.mean((1, 2, 3))
    assert gains.min() < 0.75  # dimmed by 20 % is well within
    assert gains.max() > 1.2


def test_a_picture_is_moved_by_whole_pixels_and_no_more(pictures, monkeypatch):
    monkeypatch.setattr(f"{MODULE}.BRIGHTNESS", (1.0, 1.0))
    monkeypatch.setattr(f"{MODULE}.CHANCE", 0.0)
    far, inner = range(-SHIFT_PIXELS, SHIFT_PIXELS + 1), slice(4, -4)
    found = set()
    for picture, moved in zip(pictures, disturb(pictures, generator()), strict=True):
        offsets = [
            (down, right)
            for down in far
            for right in far
            if torch.equal(
                moved[:, inner, inner], picture.roll((down, right), (1, 2))[:, inner, inner]
            )
        ]
        assert len(offsets) == 1
        found.update(offsets)
    assert len(found) > len(far)


def still(size, **kwargs):
    """Strengths at which nothing happens, but for what is given."""
    ones, zeros = torch.ones(size), torch.zeros(size)
    nothing = Strengths(
        gains=torch.ones(size, 3),
        saturation=ones,
        haze=zeros,
        gamma=ones,
        blur_std=zeros,
        noise_std=zeros,
        jpeg_quality=101 * ones,
        down=zeros.int(),
        right=zeros.int(),
    )
    return nothing._replace(**kwargs)


def test_nothing_happens_where_no_strength_says_so(pictures):
    assert torch.allclose(disturb(pictures, generator(), still(64)), pictures, atol=1e-6)


def test_each_strength_is_of_its_own_picture(pictures):
    first = torch.arange(64) == 0
    for name, value in draw_strengths(64, pictures, generator(8))._asdict().items():
        nothing = getattr(still(64), name)
        strong = {"jpeg_quality": 20.0, "noise_std": 0.1, "blur_std": 2, "down": 1, "right": 1}
        value = torch.full_like(value, strong.get(name, 0.5))
        shape = (-1, *[1] * (value.ndim - 1))
        only = torch.where(first.view(shape), value, nothing)
        changed = disturb(pictures, generator(), still(64, **{name: only})) - pictures
        assert changed[0].abs().max() > 0.02, name
        assert changed[1:].abs().max() < 1e-6, name


def test_every_nuisance_comes_alone_and_with_others_and_each_colour_has_its_gain(pictures):
    drawn, nothing = draw_strengths(500, pictures, generator()), still(500)
    happens = torch.stack(
        [
            getattr(drawn, name) != getattr(nothing, name)
            for name in ("saturation", "haze", "gamma", "blur_std", "noise_std", "jpeg_quality")
        ]
        + [(drawn.gains != drawn.gains[:, :1]).any(1)]
    )
    assert happens.float().mean(1).min() > 0.2
    assert happens.float().mean(1).max() < 0.4
    assert happens.sum(0).min() == 0
    assert happens.sum(0).max() > 3
    balances = drawn.gains / drawn.gains[:, 1:2]
    assert balances[:, 0].max() > 1.06  # red, as far as NAMED has it
    assert balances[:, 2].min() < 0.9  # blue
    assert drawn.gains.min() < 0.6


def test_a_sensor_is_full_before_its_colours_are_made(pictures):
    red = torch.zeros_like(pictures[:1])
    red[:, 0] = 0.5
    bright = still(1, gains=torch.full((1, 3), 4.0), saturation=torch.zeros(1))
    assert torch.allclose(disturb(red, generator(), bright), torch.tensor(0.299), atol=1e-5)


def test_the_same_strengths_are_the_same_camera_but_for_the_noise(pictures):
    strengths = draw_strengths(1, pictures, generator())
    noisy = strengths._replace(noise_std=torch.tensor([0.1]), blur_std=torch.tensor([0.0]))
    twice = disturb(pictures[:1].repeat(2, 1, 1, 1), generator(), noisy.then(noisy))
    assert (twice[0] - twice[1]).std() == pytest.approx(0.1 * 2**0.5, abs=0.03)
    calm = noisy._replace(noise_std=torch.tensor([0.0]))
    twice = disturb(pictures[:1].repeat(2, 1, 1, 1), generator(), calm.then(calm))
    assert torch.equal(twice[0], twice[1])


def test_strengths_of_one_batch_go_where_the_condition_holds(pictures):
    a, b = still(3), still(3, gains=torch.full((3, 3), 0.5), down=torch.ones(3).int())
    mixed = a.where(torch.tensor([True, False, True]), b)
    assert mixed.gains[:, 0].tolist() == [1.0, 0.5, 1.0]
    assert mixed.down.tolist() == [0, 1, 0]


def to_uint8(picture):
    return (picture.permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()


@pytest.mark.parametrize("quality", [20, 50, 90])
@pytest.mark.parametrize("size", [(48, 64), (50, 61)])
def test_jpeg_loses_what_opencvs_does(quality, size):
    random = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, 12, 16, generator=random)
    picture = torch.nn.functional.interpolate(coarse, size, mode="bicubic").clamp(0, 1)
    code = cv2.imencode(
        ".jpg", to_uint8(picture[0])[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality]
    )[1]
    theirs = cv2.imdecode(code, cv2.IMREAD_COLOR)[..., ::-1].astype(float)
    before = to_uint8(picture[0]).astype(float)
    ours = to_uint8(jpeg(picture, torch.tensor([float(quality)]))[0]).astype(float)
    lost = np.sqrt(np.square(theirs - before).mean())
    assert np.sqrt(np.square(ours - theirs).mean()) < 0.35 * lost


def test_blur_and_saturation_are_opencvs(pictures):
    picture = pictures[:1]
    ours = to_uint8(blurred(picture, torch.tensor([0.9]))[0]).astype(int)
    theirs = cv2.GaussianBlur(
        to_uint8(picture[0]), (7, 7), 0.9, borderType=cv2.BORDER_REPLICATE
    ).astype(int)
    inner = slice(4, -4)
    assert np.abs(ours - theirs)[inner, inner].max() <= 1
    assert np.abs(ours - theirs).max() < 8  # at the edges they differ in what is beyond
    grey = to_uint8(saturated(picture, torch.tensor([0.0]))[0]).astype(int)
    theirs = cv2.cvtColor(to_uint8(picture[0]), cv2.COLOR_RGB2GRAY).astype(int)
    assert np.abs(grey - theirs[..., None]).max() <= 1
