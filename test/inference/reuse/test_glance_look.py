import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from cls_vla_ros.inference.reuse.glance_look import GlanceLook
from cls_vla_ros.policy.glance import Glance

CAMERAS = ("front", "wrist")


def images(seed=0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {name: random.integers(0, 255, (96, 128, 3), dtype=np.uint8) for name in CAMERAS}


@pytest.fixture
def glance() -> Glance:
    torch.manual_seed(3)
    return Glance(2, 2, 8)


def policy(glance, width=8, trained=True):
    config = SimpleNamespace(
        glance_width=width, glance_trained=trained, image_features=dict.fromkeys(CAMERAS)
    )
    return SimpleNamespace(config=config, model=SimpleNamespace(glance=glance))


def test_a_policy_without_a_trained_glance_has_none(glance):
    assert GlanceLook.of(policy(glance, width=0)) is None
    assert GlanceLook.of(policy(glance, trained=False)) is None
    assert GlanceLook.of(policy(glance)) is not None


def test_the_score_is_that_of_the_most_suspicious_place_in_any_camera(glance):
    looking = GlanceLook(glance, CAMERAS)
    then, now = looking.look(images(0), torch.zeros(2)), looking.look(images(1), torch.ones(2))
    before, after = (
        torch.stack([look.pictures[c] for c in CAMERAS])[None] for look in (then, now)
    )
    logits = glance(before, after, torch.zeros(1, 2), torch.ones(1, 2), [0, 1])
    assert looking.score(then, now) == pytest.approx(logits.max().sigmoid().item(), abs=1e-6)
    wrist = looking.look({"wrist": images(1)["wrist"]}, torch.ones(2))
    assert looking.score(then, wrist) == pytest.approx(
        logits[:, 1].max().sigmoid().item(), abs=1e-6
    )


def test_there_is_no_score_without_a_picture_of_both(glance):
    looking = GlanceLook(glance, CAMERAS)
    front, wrist = ({name: images()[name]} for name in CAMERAS)
    score = looking.score(looking.look(front, torch.zeros(2)), looking.look(wrist, torch.zeros(2)))
    assert math.isnan(score)


def test_a_picture_that_is_no_camera_of_the_policy_is_left_out(glance):
    look = GlanceLook(glance, CAMERAS).look(images() | {"else": images()["front"]}, torch.zeros(2))
    assert set(look.pictures) == set(CAMERAS)


def test_it_is_a_copy_that_no_training_reaches(glance):
    looking = GlanceLook(glance, CAMERAS)
    then, now = looking.look(images(0), torch.zeros(2)), looking.look(images(1), torch.ones(2))
    before = looking.score(then, now)
    with torch.no_grad():
        glance.out.bias += 5.0
    assert looking.score(then, now) == before
