"""With the simulator; what needs none is tested in the other files."""

import json
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from rosbags.highlevel import AnyReader

if find_spec("metaworld") is None:  # importing it here would choose how it renders
    pytest.skip(
        "metaworld is not installed: pip install -r requirements/sim.txt", allow_module_level=True
    )

from cls_vla_ros.policy.checkpoint.random_checkpoint import make_random_checkpoint
from cls_vla_ros.simulation.arm import SimArm
from cls_vla_ros.simulation.closed_loop.episode import MOVES_M, Run, Setup, run_episode
from cls_vla_ros.simulation.recording import HowToRecord, Take, is_recorded, record_episode
from cls_vla_ros.simulation.tasks import STEPS_PER_FRAME

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


class Heard:
    """In a bag's place: keeps the joints and actions."""

    def __init__(self):
        self.positions, self.actions = [], []

    def add_pictures(self, stamp_ns, pictures):
        pass

    def add_step(self, stamp_ns, positions, velocities, action):
        self.positions.append(positions)
        self.actions.append(action.astype(np.float64))


def read(bag: Path) -> dict[str, list]:
    messages: dict[str, list] = {}
    with AnyReader([bag]) as reader:
        for connection, _, data in reader.messages():
            message = reader.deserialize(data, connection.msgtype)
            messages.setdefault(connection.topic, []).append(message)
    return messages


@pytest.fixture(scope="module")
def demo():
    return read(ROOT / "bags" / "demo")


def test_the_demos_recording_can_be_made_again(demo, monkeypatch):
    """Its motion with its events, step by step: the same simulator, expert and disturbances."""
    take = Take("drawer-open-v3", 1, HowToRecord(events="standard"))
    monkeypatch.setattr(take, "_pictures", lambda frame: {})
    heard = Heard()
    labels = take.play(heard)
    assert labels["events"] == json.loads((ROOT / "bags/demo.labels.json").read_text())["events"]
    assert labels["success_frame"] == 29
    positions = [message.position for message in demo["/joint_states"]]
    actions = [message.data for message in demo["/expert_action"]]
    np.testing.assert_allclose(heard.positions, positions, atol=1e-6)
    np.testing.assert_allclose(heard.actions, actions, atol=1e-4)


def test_a_recording_has_the_demos_pictures_and_appears_whole(demo, tmp_path, monkeypatch):
    how = HowToRecord(frames=2, shadow_pixels=1024)
    labels = record_episode(tmp_path, "drawer-open-v3", 1, how)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "drawer-open-v3_1",
        "drawer-open-v3_1.labels.json",
    ]
    assert json.loads((tmp_path / "drawer-open-v3_1.labels.json").read_text()) == labels
    assert labels["instruction"] == "open the drawer"
    assert is_recorded(tmp_path / "drawer-open-v3_1", how)
    ours = read(tmp_path / "drawer-open-v3_1")
    topic = "/front_camera/image_raw"
    assert len(ours[topic]) == 2
    picture, theirs = (m[topic][1].data.reshape(m[topic][1].height, -1, 3) for m in (ours, demo))
    size = theirs.shape[1::-1]  # the demo's pictures were made smaller
    smaller = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(int)
    assert np.abs(smaller - theirs).mean() < 1.0  # another renderer rounds otherwise

    def interrupted(self, action):
        raise KeyboardInterrupt

    monkeypatch.setattr(SimArm, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        record_episode(tmp_path, "drawer-open-v3", 2, how)
    assert len(list(tmp_path.iterdir())) == 2


def test_noise_and_another_start_leave_the_experts_answer_clean():
    noisy = HowToRecord(frames=10, action_noise=0.15, random_start=True)
    heard, executed = {}, {}
    for name, how in (("first", noisy), ("again", noisy), ("calm", HowToRecord(frames=10))):
        take = Take("window-open-v3", 5, how)
        take._pictures = lambda frame: {}
        step, answers, done = take._arm.step, [], []
        answer = take._arm.expert_action
        take._arm.expert_action = lambda a=answer, to=answers: to.append(a()) or to[-1]
        take._arm.step = lambda action, s=step, to=done: (to.append(action), s(action))[1]
        take.play(heard.setdefault(name, Heard()))
        np.testing.assert_array_equal(heard[name].actions, answers)
        executed[name] = np.array(done)
    np.testing.assert_array_equal(heard["first"].positions, heard["again"].positions)
    assert np.abs(heard["first"].positions[0] - heard["calm"].positions[0]).max() > 0.05  # rad
    assert len(heard["first"].actions) == 10 * STEPS_PER_FRAME
    assert np.abs(executed["first"] - heard["first"].actions).max() > 0.05
    np.testing.assert_array_equal(executed["calm"], heard["calm"].actions)


def test_the_expert_finds_an_object_that_jumped():
    arm = SimArm("window-open-v3", 0)
    for _ in range(30):
        arm.step(arm.expert_action())
    dx_m, dy_m = arm.another_place(np.random.default_rng(0), MOVES_M)
    assert MOVES_M[0] <= np.hypot(dx_m, dy_m) <= MOVES_M[1]
    arm.move_object(dx_m, dy_m, with_marker=True)
    assert not arm.succeeded
    for _ in range(250):
        arm.step(arm.expert_action())
    assert arm.succeeded


def test_a_policy_in_the_loop_reuses_as_each_rule_says(tmp_path):
    demo = json.loads((ROOT / "bags/demo.labels.json").read_text())["stats"]
    stats = {f: {n: torch.tensor(v) for n, v in of.items()} for f, of in demo.items()}
    cameras = {f"observation.images.{name}": (48, 64) for name in ("front", "wrist")}
    policy = make_random_checkpoint(
        tmp_path / "policy", cameras, stats, chunk_size=4, n_action_steps=4
    )
    setup = Setup(str(policy), max_frames=3, execute=1, num_steps=1, shadow_pixels=256)
    reused = {}
    for rule, share in (("full", 1.0), ("gated", 1.0), ("periodic", 0.5), ("blind", 1.0)):
        episode = run_episode(setup, Run("drawer-open-v3", 3, "occluder", rule, share))
        assert (episode["success"], episode["steps"]) == (False, None)
        assert episode["inferences"] == 3
        reused[rule] = episode["reused"], episode["reasons"]
    assert reused["full"] == (0, {"reuse_off": 3})
    assert reused["gated"] == (0, {"no_history": 1, "gate_untrained": 2})
    assert reused["periodic"] == (1, {"no_history": 1, "reused": 1, "max_reuses": 1})
    assert reused["blind"] == (2, {"no_history": 1, "reused": 2})


def test_the_expert_in_the_loop_does_the_task_though_the_object_jumps():
    episode = run_episode(Setup("no policy"), Run("drawer-open-v3", 3, "object", "expert"))
    assert episode["success"]
    assert 60 < episode["steps"] < 250
    assert episode["inferences"] == 0
