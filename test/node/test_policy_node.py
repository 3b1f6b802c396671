"""The node in this process: lifecycle, topics, reset, parameters, and input that is not good."""

import json
import math
import shutil
import threading
import time

import numpy as np
import pytest
import torch
from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import ParameterType
from rclpy.lifecycle import TransitionCallbackReturn
from rosgraph_msgs.msg import Clock
from std_msgs.msg import String
from std_srvs.srv import Trigger

from cls_vla_ros.msg import SceneChange
from cls_vla_ros.node.output.stamps import to_time
from cls_vla_ros.policy.checkpoint.random_checkpoint import random_config
from cls_vla_ros.policy.modeling_cls_smolvla import CLSSmolVLAPolicy
from cls_vla_ros.robot.stamps import to_ns

JOINTS = ["shoulder", "elbow", "gripper"]


def infer(robot, count: int) -> list:
    """Feed until there are that many more inferences; all scene changes since then."""
    heard = robot.peer.heard["scene_change"]
    before = len(heard)
    robot.peer.feed_until(lambda: len(heard) >= before + count, f"{count} inferences")
    return heard[before:]


def until_diagnosed(robot, text: str, **messages) -> str:
    """Feed until the diagnostics say the text."""

    def said():
        message, values = robot.peer.diagnosis()
        return text in f"{message} {values}"

    robot.peer.feed_until(said, f"diagnostics with {text!r}", **messages)
    return robot.peer.diagnosis()[0]


# The main job


def test_first_inference_has_no_history_and_the_next_has(make_robot):
    robot = make_robot(gate__allow_untrained=True, cache__guard_threshold=0.0).start()
    first, second, *_ = infer(robot, 2)
    assert first.evaluated
    assert not first.has_history
    assert math.isnan(first.similarity)
    assert first.should_cache
    assert not first.scene_changed
    assert first.reason == SceneChange.REASON_NO_HISTORY
    assert first.reason_text == "no history"
    assert second.has_history
    assert -1 <= second.similarity <= 1
    assert second.should_cache == (second.similarity > second.threshold)
    assert second.scene_changed != second.should_cache
    assert second.total_ms >= second.prefix_ms + second.denoise_ms > 0
    assert 0 <= second.observation_age_ms < 5000


def stock_smolvla(checkpoint, directory):
    """As lerobot saves one, with the tiny checkpoint's VLM, statistics and processors."""
    shutil.copytree(checkpoint, directory)
    cameras = {"observation.images.front": (48, 64), "observation.images.wrist": (60, 60)}
    config = random_config(SmolVLAConfig, directory / "vlm", cameras, 3, 3)
    SmolVLAPolicy(config).save_pretrained(directory)
    return directory


@pytest.mark.parametrize("is_stock", [False, True])
def test_an_untrained_head_raises_no_alarm(make_robot, checkpoint, tmp_path, is_stock):
    """A stock SmolVLA gets a new head, whose similarity is noise."""
    more = {}
    if is_stock:
        more["policy__path"] = str(stock_smolvla(checkpoint, tmp_path / "stock"))
    robot = make_robot(gate__threshold=1.0, **more).start()
    for message in infer(robot, 5):
        assert math.isnan(message.similarity)
        assert not message.scene_changed
    assert message.has_history
    assert message.evaluated
    assert not message.should_cache
    assert message.reason == SceneChange.REASON_GATE_UNTRAINED


def test_each_inference_gives_a_chunk_and_a_trajectory(robot):
    scene_changes = infer(robot, 2)
    heard = robot.peer.heard
    robot.peer.feed_until(lambda: len(heard["joint_trajectory"]) >= 2, "trajectories")
    for scene_change, chunk, trajectory in zip(
        scene_changes, heard["action_chunk"], heard["joint_trajectory"], strict=False
    ):
        assert chunk.inference_id == scene_change.inference_id
        assert chunk.episode == scene_change.episode
        assert to_ns(chunk.header.stamp) == to_ns(scene_change.header.stamp) > 0
        assert chunk.names == JOINTS
        assert (chunk.chunk_size, chunk.action_dim, chunk.dt) == (50, 3, 0.05)
        assert trajectory.joint_names == JOINTS
        points = np.array([point.positions for point in trajectory.points])
        times = np.array(
            [p.time_from_start.sec + p.time_from_start.nanosec / 1e9 for p in trajectory.points]
        )
        assert (np.diff(times) > 0).all()
        # The way there comes first; then it is the chunk, each step when it is due.
        steps = np.array(chunk.data).reshape(50, 3)
        last = min(len(points), 45)
        np.testing.assert_array_equal(points[-last:], steps[-last:])
        np.testing.assert_allclose(times[-last:], 0.05 * np.arange(51 - last, 51), atol=1e-6)


