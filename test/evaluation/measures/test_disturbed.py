import itertools
from collections import Counter

import cv2
import numpy as np
import pytest

from cls_vla_ros.evaluation.measures.disturbed import dimmed, paste, patched, under
from cls_vla_ros.inference import Observation
from cls_vla_ros.policy.training.nuisances import NAMED
from cls_vla_ros.recordings.episodes import Event, Frame


class Recorded:
    """An episode of two cameras."""

    def __init__(self, name="some", frames=5):
        self.name, self.task, self.skipped = name, "open", Counter({"why": 1})
        self.events = [Event(0.1, "object_moved", True)]
        random = np.random.default_rng(0)
        self.pictures = random.integers(40, 200, (frames, 2, 48, 64, 3), dtype=np.uint8)

    def frames(self, rate_hz=None):
        for n, (front, wrist) in enumerate(self.pictures):
            observation = Observation(
                {"front": front, "wrist": wrist}, np.full(2, n), "open", n / 10
            )
            yield Frame(observation, np.zeros(1))


def pictures(episode) -> np.ndarray:
    return np.array([list(f.observation.images.values()) for f in episode.frames()])


@pytest.mark.parametrize("name", NAMED)
def test_a_nuisance_is_what_it_would_be_over_the_whole_episode(name):
    usual = Recorded()
    other = under(usual, name, seed=3)
    assert (other.events, other.task, other.skipped) == (usual.events, usual.task, usual.skipped)
    assert usual.name in other.name
    assert name in other.name
    found = pictures(other)
    assert (found != usual.pictures).any((2, 3, 4))[-1].all()  # in every camera, by the end
    assert (pictures(other) == found).all()  # a second pass is the same
    frames = list(other.frames())
    assert [f.observation.stamp_s for f in frames] == [0.0, 0.1, 0.2, 0.3, 0.4]
    assert [f.observation.state[0] for f in frames] == [0, 1, 2, 3, 4]
    # Of one draw: what is steady is the same gain, shift or curve in each frame.
    if name in ("white_balance", "saturation", "gamma", "light_sudden", "haze"):
        gains = found[:, 0].mean((1, 2)) / usual.pictures[:, 0].mean((1, 2))
        assert np.ptp(gains, axis=0).max() < 0.02


def test_each_camera_and_each_episode_draws_for_itself():
    def signs(name):
        found = pictures(under(Recorded(name, 1), "white_balance", 0))[0].astype(float)
        return tuple((found.mean((1, 2)) > Recorded(frames=1).pictures[0].mean((1, 2)))[:, 0])

    seen = {signs(str(number)) for number in range(20)}
    assert {(False, True), (True, False)} <= seen


def test_noise_and_flicker_differ_from_frame_to_frame():
    usual = Recorded()
    usual.pictures[:] = usual.pictures[0]
    for name in ("noise", "flicker", "light_gradual"):
        found = pictures(under(usual, name, 0))
        assert all((a != b).any() for a, b in itertools.pairwise(found))


def test_less_light_and_patches():
    usual = Recorded()
    assert (pictures(dimmed(usual)) == (usual.pictures * 0.8).astype("u1")).all()
    found = pictures(patched(usual, 0))
    share = (found != usual.pictures).any(4).mean((2, 3))
    assert ((share > 0.01) & (share < 0.15)).all()
    assert (pictures(patched(usual, 0)) == found).all()
    assert (pictures(patched(usual, 1)) != found).any()


@pytest.mark.parametrize("shade", [0, 128, 255])
def test_a_patch_is_seen_and_leaves_the_rest(shade):
    random = np.random.default_rng(1)
    image = np.full((48, 64, 3), shade, np.uint8)
    for _ in range(20):
        changed = (paste(image, random) != image).any(2)
        assert 0.01 < changed.mean() < 0.15
        parts, _ = cv2.connectedComponents(changed.astype(np.uint8))
        assert parts - 1 <= 3  # something in one place, which may have fingers; no noise
    assert (image == shade).all()
