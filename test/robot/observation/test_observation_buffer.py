from dataclasses import replace

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image, JointState

from cls_vla_ros.robot.joints import JointStateError
from cls_vla_ros.robot.observation.images import ImageError
from cls_vla_ros.robot.observation.observation_buffer import (
    NotReadyError,
    ObservationBuffer,
    ObservationLimits,
)
from cls_vla_ros.robot.observation.source_health import StampError
from cls_vla_ros.robot.settings import CameraSettings, StateSettings

S = 10**9
CAMERAS = [
    CameraSettings("front", "front/image", "raw", "observation.images.a"),
    CameraSettings("wrist", "wrist/jpeg", "compressed", "observation.images.b"),
]


def state(**changes) -> StateSettings:
    values = {"topic": "joints", "joints": ["x", "y"], "units": ["rad", "deg"]}
    values |= {"lower": [], "upper": [], "allow_partial": False}
    return StateSettings(**(values | changes))


def picture(value: int, **fields) -> Image:
    message = Image(height=1, width=2, step=6, encoding="rgb8", data=bytes([value] * 6))
    for name, content in fields.items():
        setattr(message, name, content)
    return message


def jpeg(value=50) -> CompressedImage:
    data = cv2.imencode(".jpg", np.full((2, 3, 3), value, np.uint8))[1].tobytes()
    return CompressedImage(format="jpeg", data=data)


def joints(names=("y", "x"), positions=(np.pi, 1.0)) -> JointState:
    return JointState(name=list(names), position=list(positions))


def make_buffer(*, allow_partial=False, **limits) -> ObservationBuffer:
    values = {"max_age_s": 0.5, "max_skew_s": 60.0, "frozen_s": 1.0, "black_level": 4.0}
    state_settings = state(allow_partial=allow_partial)
    return ObservationBuffer(CAMERAS, state_settings, ObservationLimits(**(values | limits)))


@pytest.fixture
def buffer():
    return make_buffer()


def fill(buffer, at_s=1, value=7):
    now = round(at_s * S)
    buffer.put_frame("front", picture(value), now, now)
    buffer.put_frame("wrist", jpeg(value), now + 5, now)
    buffer.put_joint_state(joints(), now - 3, now)


def test_a_snapshot_has_the_policys_names_order_and_units(buffer):
    fill(buffer)
    snapshot = buffer.snapshot("go", 1 * S)
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
    buffer.put_frame("front", picture(11), S, S)
    assert not buffer.wait_for_new_frames(0)
    assert buffer.missing() == "no new frame on wrist/jpeg"
    fill(buffer)
    assert buffer.wait_for_new_frames(0)
    buffer.snapshot("", S)
    assert not buffer.wait_for_new_frames(0)


@pytest.mark.parametrize("what", ["front", "wrist", "joints"])
def test_what_is_missing_is_named(buffer, what):
    if what != "front":
        buffer.put_frame("front", picture(11), S, S)
    if what != "wrist":
        buffer.put_frame("wrist", jpeg(), S, S)
    if what != "joints":
        buffer.put_joint_state(joints(), S, S)
    with pytest.raises(NotReadyError, match=what):
        buffer.snapshot("", S)


def test_what_is_too_old_is_named_with_its_age(buffer):
    fill(buffer, at_s=1)
    buffer.put_frame("front", picture(11), 3 * S, 3 * S)
    with pytest.raises(
        NotReadyError, match=r"wrist/jpeg is 2\.00 s old.*joints is 2\.00 s old"
    ) as error:
        buffer.snapshot("", 3 * S)
    assert "front/image is" not in str(error.value)


def test_a_bad_frame_does_not_replace_a_good_one(buffer):
    fill(buffer)
    with pytest.raises(ImageError):
        buffer.put_frame("front", picture(8, data=b""), 2 * S, 2 * S)
    snapshot = buffer.snapshot("", S)
    assert snapshot.observation.images["observation.images.a"][0, 0, 0] == 7


def test_a_frame_that_cannot_be_decoded_leaves_the_last_picture_and_is_told(buffer):
    fill(buffer)
    buffer.snapshot("", S)
    buffer.put_frame("front", picture(8, encoding="octarine"), S + 9, S + 9)
    snapshot = buffer.snapshot("", S)
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
        buffer.put_joint_state(joints(["x"], [5.0]), 2 * S, 2 * S)
    np.testing.assert_allclose(buffer.snapshot("", S).observation.state, [1.0, 180.0])


def test_parts_of_the_joints_keep_their_own_age():
    buffer = make_buffer(allow_partial=True)
    fill(buffer, at_s=1)
    buffer.put_joint_state(joints(["x"], [5.0]), 3 * S, 3 * S)
    for camera, message in (("front", picture(11)), ("wrist", jpeg())):
        buffer.put_frame(camera, message, 3 * S, 3 * S)
    with pytest.raises(NotReadyError, match=r"joints \(y\) is 2\.00 s old") as error:
        buffer.snapshot("", 3 * S)
    assert "(x)" not in str(error.value)


