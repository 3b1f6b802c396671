"""The guide that this project comes from, part by part: each test does what that part shows.

Where the guide contradicts itself, the test does what we decided, and says so.
"""

import threading
from collections import Counter
from dataclasses import replace

import pytest
import torch
from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy

from cls_vla_ros.inference import PolicyServer, load_policy
from cls_vla_ros.inference.reuse.prefix_cache import MAX_ENTRIES
from cls_vla_ros.policy import CLSSmolVLAConfig, CLSSmolVLAPolicy
from cls_vla_ros.policy.checkpoint.random_checkpoint import random_config
from cls_vla_ros.policy.thresholds import THRESHOLD_PRESETS


@pytest.fixture
def policy(checkpoint):
    policy = CLSSmolVLAPolicy.from_pretrained(checkpoint)
    policy.config.num_steps = 1
    return policy


@pytest.fixture
def observe():
    """A batch as the checkpoint's preprocessor makes it; the scene is the seed's."""

    def make(seed: int = 0, batch_size: int = 1) -> dict[str, torch.Tensor]:
        random = torch.Generator().manual_seed(seed)
        return {
            "observation.images.front": torch.rand(batch_size, 3, 48, 64, generator=random),
            "observation.images.wrist": torch.rand(batch_size, 3, 60, 60, generator=random),
            "observation.state": torch.randn(batch_size, 3, generator=random),
            "observation.language.tokens": torch.full((batch_size, 4), 100),
            "observation.language.attention_mask": torch.ones(batch_size, 4, dtype=torch.bool),
        }

    return make


def test_basic_use_1_a_single_prediction(policy, observe):
    """With lerobot's keys; the guide's own get an error that names them."""
    assert policy.predict_action_chunk(observe()).shape == (1, 50, 3)
    with pytest.raises(ValueError, match=r"observation\.images\.camera0"):
        policy.predict_action_chunk(observe() | {"obs.images.camera0": torch.zeros(1)})


def test_basic_use_2_with_the_similarity(policy, observe):
    for _ in range(2):
        result = policy.predict_action_chunk(observe(), compute_cls_similarity=True)
        assert isinstance(result, tuple)
        actions, obs_cls_out, should_cache = result
        assert actions.shape == (1, 50, 3)
        assert obs_cls_out.shape == (1, 2, 64)
        assert isinstance(should_cache, bool)
    assert policy.last_decision.has_history


def test_basic_use_3_in_a_loop(policy, observe):
    policy.reset()
    decisions = []
    for step in range(4):
        _, _, should_cache = policy.predict_action_chunk(
            observe(step), compute_cls_similarity=True
        )
        decisions.append((policy.last_decision.has_history, should_cache))
    assert decisions[0] == (False, True)
    assert all(has_history for has_history, _ in decisions[1:])


class GuidesServer:
    """The guide's first PolicyServer: a queue of what was seen while the scene is as predicted."""

    def __init__(self, policy):
        self.policy, self.kv_cache_queue = policy, []

    def predict(self, batch):
        actions, obs_cls_out, should_cache = self.policy.predict_action_chunk(
            batch, compute_cls_similarity=True
        )
        if should_cache:
            self.kv_cache_queue.append({"obs_cls_out": obs_cls_out.cpu()})
            if len(self.kv_cache_queue) > MAX_ENTRIES:
                self.kv_cache_queue.pop(0)
        else:
            self.kv_cache_queue.clear()
        return actions


def test_policy_server(policy, observe):
    server = GuidesServer(policy)
    policy.config.cls_similarity_threshold = -1.0
    for step in range(12):
        server.predict(observe(step))
    assert len(server.kv_cache_queue) == 10
    policy.config.cls_similarity_threshold = 1.0
    server.predict(observe(0))
    assert not server.kv_cache_queue


def test_advanced_policy_server(policy, observe):
    """cal_cache first, then past_key_values with the similarity: the tuple is complete.

    The guide returns obs_cls_out from a call that did not run the prefix. Here the cache carries
    the one that it was computed with.
    """
    policy.config.cls_similarity_threshold = -1.0
    previous = None
    for step in range(3):
        batch = observe(step)
        past_key_values, prefix_pad_masks, delta = policy.predict_action_chunk(
            batch, cal_cache=True, action_context=None
        )
        assert delta is None
        actions, obs_cls_out, should_cache = policy.predict_action_chunk(
            batch,
            past_key_values=past_key_values,
            prefix_pad_masks=prefix_pad_masks,
            compute_cls_similarity=True,
        )
        assert actions.shape == (1, 50, 3)
        assert should_cache
        if previous is not None:
            by_hand = torch.cosine_similarity(obs_cls_out[0, 0], previous[0, 1], dim=0).item()
            assert policy.last_decision.similarity == pytest.approx(by_hand, abs=1e-6)
        previous = obs_cls_out


@pytest.mark.parametrize(
    ("name", "threshold"), [("strict", 0.7), ("balanced", 0.5), ("relaxed", 0.3)]
)
def test_threshold_settings(name, threshold):
    """The guide calls 0.3 strict and 0.7 relaxed; its own rule says the reverse."""
    assert THRESHOLD_PRESETS[name] == threshold
    config = CLSSmolVLAConfig(cls_similarity_threshold=name, device="cpu")
    assert config.cls_similarity_threshold == threshold


def test_adaptive_threshold(checkpoint, make_observation):
    """A hit rate of zero lowers the threshold. (The guide raises it, which keeps it at zero.)"""
    server = PolicyServer(*load_policy(checkpoint, "cpu"), seed=0)
    server.config.num_steps = 1
    session = server.session()
    session.limits = replace(session.limits, adaptive=True, enabled=False)
    session.threshold = 0.8
    for step in range(45):
        server.infer(make_observation(step))
    assert session.threshold == pytest.approx(0.7)