def test_the_policy_sees_the_joints_by_name_in_its_own_units(make_robot, monkeypatch):
    robot = make_robot(state__units=["deg", "rad", "percent"], state__lower=[0.0, 0.0, -1.0],
                       state__upper=[0.0, 0.0, 1.0]).start()  # fmt: skip
    seen = []
    infer_with = robot.node._server.infer
    monkeypatch.setattr(
        robot.node._server, "infer", lambda o, **k: seen.append(o) or infer_with(o, **k)
    )
    # gripper 0.0, other 0.1, shoulder 0.2, elbow 0.3
    infer(robot, 1)
    np.testing.assert_allclose(seen[0].state, [np.degrees(0.2), 0.3, 50.0], rtol=1e-5)


def test_actions_leave_in_ros_units(make_robot):
    in_rad = make_robot().start()
    infer(in_rad, 1)
    in_rad = in_rad.peer.heard["action_chunk"]
    robot = make_robot("other", action__units=["deg", "rad", "rad"]).start()
    infer(robot, 1)
    chunk = robot.peer.heard["action_chunk"][0]
    assert list(chunk.units) == ["rad", "rad", "rad"]
    one, other = (np.array(c.data).reshape(50, 3) for c in (in_rad[0], chunk))
    np.testing.assert_allclose(other[:, 0], np.radians(one[:, 0]), atol=1e-9)
    np.testing.assert_allclose(other[:, 1:], one[:, 1:], atol=1e-9)


def test_no_trajectory_where_actions_are_not_joint_positions(make_robot):
    robot = make_robot(action__kind="other").start()
    infer(robot, 1)
    assert robot.peer.count_publishers("joint_trajectory") == 0


