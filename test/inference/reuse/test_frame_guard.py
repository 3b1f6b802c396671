import numpy as np
import pytest

from cls_vla_ros.inference.picture_health import is_frozen
from cls_vla_ros.inference.reuse.frame_guard import Thumbnail, difference, look
from cls_vla_ros.inference.reuse.reasons import Reason


def picture(seed=0) -> np.ndarray:
    """A smooth picture with some noise, as a camera's."""
    random = np.random.default_rng(seed)
    smooth = np.linspace(60, 180, 160)[None, :, None] * np.ones((120, 1, 3))
    return (smooth + random.normal(0, 2, smooth.shape)).clip(0, 255).astype(np.uint8)


def look_at(now, threshold=0.25, before=None) -> Reason:
    frozen = {"a"} if is_frozen(now, before) else ()
    return look({"a": Thumbnail.of(now)}, {"a": Thumbnail.of(picture(1))}, threshold, frozen)


def test_noise_is_no_change():
    assert look_at(picture(2)) is Reason.REUSED
    assert difference(Thumbnail.of(picture(2)), Thumbnail.of(picture(1))) < 0.05


def test_a_small_object_is_seen():
    changed = picture(2)
    changed[40:60, 70:95] = 250  # 2.6 % of the picture
    assert look_at(changed) is Reason.FRAME_DIFFERENT


def test_dimmed_light_is_no_change():
    assert look_at((picture(2) * 0.6).astype(np.uint8)) is Reason.REUSED


def test_black_and_frozen_frames_are_faults():
    assert look_at(np.zeros((120, 160, 3), np.uint8)) is Reason.FRAME_BLACK
    assert look_at(picture(2), before=picture(2)) is Reason.FRAME_FROZEN
    assert look_at(picture(2), before=picture(3)) is Reason.REUSED


def test_frozen_means_all_bytes():
    one = picture(1)
    assert is_frozen(one, one.copy())
    assert not is_frozen(one, None)
    assert not is_frozen(one, one[:60])
    almost = one.copy()
    almost[1, 0, 0] += 1  # not in a row that is compared first
    assert not is_frozen(almost, one)


def test_pictures_of_any_size_are_compared():
    assert look_at(picture(2)[::2, ::2]) is Reason.REUSED
    assert look_at(picture(2)[:31, :33]) is Reason.FRAME_DIFFERENT
    for size in ((480, 640), (1080, 1920), (3, 5), (64, 127)):
        thumbnail = Thumbnail.of(np.full((*size, 3), 50, np.uint8))
        assert max(thumbnail.gray.shape) < 128
        assert min(thumbnail.gray.shape) >= min(64, *size)
        assert difference(thumbnail, thumbnail) == 0


@pytest.mark.parametrize("threshold", [0.0, 100.0])
def test_the_threshold_counts(threshold):
    reason = look_at(picture(2), threshold=threshold)
    assert reason is (Reason.FRAME_DIFFERENT if threshold == 0 else Reason.REUSED)
