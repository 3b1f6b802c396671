"""The pictures that the objective and the action loss are given."""

import pytest
import torch

from cls_vla_ros.policy.training import cls_views
from cls_vla_ros.policy.training.cls_pairs import Pairs
from cls_vla_ros.policy.training.cls_views import disturb_some, make_views
from cls_vla_ros.policy.training.nuisances import disturb

FRONT, WRIST = "observation.images.front", "observation.images.wrist"
CAMERAS = [FRONT, WRIST]
ROWS = 40


@pytest.fixture
def batch():
    random = torch.Generator().manual_seed(0)
    coarse = torch.rand(ROWS * 2, 3, 4, 6, generator=random)
    pictures = torch.nn.functional.interpolate(coarse, (24, 32), mode="bilinear")
    return {
        FRONT: pictures.view(ROWS, 2, 3, 24, 32),
        WRIST: pictures.flip(0).view(ROWS, 2, 3, 24, 32),
        "observation.state": torch.rand(ROWS, 2, 3, generator=random),
        "observation.language.tokens": torch.arange(ROWS)[:, None],
        "observation.language.attention_mask": torch.ones(ROWS, 1, dtype=torch.bool),
    }


@pytest.fixture
def pairs():
    rows = torch.arange(ROWS)
    return Pairs(rows, torch.zeros_like(rows), rows)


def given_to_disturb(monkeypatch):
    """What `disturb` is called with, once for each camera."""
    calls = []

    def spy(pictures, generator=None, strengths=None):
        calls.append((pictures, strengths))
        return disturb(pictures, generator, strengths)

    monkeypatch.setattr(cls_views, "disturb", spy)
    return calls


@pytest.mark.parametrize(("share", "steady"), [(0.0, 0), (1.0, ROWS), (0.5, ROWS // 2)])
def test_both_frames_of_some_pairs_are_disturbed_alike(batch, pairs, monkeypatch, share, steady):
    monkeypatch.setattr(cls_views, "STEADY_SHARE", share)
    calls = given_to_disturb(monkeypatch)
    make_views(batch, pairs, CAMERAS, None, True, torch.Generator().manual_seed(0))
    for _, strengths in calls:
        before, before_changed, now, now_changed = strengths.gains.chunk(4)
        # Nothing but the change tells a frame from what it is after it, least of all its colours.
        assert torch.equal(before, before_changed)
        assert torch.equal(now, now_changed)
        assert (before == now).all(1).sum().item() == pytest.approx(steady, abs=7)
    front, wrist = (strengths.gains for _, strengths in calls)
    assert not torch.equal(front, wrist)  # cameras have their own


def test_without_changes_there_are_two_views_and_two_draws(batch, pairs, monkeypatch):
    monkeypatch.setattr(cls_views, "STEADY_SHARE", 0.0)
    calls = given_to_disturb(monkeypatch)
    views, visible, _ = make_views(batch, pairs, CAMERAS, None, False)
    assert views[FRONT].shape == (2 * ROWS, 3, 24, 32)
    assert not visible.any()
    before, now = calls[0][1].gains.chunk(2)
    assert not (before == now).all(1).any()


def test_a_change_is_in_both_frames_of_a_pair_or_in_neither(batch, pairs, monkeypatch):
    calls = given_to_disturb(monkeypatch)
    batch[FRONT][:, 1] = batch[FRONT][:, 0]  # nothing moves
    _, visible, _ = make_views(batch, pairs, CAMERAS, None, True)
    before, before_changed, now, now_changed = calls[0][0].chunk(4)
    assert torch.equal(before, now)
    assert torch.allclose(before_changed, now_changed, atol=1e-6)
    assert visible.float().mean() > 0.7
    assert not torch.equal(before, before_changed)


def test_pictures_are_as_small_as_the_policys_before_they_are_disturbed(batch, pairs):
    views, _, _ = make_views(batch, pairs, CAMERAS, (16, 16), True)
    assert views[FRONT].shape == (4 * ROWS, 3, 12, 16)


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_so_many_rows_are_disturbed_in_all_cameras(batch, share):
    own = batch | {camera: batch[camera][:, -1].repeat(5, 1, 1, 1) for camera in CAMERAS}
    given = {camera: own[camera].clone() for camera in CAMERAS}
    seen = disturb_some(own, CAMERAS, None, share, torch.Generator().manual_seed(0))
    changed = {c: (seen[c] != given[c]).flatten(1).any(1) for c in CAMERAS}
    assert torch.equal(changed[FRONT], changed[WRIST])
    assert changed[FRONT].float().mean().item() == pytest.approx(share, abs=0.1)
    assert all(torch.equal(own[camera], given[camera]) for camera in CAMERAS)
    assert torch.equal(seen["observation.state"], batch["observation.state"])
