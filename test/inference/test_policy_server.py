import math
import threading
from dataclasses import replace
from itertools import pairwise

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import HealthCheck, given, settings

from cls_vla_ros.inference import PolicyServer, load_policy


@pytest.fixture(scope="module")
def loaded(checkpoint):
    policy, preprocessor, postprocessor = load_policy(checkpoint, "cpu")
    policy.config.num_steps = 1  # the gate does not depend on it, and the tests are quicker
    return policy, preprocessor, postprocessor


@pytest.fixture
def server(loaded):
    return PolicyServer(*loaded, seed=0)


def test_first_inference_and_first_after_reset_have_no_history(server, make_observation):
    for _ in range(2):
        server.reset()
        decision = server.infer(make_observation()).decision
        assert not decision.has_history
        assert math.isnan(decision.similarity)
        assert decision.should_cache
        assert server.infer(make_observation()).decision.has_history


def test_the_similarity_is_the_cosine_by_hand(server, make_observation):
    inferences = [server.infer(make_observation(seed)) for seed in range(5)]
    for previous, now in pairwise(inferences):
        by_hand = F.cosine_similarity(
            now.obs_cls_out[0, 0], previous.obs_cls_out[0, 1], dim=0
        ).item()
        assert now.decision.similarity == pytest.approx(by_hand, abs=1e-6)


def test_actions_are_in_the_units_of_the_dataset(loaded, make_observation):
    """They are those of the policy, unnormalised with the checkpoint's statistics."""
    policy, preprocessor, _ = loaded
    observation = make_observation()
    actions = PolicyServer(*loaded, seed=3).infer(observation).actions
    batch = {
        name: torch.tensor(image).permute(2, 0, 1)[None] / 255
        for name, image in observation.images.items()
    }
    batch = preprocessor(
        batch
        | {"observation.state": torch.tensor(observation.state)[None], "task": observation.task}
    )
    noise = torch.randn(1, 50, 32, generator=torch.Generator().manual_seed(3))
    normalised = policy.predict_action_chunk(batch, noise=noise)[0].numpy()
    mean, std = np.array([1.0, -1.0, 0.0]), np.array([0.5, 0.5, 2.0])
    assert actions.shape == (50, 3)
    np.testing.assert_allclose(actions, normalised * std + mean, atol=1e-4)


def test_the_same_seed_gives_the_same_actions(loaded, make_observation):
    one, two, other = (
        PolicyServer(*loaded, seed=s).infer(make_observation()).actions for s in (1, 1, 2)
    )
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


def test_the_task_is_seen(server, make_observation):
    outs = [
        server.infer(make_observation(task=task)).obs_cls_out
        for task in ("open", "close the door")
    ]
    assert not torch.allclose(*outs, atol=1e-4)


def test_times_are_of_the_parts(server, make_observation):
    inference = server.infer(make_observation())
    assert inference.prefix_ms > 0
    assert inference.denoise_ms > 0
    assert inference.total_ms >= inference.prefix_ms + inference.denoise_ms


def test_hit_rate_counts_the_decisions_of_the_episode(server, make_observation):
    server.session().threshold = 1.0  # nothing is above it
    server.reset()
    rates = [server.infer(make_observation(seed)).hit_rate for seed in range(4)]
    assert rates == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4])
    server.session().threshold = -1.0
    assert server.infer(make_observation(9)).hit_rate == pytest.approx(2 / 5)
    server.reset()
    assert server.infer(make_observation()).hit_rate == 1


def test_an_inference_overtaken_by_a_reset_leaves_no_history(
    server, make_observation, monkeypatch
):
    began, go_on = threading.Event(), threading.Event()
    denoise = server.policy.denoise

    def slow(*args, **kwargs):
        began.set()
        assert go_on.wait(10)
        return denoise(*args, **kwargs)

    monkeypatch.setattr(server.policy, "denoise", slow)
    results = []
    thread = threading.Thread(target=lambda: results.append(server.infer(make_observation())))
    thread.start()
    assert began.wait(10)
    episode = server.reset()  # does not wait for the inference
    go_on.set()
    thread.join(10)
    assert results[0].episode == episode - 1
    assert not server.infer(make_observation()).decision.has_history


def test_an_observation_of_a_past_episode_leaves_no_history(server, make_observation):
    old = server.session().episode
    server.reset()
    assert server.infer(make_observation(), episode=old).episode == old
    assert not server.infer(make_observation()).decision.has_history


def test_a_failed_inference_is_not_the_history(server, make_observation, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(
            server.policy, "denoise", lambda *a: (_ for _ in ()).throw(RuntimeError("lost"))
        )
        with pytest.raises(RuntimeError, match="lost"):
            server.infer(make_observation())
    assert not server.infer(make_observation()).decision.has_history


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=st.lists(st.sampled_from(["infer", "reset", "stale", "fail", "bad"]), max_size=12))
def test_history_is_that_of_the_previous_full_inference(loaded, make_observation, steps):
    server = PolicyServer(*loaded, seed=0)
    previous = None
    for seed, step in enumerate(steps):
        observation = make_observation(seed)
        if step == "reset":
            server.reset()
            previous = None
        elif step == "stale":
            server.infer(observation, episode=server.session().episode - 1)
        elif step == "bad":
            with pytest.raises(ValueError, match="NaN"):
                server.infer(replace(observation, state=np.full(3, np.nan, np.float32)))
        elif step == "fail":
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(server.policy, "denoise", lambda *a: 1 / 0)
                with pytest.raises(ZeroDivisionError):
                    server.infer(observation)
        else:
            inference = server.infer(observation)
            assert inference.decision.has_history == (previous is not None)
            if previous is not None:
                by_hand = F.cosine_similarity(inference.obs_cls_out[0, 0], previous[0, 1], dim=0)
                assert inference.decision.similarity == pytest.approx(by_hand.item(), abs=1e-6)
            previous = inference.obs_cls_out


def test_threads_that_infer_and_reset_end(server, make_observation):
    def work(seed):
        for i in range(5):
            if (seed + i) % 3 == 0:
                server.reset()
            else:
                assert server.infer(make_observation(seed)).actions.shape == (50, 3)

    threads = [threading.Thread(target=work, args=(seed,), daemon=True) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)


def test_without_cls_head_there_is_no_decision(loaded, make_observation, monkeypatch):
    policy = loaded[0]
    monkeypatch.setattr(policy.config, "use_cls_head", False)
    inference = PolicyServer(*loaded, seed=0).infer(make_observation())
    assert inference.decision is None
    assert inference.obs_cls_out is None
    assert math.isnan(inference.hit_rate)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"images": {}}, "observation.images.front"),
        ({"state": np.zeros(4, np.float32)}, r"\(3,\) float32, got \(4,\)"),
        ({"state": np.zeros(3)}, "float64"),
        ({"state": np.array([0, np.inf, 0], np.float32)}, "infinity"),
    ],
)
def test_an_observation_that_does_not_fit_is_refused(server, make_observation, change, said):
    with pytest.raises(ValueError, match=said):
        server.infer(replace(make_observation(), **change))


def test_a_picture_that_is_not_rgb_is_refused(server, make_observation):
    observation = make_observation()
    observation.images["observation.images.front"] = np.zeros((48, 64), np.uint8)
    with pytest.raises(ValueError, match=r"observation\.images\.front must be"):
        server.infer(observation)


def test_pictures_of_any_size_are_taken(server, make_observation):
    observation = make_observation()
    observation.images["observation.images.front"] = np.zeros((480, 640, 3), np.uint8)
    assert np.isfinite(server.infer(observation).actions).all()