@pytest.mark.parametrize(
    ("encoding", "channels"),
    [("bgr8", 3), ("mono8", 1), ("rgba8", 4), ("yuv422_yuy2", 2), ("bayer_rggb8", 1)],
)
def test_pictures_of_other_sizes_and_encodings(robot, encoding, channels):
    image = robot.peer.image()
    image.height, image.width, image.encoding, image.step = 32, 40, encoding, 40 * channels + 6
    image.data = bytes(range(256)) * (32 * image.step // 256 + 1)
    heard = robot.peer.heard["scene_change"]

    def fed():
        image.header.stamp = robot.peer.now()
        return len(heard) >= 2

    robot.peer.feed_until(fed, "two inferences", front=image)
    assert robot.peer.diagnosis()[1].get("last error", "") == ""


# Reset


def call_reset(robot) -> Trigger.Response:
    client = robot.peer.create_client(Trigger, "reset")
    assert client.wait_for_service(10)
    answered = threading.Event()
    future = client.call_async(Trigger.Request())
    future.add_done_callback(lambda _: answered.set())
    assert answered.wait(10)
    return future.result()


def test_reset_begins_an_episode_without_history(robot):
    before = infer(robot, 2)[-1]
    response = call_reset(robot)
    assert response.success
    assert str(before.episode + 1) in response.message
    after = [m for m in infer(robot, 3) if m.episode == before.episode + 1]
    assert not after[0].has_history
    assert after[1].has_history


def test_an_inference_that_began_before_reset_publishes_nothing_after_it(robot, monkeypatch):
    infer(robot, 1)
    began, go_on = threading.Event(), threading.Event()
    denoise = robot.node._server.engine.denoise

    def slow(*args, **kwargs):
        began.set()
        assert go_on.wait(20)
        return denoise(*args, **kwargs)

    monkeypatch.setattr(robot.node._server.engine, "denoise", slow)
    robot.peer.feed_until(began.is_set, "an inference under way")
    response = call_reset(robot)  # answers although the inference goes on
    episode = int(response.message.split()[1])
    outputs = ("scene_change", "action_chunk")  # published one after another
    heard = {name: len(robot.peer.heard[name]) for name in outputs}
    go_on.set()
    monkeypatch.undo()
    robot.peer.feed_until(
        lambda: all(len(robot.peer.heard[name]) > heard[name] for name in heard),
        "chunk and scene change of the new episode",
    )
    for name in outputs:
        assert {m.episode for m in robot.peer.heard[name][heard[name] :]} == {episode}
    first = robot.peer.heard["scene_change"][heard["scene_change"]]
    assert not first.has_history
    assert robot.node._loop.discarded == 1


def test_a_change_of_task_is_a_reset(robot):
    episode = infer(robot, 1)[-1].episode
    assert robot.set("task", "close the drawer").successful
    assert infer(robot, 2)[-1].episode == episode + 1
    assert robot.set("task", "close the drawer").successful  # the same again
    assert infer(robot, 2)[-1].episode == episode + 1
    publisher = robot.peer.create_publisher(String, "task", 10)
    robot.peer.feed_until(publisher.get_subscription_count, "subscription")
    publisher.publish(String(data="push the button"))
    robot.peer.feed_until(
        lambda: robot.peer.heard["scene_change"][-1].episode == episode + 2, "episode"
    )
    assert robot.node.get_parameter("task").value == "push the button"


def test_a_backward_time_jump_is_a_reset(make_robot):
    robot = make_robot(use_sim_time=True, observation__max_age_s=3600.0).start()
    clock = robot.peer.create_publisher(Clock, "/clock", 1)
    robot.peer.feed_until(clock.get_subscription_count, "subscription to /clock")
    episode = robot.node._session.episode

    def tick(seconds):
        clock.publish(Clock(clock=to_time(seconds * 10**9)))
        time.sleep(0.05)
        return robot.node.get_clock().now().nanoseconds == seconds * 10**9

    for seconds in (100, 200):
        robot.peer.feed_until(lambda s=seconds: tick(s), f"time {seconds}")
    assert robot.node._session.episode == episode
    robot.peer.feed_until(lambda: tick(150), "time 150")
    assert robot.node._session.episode == episode + 1


# Lifecycle


def test_a_checkpoint_that_does_not_exist_fails_configure_and_a_right_one_mends_it(
    make_robot, checkpoint, capfd
):
    robot = make_robot(policy__path="/no/such/checkpoint")
    assert robot.node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert "/no/such/checkpoint does not exist" in capfd.readouterr().err
    assert robot.set("policy.path", str(checkpoint)).successful
    robot.start()
    infer(robot, 1)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ({"policy__path": None}, "policy.path is not set"),
        ({"cameras": None}, "cameras is empty"),
        ({"cameras": ["front"]}, "`cameras` names ['front'], and not 'wrist'"),
        ({"camera__front__feature": "observation.images.top"}, "observation.images.top"),
        ({"state__joints": ["shoulder"]}, "observation.state has 3 values"),
        ({"state__joints": ["shoulder", "elbow", "elbow"]}, "state.joints names something more"),
        ({"action__names": ["shoulder", "elbow", "elbow"]}, "action.names names something more"),
        ({"camera__wrist__feature": "observation.images.front"}, "one of the policy's pictures"),
        ({"action__names": ["a", "b"]}, "action has 3 values"),
        ({"state__units": ["deg"]}, "state.units: there are 3 names but 1 units"),
        ({"state__units": ["deg", "deg", "inch"]}, "state.units: unknown unit 'inch'"),
        ({"state__units": ["percent"] * 3}, "state.lower and upper: the units ['perc"),
        ({"action__units": ["deg"]}, "action.units: there are 3 names but 1 units"),
        (
            {
                "action__units": ["unit"] * 3,
                "action__lower": [0.0] * 3,
                "action__upper": [0.0] * 3,
            },
            "action.lower and upper: the range of 'shoulder'",
        ),
        ({"limits__lower": [1.0]}, "limits.lower has 1 values, action.names 3"),
        ({"limits__lower": [1.0] * 3, "limits__upper": [0.0] * 3}, "limits: the range of 'should"),
        ({"limits__velocity": [0.0] * 3}, "limits: the velocity limit of 'shoulder' is 0"),
        ({"limits__first_step": 0.2, "state__joints": ["a", "b", "c"]}, "limits.first_step comp"),
        ({"policy__engine": "cuda_graph"}, "the engine cuda_graph needs CUDA"),
        ({"policy__path": "/no/such/folder"}, "the checkpoint /no/such/folder does not exist"),
        ({"policy__device": "cuda:99"}, "cuda:99"),
        ({"rate_hz": -1.0}, "rate_hz must be in"),
        ({"rate_hz": "fast"}, "rate_hz"),
        ({"gate__threshold": 2.0}, "gate.threshold"),
        ({"cache__max_age_s": "often"}, "cache.max_age_s"),
        ({"cache__max_reuses": 1.5}, "cache.max_reuses"),
        ({"camera__front__transport": "carrier pigeon"}, "'carrier pigeon'"),
        ({"camera__front__topic": "not a topic"}, "camera.front.topic is 'not a topic'"),
        ({"state__topic": "joints//left"}, "state.topic is 'joints//left', which cannot be"),
    ],
)
def test_a_bad_setting_fails_configure_with_the_reason_before_weights_are_loaded(
    make_robot, capfd, monkeypatch, override, said
):
    def load(*args, **kwargs):
        raise AssertionError("weights are loaded before all that can be known without is checked")

    monkeypatch.setattr(CLSSmolVLAPolicy, "from_pretrained", load)
    robot = make_robot(**override)
    assert robot.node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert said in capfd.readouterr().err
    robot.wait_until(lambda: not robot.peer.count_publishers("scene_change"), "nothing left of it")
    assert robot.set("rate_hz", 10.0).successful


