import numpy as np
import pytest
import torch

from cls_vla_ros.policy.glance import COLUMNS, HEIGHT, ROWS, WIDTH, Glance, shrink, standardised


def image(height=480, width=640, seed=0) -> np.ndarray:
    blocks = np.random.default_rng(seed).integers(0, 255, (12, 16, 3), dtype=np.uint8)
    return np.kron(blocks, np.ones((height // 12, width // 16, 1), np.uint8))


@pytest.mark.parametrize(
    "size", [(480, 640), (481, 643), (240, 320), (48, 64), (36, 48), (96, 128)]
)
def test_a_picture_of_any_size_shrinks_to_what_training_sees(size):
    picture = image()[: size[0], : size[1]]
    expected = standardised(torch.from_numpy(picture).permute(2, 0, 1)[None] / 255.0)[0]
    found = shrink(picture)
    assert found.shape == (3, HEIGHT, WIDTH)
    assert found.dtype == torch.float32
    # A whole number of halves is the mean over the same pixels, to the rounding of uint8.
    tolerance = 0.03 if size[0] % 48 == 0 and size[1] % 64 == 0 else 0.6
    assert (found - expected).abs().max() < tolerance


def test_light_and_white_balance_do_not_count():
    picture = image() / 255.0
    balanced = picture * np.array([0.86, 0.8, 0.7]) + np.array([0.1, 0.05, 0.0])
    both = torch.from_numpy(np.stack([picture, balanced])).permute(0, 3, 1, 2).float()
    one, other = standardised(both)
    assert (one - other).abs().max() < 0.08  # of a standard deviation: that is STD_FLOOR's
    assert (one - standardised(both[:1].flip(-1))[0]).abs().max() > 1


def test_a_black_picture_is_no_division_by_zero():
    assert shrink(np.zeros((48, 64, 3), np.uint8)).abs().max() == 0


def looks(seed=0, cameras=3):
    generator = torch.Generator().manual_seed(seed)
    pictures = torch.randn(2, 5, cameras, 3, HEIGHT, WIDTH, generator=generator)
    return (*pictures, *torch.randn(2, 5, 7, generator=generator))


@torch.no_grad()
def test_some_cameras_are_what_they_are_among_all():
    glance = Glance(7, 3, 8)
    then, now, *states = looks()
    every = glance(then, now, *states, range(3))
    assert every.shape == (5, 3, ROWS, COLUMNS)
    some = glance(then[:, [2, 0]], now[:, [2, 0]], *states, [2, 0])
    torch.testing.assert_close(some, every[:, [2, 0]], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(glance(then[:, :1], now[:, :1], *states, [1]), every[:, :1])


@torch.no_grad()
def test_a_state_that_is_a_fault_is_as_far_out_as_a_pose_may_be():
    glance = Glance(7, 3, 8)
    then, now, before, after = looks()
    wild, bound = after.clone(), after.clone()
    wild[:, 0], bound[:, 0] = 1e9, 10.0
    assert torch.equal(
        glance(then, now, before, wild, range(3)), glance(then, now, before, bound, range(3))
    )
