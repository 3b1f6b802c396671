import cv2
import numpy as np
import pytest

from cls_vla_ros.inference import ReuseLimits
from cls_vla_ros.inference.remote.protocol import to_reuse
from cls_vla_ros.serve.request import RequestError, parse

FRONT = "observation.images.front"
PICTURE = np.full((40, 60, 3), (200, 30, 30), np.uint8)
GOOD = {FRONT: PICTURE, "observation.state": np.array([1.0, 2.0]), "prompt": "open"}


def test_an_observation_by_feature_name():
    request = parse(GOOD | {"stamp": 2, "episode": 3, "handover": {"dt": 0.1, "delay": 0.2}})
    observation = request.observation
    assert observation.images[FRONT] is PICTURE
    assert observation.state.dtype == np.float32
    assert (observation.task, observation.stamp_s, request.episode) == ("open", 2.0, 3)
    assert (request.handover.dt_s, request.handover.delay_s) == (0.1, 0.2)


def test_a_jpeg_is_decoded_to_rgb():
    jpeg = cv2.imencode(".jpg", PICTURE[:, :, ::-1])[1].tobytes()
    decoded = parse(GOOD | {FRONT: jpeg}).observation.images[FRONT]
    np.testing.assert_allclose(decoded.astype(int), PICTURE.astype(int), atol=6)


def test_reuse_comes_whole():
    limits = ReuseLimits(max_age_s=2.0, unguarded=frozenset({FRONT}))
    reuse = parse(GOOD | {"reuse": to_reuse(limits, 0.4, ((0.1, 0.5, 0.4, 1.0),))}).reuse
    assert (reuse.limits, reuse.threshold) == (limits, 0.4)
    assert reuse.by_interval == [[0.1, 0.5, 0.4, 1.0]]


def test_a_reset_needs_no_observation():
    assert parse({"reset": True}).observation is None


LIMITS = to_reuse(ReuseLimits(), 0.5, ())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"observation.state": [1.0]}, "must be an array"),
        ({"observation.state": np.zeros((1, 2))}, "must be an array"),
        ({FRONT: b""}, "is empty"),
        ({FRONT: b"\xff\xd8\xff"}, "cut off"),
        ({FRONT: PICTURE.astype(np.float32)}, "uint8"),
        ({FRONT: PICTURE[:, :, :2]}, "3 channels"),
        ({FRONT: np.zeros((0, 5, 3), np.uint8)}, "no size"),
        ({FRONT: np.zeros((2, 400, 3), np.uint8)}, "16 times"),
        ({"prompt": "  "}, "prompt must be"),
        ({"prompt": "x" * 1001}, "prompt must be"),
        ({"unknown": 1}, "unknown names"),
        ({"stamp": float("nan")}, "stamp must be a number"),
        ({"stamp": True}, "stamp must be a number"),
        ({"episode": -1}, "episode must be a whole number"),
        ({"episode": 1.0}, "episode must be int"),
        ({"deadline": 1e9}, "deadline must be"),
        ({"handover": 3}, "handover must be a map"),
        ({"handover": {"dt": 0}}, "dt must be a number"),
        ({"session": "x" * 101}, "at most 100"),
        ({"reuse": {}}, "reuse must be a map"),
        ({"reuse": LIMITS | {"limits": {"max_age": 1.0}}}, "has no 'max_age'"),
        ({"reuse": LIMITS | {"limits": {"max_age_s": "long"}}}, "must be float"),
        ({"reuse": LIMITS | {"by_interval": [["a"]]}}, "reuse must be a map"),
    ],
)
def test_what_cannot_be_served_is_refused_with_what_was_expected(changes, reason):
    with pytest.raises(RequestError, match=reason):
        parse(GOOD | changes)