def test_a_picture_of_the_policys_may_have_no_camera_but_one_that_has_must_come(
    make_robot, caplog
):
    names = ("topic", "transport", "feature")
    no_wrist = {f"camera__wrist__{name}": None for name in names}
    robot = make_robot(cameras=["front"], observation__max_age_s=0.3, **no_wrist)
    assert robot.node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert robot.node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    robot.peer.feed_until(lambda: robot.peer.heard["action_chunk"], "a chunk of one camera")
    (said,) = [r.getMessage() for r in caplog.records if "nobody gives" in r.getMessage()]
    assert "observation.images.wrist" in said

    def joints_alone():
        robot.peer.joints.publish(robot.peer.joint_state())
        time.sleep(0.03)
        return "front/image_raw" in robot.peer.diagnosis()[0]

    robot.wait_until(joints_alone, "the camera that stopped is a fault")


def test_a_bad_value_from_a_file_is_mended_by_setting_a_good_one(make_robot):
    robot = make_robot(rate_hz=-1.0, camera__front__transport="pigeon")
    assert robot.node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert robot.set("rate_hz", 50.0).successful
    assert robot.set("camera.front.transport", "raw").successful
    robot.start()


def test_deactivated_it_publishes_nothing_and_activated_it_begins_an_episode(robot):
    episode = infer(robot, 1)[-1].episode
    assert robot.node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
    time.sleep(0.2)
    count = len(robot.peer.heard["scene_change"])
    for _ in range(5):
        robot.peer.feed()
        time.sleep(0.05)
    assert len(robot.peer.heard["scene_change"]) == count
    assert robot.node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    first = infer(robot, 1)[0]
    assert first.episode == episode + 1
    assert not first.has_history


def test_cleaned_up_it_can_be_configured_anew(robot):
    before = infer(robot, 1)[-1]
    robot.node.trigger_deactivate()
    robot.node.trigger_cleanup()
    assert not robot.node._loop
    robot.wait_until(lambda: not robot.peer.front.get_subscription_count(), "no subscription")
    assert robot.set("state.joints", ["elbow", "shoulder", "gripper"]).successful
    robot.start()
    after = infer(robot, 1)[0]
    assert after.episode == before.episode + 1  # who discards older episodes keeps this one
    assert after.inference_id > before.inference_id


