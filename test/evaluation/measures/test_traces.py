"""What is known of any two frames of an episode."""

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from cls_vla_ros.evaluation.measures.traces import (
    DIMMED_FRAMES,
    PATCHED_FRAMES,
    Trace,
    differences,
    joint_distances,
    motions,
    record,
    similarities,
)
from cls_vla_ros.inference import Observation
from cls_vla_ros.inference.reuse.frame_guard import Thumbnail, difference
from cls_vla_ros.recordings.episodes import Event, Frame


def trace(frames: int) -> Trace:
    random = np.random.default_rng(0)
    pictures = [random.integers(0, 255, (64, 64, 3), dtype=np.uint8) for _ in range(frames)]
    pictures[4] = pictures[2]  # what changed meanwhile is gone again
    states = random.normal(size=(frames, 3))
    small = [{"a": Thumbnail.of(p), "b": Thumbnail.of(pictures[0])} for p in pictures]
    out = torch.randn(frames, 2, 8, generator=torch.Generator().manual_seed(0))
    return Trace("t", [], np.arange(frames) / 10, states, states[:, None], out, {}, small)


def test_scores_are_of_the_two_frames_of_a_pair():
    of = trace(6)
    similarity = similarities(of.obs_cls_out, of.obs_cls_out, 2)
    seen, predicted = of.obs_cls_out[4, 0], of.obs_cls_out[2, 1]
    assert similarity.shape == (4,)
    assert similarity[2] == pytest.approx(float(torch.cosine_similarity(seen, predicted, 0)))
    assert joint_distances(of, 2)[2] == pytest.approx(np.linalg.norm(of.states[4] - of.states[2]))
    small = of.thumbnails
    by_hand = [difference(of.thumbnails[t]["a"], of.thumbnails[2]["a"]) for t in (3, 4)]
    assert differences(small, small, 2, ["a", "b"], all_between=False)[2] == by_hand[1]
    assert differences(small, small, 2, ["a", "b"], all_between=True)[2] == by_hand[0] > 0
    assert differences(small, small, 2, ["b"], all_between=True).max() == 0
    # Where what is seen now is disturbed, it is compared with what was seen before.
    others = [{"a": small[0]["a"]}] * 6
    assert differences(small, others, 2, ["a"], all_between=False)[0] == 0
    assert differences(others, small, 2, ["a"], all_between=False)[0] == difference(
        small[2]["a"], small[0]["a"]
    )


def test_motion_is_in_standard_deviations_of_the_dataset():
    of = replace(trace(6), state_std=np.array([1.0, 2.0, 4.0]))
    change = (of.states[4] - of.states[2]) / [1, 2, 4]
    assert motions(of, 2).shape == (4,)
    assert motions(of, 2)[2] == pytest.approx(np.linalg.norm(change))


class Server:
    """Sees the brightness of the first camera, and predicts the number of the inference."""

    def __init__(self, has_glance=False, has_gate=True):
        self.config = SimpleNamespace(use_cls_head=has_gate)
        self.state_std, self.seeds = np.array([2.0]), []
        self.glance = self if has_glance else None

    def remove_session(self, name):
        self.count = 0

    def session(self, name):
        return SimpleNamespace()

    def seed(self, seed):
        self.seeds.append(seed)

    def infer(self, observation, session):
        brightness = float(observation.images["front"].mean())
        out = torch.tensor([[[brightness, 1.0], [float(self.count), 1.0]]])
        self.count += 1
        return SimpleNamespace(obs_cls_out=out, actions=np.full((2, 1), brightness))

    def preprocess(self, observation):
        return SimpleNamespace(state=torch.from_numpy(observation.state) / 10)

    def look(self, images, state):
        return sorted(images), float(state)


class Recorded:
    name, task, skipped = "some", "open", Counter()

    def __init__(self, frames=4, events=None):
        random = np.random.default_rng(0)
        self.events = events
        self.pictures = random.integers(50, 200, (frames, 48, 64, 3), dtype=np.uint8)

    def frames(self, rate_hz=None):
        assert rate_hz is None
        for n, picture in enumerate(self.pictures):
            images = {"front": picture, "wrist": picture}
            yield Frame(Observation(images, np.array([5.0 * n]), "open", n / 10), None)


def test_a_trace_has_what_is_known_of_each_frame():
    server, steps = Server(has_glance=True), []
    events = [Event(0.1, "object_moved", True)]
    of = record(
        server,
        Recorded(events=events),
        guarded=["front"],
        seed=5,
        on_frame=lambda: steps.append(1),
    )
    assert len(of) == len(steps) == 4
    assert (of.name, of.events, of.disturbed) == ("some", events, {})
    assert of.stamps_s == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert of.states.tolist() == [[0.0], [5.0], [10.0], [15.0]]
    assert motions(of, 1) == pytest.approx([2.5] * 3)
    assert of.obs_cls_out[:, 1, 0].tolist() == [0, 1, 2, 3]
    assert of.actions[:, 0, 0] == pytest.approx(Recorded().pictures.mean((1, 2, 3)))
    assert [set(small) for small in of.thumbnails] == [{"front"}] * 4
    assert of.looks == [(["front"], 0.5 * n) for n in range(4)]
    assert server.seeds == [5]


def test_changes_are_made_where_that_is_asked_for():
    of = record(server := Server(), Recorded(), inject=True, seed=5)
    assert set(of.disturbed) == {PATCHED_FRAMES, DIMMED_FRAMES}
    assert of.has_made_changes
    usual, dim = of.obs_cls_out[:, 0, 0], of.disturbed[DIMMED_FRAMES][:, 0, 0]
    assert dim.numpy() == pytest.approx(0.8 * usual.numpy(), rel=0.01)
    assert (of.disturbed[PATCHED_FRAMES][:, 0, 0] != usual).all()
    assert server.seeds == [5, 5, 5]  # the same noise for all
    assert of.looks == of.thumbnails == []


def test_nuisances_are_run_over_the_same_frames():
    of = record(server := Server(), Recorded(), nuisances=["light_sudden"], seed=5)
    assert set(of.disturbed) == {"light_sudden"}
    assert not of.has_made_changes
    usual, dim = of.obs_cls_out[:, 0, 0], of.disturbed["light_sudden"][:, 0, 0]
    assert dim.numpy() == pytest.approx(0.6 * usual.numpy(), rel=0.01)
    assert server.seeds == [5, 5]


def test_what_has_no_gate_or_too_few_frames_is_refused():
    with pytest.raises(ValueError, match="no CLS head"):
        record(Server(has_gate=False), Recorded())
    with pytest.raises(ValueError, match="some has 1 frames"):
        record(Server(), Recorded(frames=1))
