import cv2
import numpy as np
import pytest
import torch

from cls_vla_ros.policy.training.nuisances import Change, Patch, draw_changes
from cls_vla_ros.policy.training.nuisances.changes import PANNED

MODULE = "cls_vla_ros.policy.training.nuisances.changes"


@pytest.fixture
def pictures():
    """Smooth ones, as of a camera."""
    random = torch.Generator().manual_seed(0)
    coarse = torch.rand(64, 3, 6, 8, generator=random)
    return torch.nn.functional.interpolate(coarse, (48, 64), mode="bicubic").clamp(0, 1)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def changed(pictures, seed=0):
    """(cameras, B), of two cameras."""
    changes = draw_changes([pictures, pictures.flip(0)], generator(seed))
    front, wrist = changes[0].size(pictures), changes[1].size(pictures.flip(0))
    return torch.stack([front, wrist]) > 0, changes


def test_each_sample_has_a_change_in_a_camera_and_not_always_in_all(pictures, monkeypatch):
    for share in (0.0, 1.0):
        monkeypatch.setattr(f"{MODULE}.TURNED", share)
        kept, _ = changed(pictures)
        assert kept.any(0).float().mean() > 0.9  # a patch may lie outside, or be as what it hides
        assert not kept.all(0).all()
        assert kept.all(0).any()
        assert kept.any(1).all()


def test_a_camera_turns_or_something_is_pasted_never_both(pictures):
    _, changes = changed(pictures)
    no_turn = torch.eye(2, 3)
    turns = torch.stack([(change.turn != no_turn).flatten(1).any(1) for change in changes])
    pasted = torch.stack([change.patch.mask.amax((1, 2, 3)) > 0.5 for change in changes])
    assert not (turns.any(0) & pasted.any(0)).any()
    assert 4 < turns.any(0).sum() < 24


def test_what_is_not_changed_stays_as_it_is_bit_for_bit(pictures):
    change = draw_changes([pictures, pictures], generator())[0]
    untouched = change.size(pictures) == 0
    assert untouched.any()
    assert torch.equal(change.make(pictures)[untouched], pictures[untouched])


def no_patch(pictures):
    return Patch(torch.zeros(len(pictures), 1, 48, 64), torch.zeros_like(pictures))


def test_a_turn_is_what_opencv_makes_of_it(pictures, monkeypatch):
    monkeypatch.setattr(f"{MODULE}.TURNED", 1.0)
    change = draw_changes([pictures], generator())[0]
    made = change.make(pictures)
    kinds = set()
    for picture, turn, ours in zip(pictures, change.turn, made, strict=True):
        linear, moved = turn[:, :2].numpy(), turn[:, 2].numpy()
        pixels = np.diag([32.0, 24.0])  # of normalised coordinates, from the middle
        matrix = pixels @ linear @ np.linalg.inv(pixels)
        if np.allclose(linear, np.eye(2)):
            kinds.add("panned")
            far = np.hypot(*(pixels @ moved)) / 64
            assert PANNED[0] - 1e-4 < far < PANNED[1] + 1e-4
        elif np.isclose(np.linalg.det(matrix), 1, atol=1e-4):
            kinds.add("rolled")
            assert np.allclose(matrix @ matrix.T, np.eye(2), atol=1e-4)  # pixels are square
            assert 2 < abs(np.rad2deg(np.arctan2(matrix[1, 0], matrix[0, 0]))) < 8.5
        else:
            kinds.add("zoomed")
            assert np.allclose(matrix, matrix[0, 0] * np.eye(2), atol=1e-4)
            assert 1.04 < max(matrix[0, 0], 1 / matrix[0, 0]) < 1.16
        middle = np.array([31.5, 23.5])
        offset = middle + pixels @ moved - matrix @ middle
        theirs = cv2.warpAffine(
            picture.permute(1, 2, 0).numpy(),
            np.column_stack([matrix, offset]),
            (64, 48),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT,
        )
        assert np.abs(ours.permute(1, 2, 0).numpy() - theirs).max() < 0.03
    assert kinds == {"panned", "rolled", "zoomed"}


def test_a_change_is_the_same_to_any_picture(pictures):
    turn = torch.eye(2, 3).repeat(64, 1, 1)
    turn[:, 0, 2] = 2 * 4 / 64
    moved = Change(no_patch(pictures), turn).make(pictures)
    assert torch.allclose(moved[..., 4:-8], pictures[..., 8:-4], atol=1e-5)