def test_a_transition_that_is_not_possible_is_answered_with_no(robot):
    """rclpy raises there: the node would end, and the caller wait for ever."""
    client = robot.peer.create_client(ChangeState, "cls_vla_policy/change_state")
    assert client.wait_for_service(10)
    request = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_CONFIGURE))
    future = client.call_async(request)
    robot.wait_until(future.done, "an answer")
    assert not future.result().success
    infer(robot, 1)


def test_an_inference_that_never_ends_is_given_up(robot, monkeypatch):
    infer(robot, 1)
    assert robot.set("inference.timeout_s", 0.5).successful
    began, go_on = threading.Event(), threading.Event()
    denoise = robot.node._server.engine.denoise
    monkeypatch.setattr(
        robot.node._server.engine,
        "denoise",
        lambda *a, **k: (began.set(), go_on.wait(20), denoise(*a, **k))[2],
    )
    robot.peer.feed_until(began.is_set, "an inference under way")
    assert robot.node.trigger_deactivate() == TransitionCallbackReturn.ERROR
    count = len(robot.peer.heard["action_chunk"])
    robot.start()  # it is unconfigured, and can be configured again
    go_on.set()
    infer(robot, 1)
    ids = [m.inference_id for m in robot.peer.heard["action_chunk"][count:]]
    assert ids == sorted(set(ids))
    assert {m.episode for m in robot.peer.heard["action_chunk"][count:]} == {2}


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "out of memory"),
        (torch.AcceleratorError("CUDA error: unspecified launch failure"), "answers no more"),
    ],
)
def test_a_device_that_fails_ends_in_unconfigured_with_the_reason(robot, monkeypatch, error, said):
    def fail(*_):
        raise error

    infer(robot, 1)
    monkeypatch.setattr(robot.node._server.engine._model, "encode_prefix", fail)
    until_diagnosed(robot, said)
    robot.wait_until(lambda: robot.node._loop is None, "unconfigured")
    assert robot.node._state_machine.current_state[1] == "unconfigured"
    heard = robot.peer.heard
    time.sleep(0.3)  # what is on its way
    counts = {name: len(heard[name]) for name in ("action_chunk", "scene_change")}
    until_diagnosed(robot, said)  # it still says so
    assert counts == {name: len(heard[name]) for name in counts}
    robot.start()  # with another engine
    infer(robot, 2)
    assert robot.peer.diagnosis()[0] != said


def test_the_engine_is_chosen_by_parameters(make_robot):
    robot = make_robot(policy__engine="eager", policy__dtype="bfloat16", policy__num_steps=2)
    robot.start()
    infer(robot, 1)
    engine = robot.node._server.engine
    assert (engine.name, engine.dtype, engine.config.num_steps) == ("eager", torch.bfloat16, 2)
    until_diagnosed(robot, "eager, TorchOps, torch.bfloat16")
    refused = make_robot("right", policy__engine="cuda_graph", policy__device="cpu")
    assert "must be one of" in refused.set("policy.engine", "tensorrt").reason
    assert refused.node.trigger_configure() == TransitionCallbackReturn.FAILURE
    until_diagnosed(refused, "cuda_graph needs CUDA")


def test_diagnostics_come_also_while_the_clock_stands_still(make_robot):
    robot = make_robot(use_sim_time=True).start()
    until_diagnosed(robot, "Two clocks differ")
    assert not robot.peer.heard["action_chunk"]


def test_a_camera_that_is_no_longer_named_does_no_harm(make_robot):
    robot = make_robot(cameras=["front", "wrist", "third"], camera__third__transport="pigeon")
    assert robot.node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert robot.set("cameras", ["front", "wrist"]).successful
    robot.start()


def test_two_nodes_in_one_process_do_not_mix(make_robot):
    left, right = make_robot("left").start(), make_robot("right").start()
    assert infer(left, 2)
    assert not right.peer.heard["scene_change"]
    assert call_reset(left).success
    assert right.node._session.episode == 1


# Parameters


