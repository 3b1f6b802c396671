import pytest
import torch

from cls_vla_ros.policy.training.nuisances import (
    VISIBLE,
    disturb,
    draw_patches,
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


def test_a_near_displacement_is_as_frequent_as_a_far_one(pictures, monkeypatch):
    module = "cls_vla_ros.policy.training.nuisances.patches"
    drawn = []
    monkeypatch.setattr(
        f"{module}.moved",
        lambda p, down, right: drawn.append(torch.hypot(down / 48, right / 64)) or p,
    )
    for seed in range(20):
        draw_patches(pictures, generator(seed))
    far = torch.cat(drawn[1::2])  # of each two calls the displaced regions' is the second
    assert 0.25 < (far < 0.08).float().mean() < 0.45
    assert 0.25 < (far > 0.15).float().mean() < 0.45
    assert far.min() > 0.02
    assert far.max() < 0.32


def test_some_patches_are_textured_and_some_outlines_have_lobes(pictures, monkeypatch):
    module = "cls_vla_ros.policy.training.nuisances.patches"
    for share in ("NATURAL", "DISPLACED", "FLAT"):
        monkeypatch.setattr(f"{module}.{share}", 0.0)
    monkeypatch.setattr(f"{module}.LOBED", 0.0)
    plain = draw_patches(pictures, generator())
    contrast = plain.content.flatten(2).std(-1).amax(1)
    assert contrast.min() < 0.01
    assert contrast.max() > 0.15
    assert plain.content.min() >= 0
    assert plain.content.max() <= 1
    monkeypatch.setattr(f"{module}.LOBED", 1.0)
    lobed = draw_patches(pictures, generator())
    assert torch.equal(lobed.content, plain.content)
    # An ellipse or a rectangle crosses each row once; fingers cross it more often.
    edges = {
        name: ((patch.mask > 0.5).float().diff(dim=-1) > 0).sum(-1).amax((1, 2))
        for name, patch in (("plain", plain), ("lobed", lobed))
    }
    assert edges["plain"].max() == 1
    assert (edges["lobed"] > 1).float().mean() > 0.2
