import pytest
import torch

from cls_vla_ros.policy.training.nuisances import (
    VISIBLE,
    Patch,
    disturb,
    draw_patches,
    keep_some,
)


@pytest.fixture
def pictures():
    """Smooth ones, as of a camera."""
    random = torch.Generator().manual_seed(0)
    coarse = torch.rand(64, 3, 6, 8, generator=random)
    return torch.nn.functional.interpolate(coarse, (48, 64), mode="bilinear")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_what_is_drawn_is_the_same_with_the_same_generator(pictures):
    assert torch.equal(disturb(pictures, generator()), disturb(pictures, generator()))
    assert not torch.equal(disturb(pictures, generator()), disturb(pictures, generator(1)))
    for ours, again in zip(
        draw_patches(pictures, generator()), draw_patches(pictures, generator()), strict=True
    ):
        assert torch.equal(ours, again)


def test_a_patch_is_the_same_in_both_pictures_and_leaves_the_rest(pictures):
    patch = draw_patches(pictures, generator())
    other = pictures.flip(0)
    inside = (patch.mask > 0.999).expand_as(pictures)
    outside = (patch.mask < 1e-6).expand_as(pictures)
    for each in (pictures, other):
        pasted = patch.paste(each)
        torch.testing.assert_close(pasted[inside], patch.content[inside], atol=1e-3, rtol=0)
        torch.testing.assert_close(pasted[outside], each[outside], atol=1e-5, rtol=0)


def test_patches_are_of_all_kinds_and_sizes(pictures):
    patch = draw_patches(pictures, generator())
    area = patch.mask.mean((1, 2, 3))
    assert area.min() < 0.02
    assert area.max() > 0.2
    is_flat = patch.content.flatten(2).std(-1).amax(1) < 1e-5
    assert 5 < is_flat.sum() < 30
    visible = patch.change(pictures) > VISIBLE
    assert visible.float().mean() > 0.7


def test_a_displaced_patch_is_a_region_of_the_same_picture(pictures, monkeypatch):
    monkeypatch.setattr("cls_vla_ros.policy.training.nuisances.patches.NATURAL", 0.0)
    monkeypatch.setattr("cls_vla_ros.policy.training.nuisances.patches.DISPLACED", 1.0)
    patch = draw_patches(pictures, generator())
    colours = pictures.flatten(2).transpose(1, 2)  # (B, pixels, 3)
    content = patch.content.flatten(2).transpose(1, 2)[:, ::37]
    nearest = torch.cdist(content, colours).min(-1).values
    assert nearest.max() < 1e-3
    assert (patch.content != pictures).flatten(1).any(1).all()


def test_each_sample_keeps_a_patch_in_a_camera_and_not_always_in_all(pictures):
    front, wrist = draw_patches(pictures, generator()), draw_patches(pictures, generator(1))
    ones = [Patch(torch.ones_like(p.mask), p.content) for p in (front, wrist)]
    kept = torch.stack([p.mask.amax((1, 2, 3)) for p in keep_some(ones, generator(2))])
    assert kept.amax(0).min() == 1
    assert kept.amin(0).min() == 0
    assert kept.amin(0).max() == 1