def test_live_parameters_change_while_running(robot):
    infer(robot, 1)
    assert robot.set("gate.threshold", 0.9).successful
    assert infer(robot, 2)[-1].threshold == 0.9
    assert robot.set("gate.threshold", "relaxed").successful
    assert infer(robot, 2)[-1].threshold == 0.3
    assert robot.set("gate.threshold", "checkpoint").successful
    assert infer(robot, 2)[-1].threshold == 0.5
    assert robot.set("rate_hz", 7.0).successful
    assert robot.node._loop.rate_hz == 7.0


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("gate.threshold", 1.5, "[-1, 1]"),
        ("gate.threshold", "sloppy", "strict"),
        ("gate.threshold", math.nan, "nan"),
        ("rate_hz", 0.0, "0.01"),
        ("rate_hz", "fast", "expected 'Type.DOUBLE'"),
        ("observation.max_age_s", -1.0, "0.001"),
        ("policy.path", "/other", "cleanup"),
        ("cameras", ["one"], "cleanup"),
    ],
)
def test_a_bad_parameter_is_refused_with_a_reason_and_the_old_one_stays(robot, name, value, said):
    before = robot.node.get_parameter(name).value
    result = robot.set(name, value)
    assert not result.successful
    assert said in result.reason
    assert robot.node.get_parameter(name).value == before
    infer(robot, 1)


def test_every_parameter_is_described(robot):
    names = list(robot.node._declared._specs)
    assert len(names) > 20
    for descriptor in robot.node.describe_parameters(names):
        assert len(descriptor.description) > 20


def test_a_dump_shows_every_parameter_also_empty_lists_of_their_type(make_robot, tmp_path):
    robot = make_robot()  # not configured: the cameras' are there too
    names = [*robot.node._declared._specs]
    assert "camera.wrist.guard" in names
    values = {p.name: p.get_parameter_value() for p in robot.node.get_parameters(names)}
    assert values["state.units"].type == ParameterType.PARAMETER_STRING_ARRAY
    assert values["limits.lower"].type == ParameterType.PARAMETER_DOUBLE_ARRAY
    assert list(values["limits.lower"].double_array_value) == []
    assert not [name for name, v in values.items() if v.type == ParameterType.PARAMETER_NOT_SET]
    # `ros2 param load` of that dump, and a list that is set at last
    assert robot.set("limits.lower", [-1.0, -2.0, -3.0]).successful
    assert robot.node._declared.get("limits.lower") == [-1.0, -2.0, -3.0]
    assert not robot.set("limits.lower", ["a"]).successful


def test_rtc_is_switched_by_a_boolean_too(make_robot):
    robot = make_robot(execution__rtc=False)
    assert robot.node._declared.read().execution.rtc == "off"
    assert robot.set("execution.rtc", True).successful
    assert robot.node._declared.read().execution.rtc == "on"
    assert "must be one of" in robot.set("execution.rtc", 3).reason


def test_a_misspelled_limit_fails_configure(make_robot, capfd):
    robot = make_robot(limits__velocty=[0.01] * 3)
    assert "limits.velocty" in capfd.readouterr().err  # said at once
    assert robot.node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert "the nearest one is limits.velocity" in capfd.readouterr().err


# Bad input: a clear word, the node lives on, and what was good stays


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"encoding": "octarine"}, "octarine"),
        ({"data": b"short"}, "5 bytes"),
        ({"step": 3}, "step is 3"),
        ({"height": 0}, "height 0"),
    ],
)
def test_a_bad_picture(robot, change, said):
    image = robot.peer.image()
    for name, value in change.items():
        setattr(image, name, value)
    until_diagnosed(robot, said, front=image)
    assert infer(robot, 2)[-1].has_history


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"", "empty"), (b"\xff\xd8 no end", "cut off"), (b"no picture", "not a picture")],
)
def test_a_bad_compressed_picture(robot, data, said):
    jpeg = robot.peer.jpeg()
    jpeg.data = data
    until_diagnosed(robot, said, wrist=jpeg)
    assert infer(robot, 2)[-1].has_history


@pytest.mark.parametrize(
    ("names", "positions", "said"),
    [
        ([], [], "empty"),
        (["shoulder", "gripper"], [0.0, 0.0], "lacks the joints ['elbow']"),
        (JOINTS, [0.0, 0.0], "3 names but 2 values of position"),
        (JOINTS, [0.0, math.nan, 0.0], "NaN or infinity for ['elbow']"),
        ([*JOINTS, "elbow"], [0.0] * 4, "['elbow'] more than once"),
    ],
)
def test_a_bad_joint_state(robot, names, positions, said):
    bad = robot.peer.joint_state(names, positions)
    until_diagnosed(robot, said, joints=bad)
    message, _ = robot.peer.diagnosis()
    assert "holding" in message  # no joint is ever taken for zero
    assert not robot.peer.heard["action_chunk"]
    infer(robot, 1)