def test_monitoring_by_hand(policy, observe):
    """The guide's arithmetic, on the attribute as it is before a call: afterwards it moved on."""
    assert policy._prev_obs_cls_out is None
    for step in range(3):
        before = policy._prev_obs_cls_out
        _, obs_cls_out, _ = policy.predict_action_chunk(observe(step), compute_cls_similarity=True)
        assert torch.equal(policy._prev_obs_cls_out, obs_cls_out)
        if before is not None:
            current = torch.nn.functional.normalize(obs_cls_out[:, 0, :], p=2, dim=-1)
            predicted = torch.nn.functional.normalize(before[:, 1, :], p=2, dim=-1)
            similarity = torch.mean(torch.sum(current * predicted, dim=-1)).item()
            assert policy.last_decision.similarity == pytest.approx(similarity, abs=1e-6)
    policy.reset()
    assert policy._prev_obs_cls_out is None


def test_a_head_cannot_be_had_by_saying_so(vlm, observe):
    cameras = {"observation.images.front": (48, 64), "observation.images.wrist": (60, 60)}
    config = random_config(CLSSmolVLAConfig, vlm, cameras, 3, 3, use_cls_head=False, num_steps=1)
    policy = CLSSmolVLAPolicy(config).eval()
    assert policy.predict_action_chunk(observe()).shape == (1, 50, 3)
    policy.config.use_cls_head = True
    for call in (
        lambda: policy.predict_action_chunk(observe(), compute_cls_similarity=True),
        lambda: policy.predict_action_chunk(observe()),
        lambda: policy.encode_prefix(observe()),
        lambda: policy.forward(observe()),
    ):
        with pytest.raises(ValueError, match=r"made without a CLS head.*use_cls_head=True\)"):
            call()


def test_monitoring_the_similarity(policy, observe):
    """From the decision. The guide recomputes it from an attribute that has moved on already."""
    history, previous = [], None
    for step in range(4):
        _, obs_cls_out, should_cache = policy.predict_action_chunk(
            observe(step), compute_cls_similarity=True
        )
        decision = policy.last_decision
        if decision.has_history:
            history.append(decision.similarity)
            by_hand = torch.cosine_similarity(obs_cls_out[0, 0], previous[0, 1], dim=0).item()
            assert history[-1] == pytest.approx(by_hand, abs=1e-6)
            assert should_cache == (history[-1] > decision.threshold)
        previous = obs_cls_out
    assert len(history) == 3


def test_cache_statistics(checkpoint, make_observation):
    server = PolicyServer(*load_policy(checkpoint, "cpu"), seed=0)
    server.config.num_steps = 1
    counted = Counter()
    for step in range(6):
        inference = server.infer(make_observation(step))
        counted["cached" if inference.decision.should_cache else "not_cached"] += 1
    statistics = server.session().statistics
    assert (statistics.cached, statistics.not_cached) == (counted["cached"], counted["not_cached"])
    assert statistics.hit_rate == pytest.approx(counted["cached"] / 6)


def test_environment_reset(policy, observe):
    for _ in range(2):
        policy.reset()
        policy.predict_action_chunk(observe(), compute_cls_similarity=True)
        assert not policy.last_decision.has_history


def test_batch(policy, observe):
    """The decision is of the mean; each sample's similarity is there too."""
    policy.predict_action_chunk(observe(0, batch_size=2), compute_cls_similarity=True)
    _, _, should_cache = policy.predict_action_chunk(
        observe(1, batch_size=2), compute_cls_similarity=True
    )
    decision = policy.last_decision
    assert len(decision.per_sample) == 2
    assert decision.similarity == pytest.approx(sum(decision.per_sample) / 2)
    assert should_cache == (decision.similarity > 0.5)


def test_threads(checkpoint, make_observation):
    """One policy for several robots: each has a session, so no history is another's."""
    server = PolicyServer(*load_policy(checkpoint, "cpu"), seed=0)
    server.config.num_steps = 1
    firsts = {}

    def robot(name):
        inferences = [server.infer(make_observation(step), name) for step in range(3)]
        firsts[name] = [i.decision.has_history for i in inferences]

    threads = [threading.Thread(target=robot, args=(f"robot {n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert firsts == {f"robot {n}": [False, True, True] for n in range(4)}


def test_robot_control_loop(stock_checkpoint, observe):
    """From a stock checkpoint. The guide's actions[0] is no action but the first robot's chunk."""
    policy = CLSSmolVLAPolicy.from_pretrained(stock_checkpoint)
    assert policy.config.use_cls_head
    assert not policy.config.cls_head_trained
    stats = Counter()
    for _ in range(2):
        policy.reset()
        for step in range(3):
            actions, _, should_cache = policy.predict_action_chunk(
                observe(step), compute_cls_similarity=True
            )
            stats["cached" if should_cache else "not_cached"] += 1
            (chunk,) = actions
            assert chunk.shape == (50, 3)
            assert chunk[0].shape == (3,)
    assert sum(stats.values()) == 6
    assert stats["cached"] >= 2  # the first of each episode


@pytest.fixture
def stock_checkpoint(checkpoint, tmp_path):
    cameras = {"observation.images.front": (48, 64), "observation.images.wrist": (60, 60)}
    config = random_config(SmolVLAConfig, checkpoint / "vlm", cameras, 3, 3, num_steps=1)
    SmolVLAPolicy(config).save_pretrained(tmp_path)
    return tmp_path
