import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image, JointState

from cls_vla_ros.node.images import ImageError
from cls_vla_ros.node.joints import JointStateError
from cls_vla_ros.node.observation_buffer import NotReadyError, ObservationBuffer
from cls_vla_ros.node.settings import CameraSettings, StateSettings

S = 10**9
CAMERAS = [
    CameraSettings("front", "front/image", "raw", "observation.images.a"),
    CameraSettings("wrist", "wrist/jpeg", "compressed", "observation.images.b"),
]
JPEG_3x2 = cv2.imencode(".jpg", np.zeros((2, 3, 3), np.uint8))[1].tobytes()


def state(**changes) -> StateSettings:
    values = {"topic": "joints", "joints": ["x", "y"], "units": ["rad", "deg"]}
    values |= {"lower": [], "upper": [], "allow_partial": False}
    return StateSettings(**(values | changes))


def picture(value: int, **fields) -> Image:
    message = Image(height=1, width=2, step=6, encoding="rgb8", data=bytes([value] * 6))
    for name, content in fields.items():
        setattr(message, name, content)
    return message


def jpeg() -> CompressedImage:
    return CompressedImage(format="jpeg", data=JPEG_3x2)


def joints(names=("y", "x"), positions=(np.pi, 1.0)) -> JointState:
    return JointState(name=list(names), position=list(positions))


@pytest.fixture
def buffer():
    return ObservationBuffer(CAMERAS, state())


def fill(buffer, at_s=1):
    buffer.put_frame("front", picture(7), at_s * S)
    buffer.put_frame("wrist", jpeg(), at_s * S + 5)
    buffer.put_joint_state(joints(), at_s * S - 3)


def test_a_snapshot_has_the_policys_names_order_and_units(buffer):
    fill(buffer)
    snapshot = buffer.snapshot("go", 1 * S, 0.5)
    observation = snapshot.observation
    assert observation.task == "go"
    assert observation.images["observation.images.a"].tolist() == [[[7] * 3] * 2]
    assert observation.images["observation.images.b"].shape == (2, 3, 3)
    np.testing.assert_allclose(observation.state, [1.0, 180.0])
    assert observation.state.dtype == np.float32
    assert snapshot.newest_frame_ns == 1 * S + 5
    assert snapshot.oldest_source_ns == 1 * S - 3


def test_it_waits_for_every_camera_and_for_each_anew(buffer):
    assert not buffer.wait_for_new_frames(0)
    buffer.put_frame("front", picture(1), S)
    assert not buffer.wait_for_new_frames(0)
    assert buffer.missing() == "no new frame on wrist/jpeg"
    fill(buffer)
    assert buffer.wait_for_new_frames(0)
    buffer.snapshot("", S, 0.5)
    assert not buffer.wait_for_new_frames(0)


@pytest.mark.parametrize("what", ["front", "wrist", "joints"])
def test_what_is_missing_is_named(buffer, what):
    if what != "front":
        buffer.put_frame("front", picture(1), S)
    if what != "wrist":
        buffer.put_frame("wrist", jpeg(), S)
    if what != "joints":
        buffer.put_joint_state(joints(), S)
    with pytest.raises(NotReadyError, match=what):
        buffer.snapshot("", S, 0.5)


def test_what_is_too_old_is_named_with_its_age(buffer):
    fill(buffer, at_s=1)
    buffer.put_frame("front", picture(1), 3 * S)
    with pytest.raises(
        NotReadyError, match=r"wrist/jpeg is 2\.00 s old, joints is 2\.00 s old"
    ) as error:
        buffer.snapshot("", 3 * S, 1.0)
    assert "front/image is" not in str(error.value)


def test_a_bad_frame_does_not_replace_a_good_one(buffer):
    fill(buffer)
    with pytest.raises(ImageError):
        buffer.put_frame("front", picture(8, data=b""), 2 * S)
    snapshot = buffer.snapshot("", S, 0.5)
    assert snapshot.observation.images["observation.images.a"][0, 0, 0] == 7


def test_a_frame_that_cannot_be_decoded_leaves_the_last_picture_and_is_told(buffer):
    fill(buffer)
    buffer.snapshot("", S, 0.5)
    buffer.put_frame("front", picture(8, encoding="octarine"), S + 9)
    snapshot = buffer.snapshot("", S, 0.5)
    assert snapshot.observation.images["observation.images.a"][0, 0, 0] == 7
    assert (
        snapshot.newest_frame_ns == S + 5
    )  # the undecodable frame's stamp is not taken for a picture's
    ((topic, problem),) = snapshot.problems
    assert topic == "front/image"
    assert "octarine" in problem


def test_a_bad_joint_state_does_not_replace_a_good_one(buffer):
    fill(buffer)
    with pytest.raises(JointStateError, match="'y'"):
        buffer.put_joint_state(joints(["x"], [5.0]), 2 * S)
    np.testing.assert_allclose(buffer.snapshot("", S, 0.5).observation.state, [1.0, 180.0])


def test_parts_of_the_joints_keep_their_own_age():
    buffer = ObservationBuffer(CAMERAS, state(allow_partial=True))
    fill(buffer, at_s=1)
    buffer.put_joint_state(joints(["x"], [5.0]), 3 * S)
    for camera, message in (("front", picture(1)), ("wrist", jpeg())):
        buffer.put_frame(camera, message, 3 * S)
    with pytest.raises(NotReadyError, match=r"joints \(y\) is 2\.00 s old") as error:
        buffer.snapshot("", 3 * S, 1.0)
    assert "(x)" not in str(error.value)


def test_cleared_it_has_nothing(buffer):
    fill(buffer)
    buffer.clear()
    assert not buffer.wait_for_new_frames(0)
    with pytest.raises(NotReadyError):
        buffer.snapshot("", S, 0.5)


def test_what_could_not_be_decoded_is_told_also_when_it_is_too_late_to_infer(buffer):
    fill(buffer, at_s=1)
    buffer.snapshot("", S, 0.5)
    buffer.put_frame("front", picture(8, encoding="octarine"), 5 * S)
    buffer.put_frame("wrist", jpeg(), 5 * S)
    with pytest.raises(NotReadyError, match=r"front/image is 4\.00 s old.*octarine"):
        buffer.snapshot("", 5 * S, 0.5)


def test_a_stamp_from_the_future_is_no_fresh_one(buffer):
    """A node on another clock must not take everything for new."""
    fill(buffer, at_s=10)
    with pytest.raises(NotReadyError, match=r"front/image is stamped 9\.00 s in the future"):
        buffer.snapshot("", 1 * S, 0.5)


@pytest.mark.parametrize("now_s", [0, 1_700_000_000])
def test_another_clock_is_told_from_a_late_source(buffer, now_s):
    fill(buffer, at_s=1000)
    with pytest.raises(NotReadyError, match="use_sim_time"):
        buffer.snapshot("", now_s * S, 0.5)