def test_joints_may_come_in_parts_where_that_is_allowed(make_robot):
    robot = make_robot(state__allow_partial=True).start()
    until_diagnosed(robot, "gripper", joints=robot.peer.joint_state(["shoulder", "elbow"]))
    assert not robot.peer.heard["action_chunk"]
    heard = robot.peer.heard["action_chunk"]
    parts = [["shoulder", "elbow"], ["gripper"]]

    def fed():
        for part in parts:
            robot.peer.joints.publish(robot.peer.joint_state(part))
        return heard

    robot.peer.feed_until(fed, "a chunk", joints=robot.peer.joint_state(["gripper"]))


def test_an_old_picture_holds_and_says_which(make_robot):
    robot = make_robot(observation__max_age_s=0.5).start()
    until_diagnosed(robot, "front/image_raw is 9", front=robot.peer.image(age_s=90))
    assert not robot.peer.heard["action_chunk"]


def test_a_camera_that_is_silent_is_named(make_robot):
    robot = make_robot(observation__max_age_s=0.3).start()
    robot.peer.wrist.publish(robot.peer.jpeg())

    robot.wait_until(
        lambda: "no new frame on front/image_raw" in robot.peer.diagnosis()[0], "the hold"
    )


def test_a_picture_without_stamp_counts_as_new(make_robot):
    robot = make_robot(observation__max_age_s=1.0).start()
    image = robot.peer.image()
    image.header.stamp = to_time(0)
    heard = robot.peer.heard["scene_change"]
    robot.peer.feed_until(lambda: len(heard) >= 2, "inferences", front=image)


def test_nan_never_leaves(robot, monkeypatch):
    infer(robot, 1)
    server = robot.node._server
    infer_well = server.infer

    def with_nan(observation, **kwargs):
        inference = infer_well(observation, **kwargs)
        inference.actions[7, 1] = math.nan
        return inference

    monkeypatch.setattr(server, "infer", with_nan)
    until_diagnosed(robot, "'elbow' at step 7: nan is not finite")
    count = len(robot.peer.heard["action_chunk"])
    infer(robot, 2)  # the scene change is still published
    assert len(robot.peer.heard["action_chunk"]) == count
    monkeypatch.undo()
    robot.peer.feed_until(lambda: len(robot.peer.heard["action_chunk"]) > count, "chunks again")


def test_an_inference_that_raises_is_said_and_the_next_one_runs(robot, monkeypatch):
    infer(robot, 1)
    with monkeypatch.context() as patch:
        patch.setattr(robot.node._server.engine, "denoise", lambda *a, **k: 1 / 0)
        message = until_diagnosed(robot, "ZeroDivisionError")
        assert "the inference failed" in message
    infer(robot, 1)
    until_diagnosed(robot, "inferring")


# Reuse


REUSING = {
    "gate__allow_untrained": True,
    "gate__threshold": -1.0,
    "cache__guard_threshold": 100.0,
    "cache__guard_frozen": False,
    "cache__max_age_s": 100.0,
    "cache__max_reuses": 2,
}


def test_prefixes_are_reused_and_it_is_said(make_robot):
    robot = make_robot(**REUSING).start()
    messages = infer(robot, 6)[:6]
    reasons = [SceneChange.REASON_NO_HISTORY, 0, 0, SceneChange.REASON_MAX_REUSES, 0, 0]
    assert [m.reason for m in messages] == reasons
    assert [m.consecutive_reuses for m in messages] == [0, 1, 2, 0, 1, 2]
    assert [m.prefix_reused for m in messages] == [reason == 0 for reason in reasons]
    assert [m.evaluated for m in messages] == [reason != 0 for reason in reasons]
    assert messages[2].cache_age_s > 0
    assert messages[5].cache_length == 2
    assert messages[5].reuse_rate == pytest.approx(4 / 6)
    assert messages[4].similarity == messages[3].similarity  # the last one evaluated
    until_diagnosed(robot, "'cached prefixes'")
    robot.wait_until(
        lambda: int(robot.peer.diagnosis()[1].get("total reused", 0)) >= 4, "reuses are diagnosed"
    )
    assert float(robot.peer.diagnosis()[1]["cached prefixes [MB]"]) > 0