def test_cleared_it_has_nothing(buffer):
    fill(buffer)
    buffer.clear()
    assert not buffer.wait_for_new_frames(0)
    with pytest.raises(NotReadyError):
        buffer.snapshot("", S)


def test_what_could_not_be_decoded_is_told_also_when_it_is_too_late_to_infer(buffer):
    fill(buffer, at_s=1)
    buffer.snapshot("", S)
    buffer.put_frame("front", picture(8, encoding="octarine"), 5 * S, 5 * S)
    buffer.put_frame("wrist", jpeg(), 5 * S, 5 * S)
    with pytest.raises(NotReadyError, match=r"front/image is 4\.00 s old.*octarine"):
        buffer.snapshot("", 5 * S)


def test_a_stamp_from_the_future_is_refused_and_the_good_one_stays(buffer):
    """A node on another clock must not take everything for new."""
    fill(buffer)
    with pytest.raises(StampError, match=r"stamped 9\.00 s in the future"):
        buffer.put_frame("front", picture(11), 10 * S, S)
    with pytest.raises(StampError, match=r"stamped 9\.00 s in the future"):
        buffer.put_joint_state(joints(), 10 * S, S)
    assert buffer.snapshot("", S).observation.images["observation.images.a"][0, 0, 0] == 7


def test_a_clock_that_went_back_makes_everything_future(buffer):
    fill(buffer, at_s=10)
    with pytest.raises(NotReadyError, match=r"front/image is stamped 9\.00 s in the future"):
        buffer.snapshot("", 1 * S)


@pytest.mark.parametrize("now_s", [0, 1_700_000_000])
def test_another_clock_is_told_from_a_late_source(buffer, now_s):
    fill(buffer, at_s=1000)
    with pytest.raises(NotReadyError, match="use_sim_time"):
        buffer.snapshot("", now_s * S)


def test_messages_out_of_order_are_refused(buffer):
    fill(buffer, at_s=2)
    with pytest.raises(StampError, match="out of order"):
        buffer.put_frame("front", picture(11), S, 2 * S)
    with pytest.raises(StampError, match="out of order"):
        buffer.put_joint_state(joints(), S, 2 * S)
    assert buffer.snapshot("", 2 * S).newest_frame_ns == 2 * S + 5


def test_without_a_stamp_the_time_of_arrival_counts_and_is_told_once(buffer):
    fill(buffer)
    said = [buffer.put_frame("front", picture(11 + i), 0, (2 + i) * S) for i in range(2)]
    said += [buffer.put_joint_state(joints(), 0, (2 + i) * S) for i in range(2)]
    assert ["zero" in text for text in said] == [True, False, True, False]
    buffer.put_frame("wrist", jpeg(), 3 * S, 3 * S)
    assert buffer.snapshot("", 3 * S).newest_frame_ns == 3 * S


def test_sources_that_are_too_far_apart_make_no_observation():
    buffer = make_buffer(max_age_s=5.0, max_skew_s=0.3)
    fill(buffer, at_s=1)
    for camera, message in (("front", picture(11)), ("wrist", jpeg())):
        buffer.put_frame(camera, message, 2 * S, 2 * S)
    with pytest.raises(NotReadyError, match=r"1\.000 s apart.*joints is the oldest"):
        buffer.snapshot("", 2 * S)
    buffer.put_joint_state(joints(), 2 * S, 2 * S)
    buffer.snapshot("", 2 * S)


def test_a_frozen_camera_is_a_fault_until_it_lives(buffer):
    for at_s in (1.0, 1.5, 2.0):
        fill(buffer, at_s, value=9)
        buffer.snapshot("", round(at_s * S))
    fill(buffer, 2.1, value=9)
    with pytest.raises(NotReadyError, match=r"front/image is frozen.*wrist/jpeg is frozen"):
        buffer.snapshot("", round(2.1 * S))
    fill(buffer, 2.2, value=90)
    buffer.snapshot("", round(2.2 * S))


def test_a_black_picture_is_a_fault(buffer):
    fill(buffer, value=0)
    with pytest.raises(NotReadyError, match="front/image is black"):
        buffer.snapshot("", S)
    buffer.limits = replace(buffer.limits, black_level=0.0)
    fill(buffer, 1.1, value=0)
    buffer.snapshot("", round(1.1 * S))


def test_limits_count_at_once(buffer):
    fill(buffer)
    buffer.limits = replace(buffer.limits, max_age_s=0.05)
    with pytest.raises(NotReadyError, match="old"):
        buffer.snapshot("", S + S // 10)


def test_positions_are_those_of_the_newest_message(buffer):
    assert np.isnan(buffer.positions(["x", "nobody"])).all()
    fill(buffer)
    np.testing.assert_allclose(buffer.positions(["y", "x", "nobody"]), [np.pi, 1.0, np.nan])


def test_rates_and_ages_are_for_the_diagnostics(buffer):
    for at_s in (1.0, 1.5, 2.0):
        fill(buffer, at_s)
        buffer.snapshot("", round(at_s * S))
    values = buffer.to_values(round(2.0 * S))
    assert values["front/image: rate [Hz]"] == pytest.approx(2.0)
    assert values["joints: age [ms]"] == pytest.approx(0, abs=0.1)