def test_the_limits_of_reuse_change_while_running(make_robot):
    robot = make_robot(**REUSING).start()
    infer(robot, 1)
    for name, value, reason in (
        ("cache.max_reuses", 0, SceneChange.REASON_MAX_REUSES),
        ("cache.enabled", False, SceneChange.REASON_REUSE_OFF),
        ("gate.allow_untrained", False, SceneChange.REASON_GATE_UNTRAINED),
    ):
        before = robot.node.get_parameter(name).value
        assert robot.set(name, value).successful
        assert infer(robot, 3)[-1].reason == reason
        assert robot.set(name, before).successful
    assert robot.set("cache.guard_threshold", 0.0).successful
    assert infer(robot, 3)[-1].reason == SceneChange.REASON_FRAME_DIFFERENT
    assert not robot.set("cache.max_reuses", -1).successful


def test_statistics_are_logged_at_reset_and_at_the_end(make_robot, capfd):
    robot = make_robot(**REUSING).start()
    infer(robot, 3)
    call_reset(robot)
    assert "evaluations" in capfd.readouterr().err
    robot.node.trigger_deactivate()
    robot.node.trigger_cleanup()
    assert "in total:" in capfd.readouterr().err


def test_the_threshold_is_the_parameters_again_when_it_no_longer_adapts(make_robot):
    robot = make_robot(gate__threshold=0.95, gate__adaptive=True).start()
    assert infer(robot, 4)[-1].threshold == pytest.approx(0.8)  # adapted, in its clamp
    assert robot.set("gate.adaptive", False).successful
    assert infer(robot, 3)[-1].threshold == 0.95


def test_an_episode_that_a_task_change_ends_is_logged(robot, capfd):
    infer(robot, 2)
    assert robot.set("task", "close").successful
    assert "the task is now 'close'; the last one: " in capfd.readouterr().err


@pytest.fixture
def calibrated(checkpoint, tmp_path):
    """The checkpoint, with what `calibrate` writes into its configuration."""
    path = shutil.copytree(checkpoint, tmp_path / "calibrated")
    config = json.loads((path / "config.json").read_text())
    found = {"cls_thresholds": [[100.0, -0.9]], "cls_max_age_s": 50.0, "cls_max_reuses": 1}
    (path / "config.json").write_text(json.dumps(config | found))
    return str(path)


def test_what_calibration_found_is_used_unless_a_parameter_says_otherwise(make_robot, calibrated):
    more = {"cache__guard_threshold": 100.0, "cache__guard_frozen": False}
    robot = make_robot(policy__path=calibrated, gate__allow_untrained=True, **more).start()
    messages = infer(robot, 4)[:4]
    assert [m.prefix_reused for m in messages] == [False, True, False, True]
    assert [m.threshold for m in messages] == [0.5, 0.5, -0.9, -0.9]
    limits = robot.node._session.limits
    assert (limits.max_age_s, limits.max_reuses) == (50.0, 1)
    until_diagnosed(robot, "'threshold': '-0.900 at 100 s'")

    assert robot.set("gate.threshold", 0.25).successful
    assert robot.set("cache.max_reuses", 0).successful
    assert robot.set("cache.max_age_s", 7.0).successful
    assert infer(robot, 3)[-1].threshold == 0.25
    limits = robot.node._session.limits
    assert (limits.max_age_s, limits.max_reuses) == (7.0, 0)

    assert robot.set("gate.threshold", "checkpoint").successful
    assert robot.set("cache.max_reuses", "checkpoint").successful
    assert infer(robot, 3)[-1].threshold == -0.9
    assert robot.node._session.limits.max_reuses == 1


def test_without_calibration_the_limits_are_the_defaults(robot):
    limits = robot.node._session.limits
    assert (limits.max_age_s, limits.max_reuses) == (1.0, 4)
