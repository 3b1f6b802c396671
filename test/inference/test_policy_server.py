import copy
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
from lerobot.processor import AbsoluteActionsProcessorStep, RelativeActionsProcessorStep

from cls_vla_ros.inference import (
    Handover,
    Observation,
    PolicyServer,
    Reason,
    ReuseLimits,
    batch_mean,
    load_policy,
)

MEAN, STD = np.array([1.0, -1.0, 0.0]), np.array([0.5, 0.5, 2.0])  # of the actions, in conftest

FRONT, WRIST = "observation.images.front", "observation.images.wrist"
PICTURE = np.zeros((8, 8, 3), np.uint8)


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


def test_processors_begin_anew_with_each_episode_and_each_robot(
    server, make_observation, monkeypatch
):
    """A step may remember: what it remembers of one replay has no part in the next."""
    began = []
    for name, processor in (("pre", server.preprocess), ("post", server._postprocessor)):
        monkeypatch.setattr(processor, "reset", lambda name=name: began.append(name))

    def resets(session="left") -> int:
        began.clear()
        server.infer(make_observation(), session)
        assert began.count("pre") == began.count("post")
        return began.count("pre")

    assert [resets(), resets()] == [1, 0]
    assert [resets("right"), resets(), resets()] == [1, 1, 0]
    server.reset("left")
    assert [resets(), resets()] == [1, 0]
    server.remove_session("left")  # as each replay of an episode begins
    assert [resets(), resets()] == [1, 0]


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
    assert actions.shape == (50, 3)
    np.testing.assert_allclose(actions, normalised * STD + MEAN, atol=1e-4)


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
    denoise = server.engine.denoise

    def slow(*args, **kwargs):
        began.set()
        assert go_on.wait(10)
        return denoise(*args, **kwargs)

    monkeypatch.setattr(server.engine, "denoise", slow)
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
            server.engine, "denoise", lambda *a, **k: (_ for _ in ()).throw(RuntimeError("lost"))
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
                patch.setattr(server.engine, "denoise", lambda *a, **k: 1 / 0)
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
        ({"stamp_s": math.nan}, "stamp_s"),
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


# Reuse


@pytest.fixture
def reusing(loaded):
    """A server whose gate lets everything through and whose cameras stand still."""
    server = PolicyServer(*loaded, seed=0)
    server.session().threshold = -1.0
    server.session().limits = ReuseLimits(
        allow_untrained=True, guard_frozen=False, max_reuses=100, max_age_s=100.0
    )
    return server


def test_a_reused_inference_is_a_full_one_with_the_new_state(loaded, reusing, make_observation):
    """With unchanged pictures and instruction: the same actions, from the same noise."""
    first = make_observation(0)
    moved = replace(first, state=first.state + 0.5, stamp_s=0.1)
    reusing.infer(first)
    reused = reusing.infer(moved)
    assert reused.prefix_reused
    assert reused.reason is Reason.REUSED
    full = PolicyServer(*loaded, seed=0)
    full.infer(first)
    computed = full.infer(moved)
    assert not computed.prefix_reused
    np.testing.assert_allclose(reused.actions, computed.actions, atol=1e-5)


def test_a_reuse_says_its_age_its_number_and_its_times(reusing, make_observation):
    first = make_observation(0)
    full = reusing.infer(first)
    assert (full.cache_length, full.cache_age_s, full.consecutive_reuses) == (1, 0.0, 0)
    assert full.prefix_ms > 0
    assert full.refresh_ms == 0
    for number in (1, 2):
        reused = reusing.infer(replace(first, stamp_s=0.1 * number))
        assert reused.cache_age_s == pytest.approx(0.1 * number)
        assert reused.consecutive_reuses == number
        assert reused.prefix_ms == 0
        assert reused.refresh_ms > 0
        assert reused.decision is not None  # the last one
        assert reused.reuse_rate == pytest.approx(number / (number + 1))


def test_the_guard_looks_at_the_pictures(reusing, make_observation):
    reusing.infer(make_observation(0))
    other = make_observation(1, stamp_s=0.1)
    assert reusing.infer(other).reason is Reason.FRAME_DIFFERENT
    reusing.reset()
    names = frozenset(make_observation().images)
    reusing.session().limits = replace(reusing.session().limits, unguarded=names)
    reusing.infer(make_observation(0))
    assert reusing.infer(other).prefix_reused


def test_a_reuse_that_raises_is_not_tried_again(reusing, make_observation):
    observation = make_observation(0)
    reusing.infer(observation)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reusing.engine, "denoise", lambda *a, **k: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            reusing.infer(replace(observation, stamp_s=0.1))
    assert reusing.infer(replace(observation, stamp_s=0.2)).reason is Reason.PREVIOUS_ERROR


def test_sessions_do_not_mix(reusing, make_observation):
    reusing.infer(make_observation(0), "left")
    right = reusing.infer(make_observation(0), "right")
    assert not right.decision.has_history
    assert right.reason is Reason.NO_HISTORY
    assert reusing.reset("left") == 1
    assert reusing.session("right").episode == 0
    assert reusing.infer(make_observation(0), "right").decision.has_history
    assert not reusing.infer(make_observation(0), "left").decision.has_history


def test_a_batch_of_sessions_is_each_sessions_own_inference(loaded, make_observation, monkeypatch):
    """With instructions of other lengths, and one session that reuses."""
    alone, together = PolicyServer(*loaded), PolicyServer(*loaded)
    noise = torch.randn(1, 50, 32)
    for server in (alone, together):
        monkeypatch.setattr(server._noise, "draw", lambda who: noise.repeat(len(who), 1, 1))
        server.session("c").limits = ReuseLimits(allow_untrained=True, guard_frozen=False)
        server.session("c").threshold = -1.0
        server.infer(make_observation(3), "c")
    observations = {
        "a": make_observation(1, task="open"),
        "b": make_observation(2, task="open the upper drawer"),
        "c": make_observation(3, stamp_s=0.1),
    }
    for _ in range(2):
        batch = together.infer_batch(observations)
        for name, observation in observations.items():
            single = alone.infer(observation, name)
            assert batch[name].reason is single.reason
            np.testing.assert_allclose(batch[name].actions, single.actions, atol=1e-4)
            torch.testing.assert_close(
                batch[name].obs_cls_out, single.obs_cls_out, atol=1e-5, rtol=0
            )
            assert batch[name].decision.has_history == single.decision.has_history
    mean, should_cache = batch_mean(batch)
    by_hand = [i.decision.similarity for i in batch.values() if i.decision.has_history]
    assert mean == pytest.approx(np.mean(by_hand))
    thresholds = [i.decision.threshold for i in batch.values() if i.decision.has_history]
    assert should_cache == (mean > np.mean(thresholds))


def test_noise_of_its_own_makes_a_session_what_it_is_alone(loaded, make_observation):
    """Whatever others infer meanwhile, and in whatever batches."""
    alone, together = PolicyServer(*loaded), PolicyServer(*loaded)
    alone.seed(7, "a")
    together.seed(7, "a")
    expected = [alone.infer(make_observation(n, stamp_s=n / 10), "a").actions for n in range(3)]
    seen = [make_observation(n, stamp_s=n / 10) for n in range(3)]
    made = [together.infer(seen[0], "a").actions]
    together.infer(make_observation(5), "b")
    made.append(together.infer_batch({"b": make_observation(6), "a": seen[1]})["a"].actions)
    made.append(together.infer(seen[2], "a", episode=0).actions)
    np.testing.assert_allclose(made, expected, atol=1e-5)


def test_a_batch_knows_each_episode(loaded, make_observation):
    server = PolicyServer(*loaded, episode=3)
    server.reset("a")
    batch = server.infer_batch({"a": make_observation(), "b": make_observation()}, {"a": 3})
    assert (batch["a"].episode, batch["b"].episode) == (3, 3)
    assert server.session("a").statistics.inferences == 0  # it was one of the past
    assert server.session("b").statistics.inferences == 1


def test_a_batch_without_any_history_may_be_cached(loaded, make_observation):
    inferences = PolicyServer(*loaded).infer_batch({"a": make_observation()})
    mean, should_cache = batch_mean(inferences)
    assert math.isnan(mean)
    assert should_cache


def test_eight_threads_on_shared_and_separate_sessions(reusing, make_observation):
    """No deadlock; each chunk is of the episode that its session had when it began, or later."""
    problems = []

    def work(number):
        name = "shared" if number % 2 else f"own {number}"
        for i in range(6):
            if i % 3 == 2:
                reusing.reset(name)
                continue
            before = reusing.session(name).episode
            inference = reusing.infer(make_observation(number, stamp_s=0.1 * i), name)
            if inference.episode < before:
                problems.append((name, before, inference.episode))
        if name != "shared" and reusing.session(name).episode != 2:
            problems.append(name)

    threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert not problems


def test_one_robots_fault_leaves_the_others_as_they_were(reusing, make_observation, monkeypatch):
    reusing.session("good").limits = reusing.session().limits
    reusing.infer(make_observation(0), "good")
    reusing.session("good").threshold = -1.0
    encode = reusing.engine.encode_prefix

    def with_nan(samples):
        (prefix,) = prefixes = encode(samples)
        prefix.obs_cls_out.fill_(math.nan)
        return prefixes

    with monkeypatch.context() as patch:
        patch.setattr(reusing.engine, "encode_prefix", with_nan)
        with pytest.raises(ValueError, match="NaN"):
            reusing.infer_batch(
                {"good": make_observation(0, stamp_s=0.1), "bad": make_observation(1)}
            )
    assert reusing.session("good").consecutive_reuses == 0
    assert reusing.session("good").statistics.inferences == 1
    assert not reusing.infer(make_observation(1), "bad").decision.has_history
    assert reusing.infer(make_observation(0, stamp_s=0.2), "good").prefix_reused


def test_relative_actions_of_a_batch_are_relative_to_each_robots_own_state(
    loaded, make_observation
):
    policy, preprocessor, postprocessor = loaded
    relative = RelativeActionsProcessorStep(enabled=True)
    absolute = AbsoluteActionsProcessorStep(enabled=True, relative_step=relative)
    pre, post = copy.copy(preprocessor), copy.copy(postprocessor)
    pre.steps, post.steps = [*pre.steps, relative], [absolute, *post.steps]
    observations = {
        name: replace(make_observation(0), state=np.full(3, value, np.float32))
        for name, value in (("left", 0.0), ("right", 100.0))
    }
    noise = torch.randn(1, 50, 32)
    servers = [PolicyServer(policy, pre, post) for _ in range(2)]
    for server in servers:
        server._noise.draw = lambda who: noise.repeat(len(who), 1, 1)
    batch = servers[0].infer_batch(observations)
    for name, observation in observations.items():
        single = servers[1].infer(observation, name)
        np.testing.assert_allclose(batch[name].actions, single.actions, atol=1e-3)


def test_a_prefix_that_made_nan_is_not_used_again(reusing, make_observation, monkeypatch):
    reusing.infer(make_observation(0))
    with monkeypatch.context() as patch:
        denoise = reusing.engine.denoise
        patch.setattr(reusing.engine, "denoise", lambda *a, **k: denoise(*a, **k) * math.nan)
        assert np.isnan(reusing.infer(make_observation(0, stamp_s=0.1)).actions).all()
    assert reusing.infer(make_observation(0, stamp_s=0.2)).reason is Reason.PREVIOUS_ERROR


def test_a_session_can_be_removed(reusing, make_observation):
    reusing.infer(make_observation(0), "gone")
    reusing.remove_session("gone")
    assert not reusing.infer(make_observation(0), "gone").decision.has_history


def test_with_a_handover_a_chunk_goes_on_from_the_last_one(server, make_observation, monkeypatch):
    guides = []
    denoise = server.engine.denoise

    def spy(*args, **kwargs):
        guides.append(kwargs["guides"][0])
        return denoise(*args, **kwargs)

    monkeypatch.setattr(server.engine, "denoise", spy)
    handover = Handover(dt_s=0.05, delay_s=0.12)

    def infer(stamp_s, **kwargs):
        inference = server.infer(make_observation(stamp_s=stamp_s), **kwargs)
        return torch.tensor((inference.actions - MEAN) / STD).float(), guides[-1]

    first, guide = infer(1.0, handover=handover)
    assert guide is None
    second, guide = infer(1.5, handover=handover)  # ten steps later
    torch.testing.assert_close(guide.left_over, first[10:], atol=1e-5, rtol=1e-5)
    assert guide.inference_delay == 3
    assert (second[:3] - first[10:13]).abs().max() < 0.2 * (second[40:] - first[:10]).abs().max()
    assert infer(1.6)[1] is None  # not asked for
    assert infer(5.0, handover=handover)[1] is None  # the last one is over
    assert infer(4.0, handover=handover)[1] is None  # it has not begun
    infer(4.1, handover=handover)
    server.reset()
    assert infer(4.2, handover=handover)[1] is None


def without(observation: Observation, camera: str) -> Observation:
    return replace(
        observation, images={n: i for n, i in observation.images.items() if n != camera}
    )


def test_pictures_that_nobody_gives_are_left_out_and_named_once(loaded, make_observation, caplog):
    server = PolicyServer(*loaded, seed=0)
    for stamp_s in (0.0, 0.1):
        server.infer(without(make_observation(stamp_s=stamp_s), WRIST))
    (said,) = [r.getMessage() for r in caplog.records if "nobody gives" in r.getMessage()]
    assert f"the pictures ['{WRIST}']" in said
    assert f"on ['{FRONT}'] alone" in said
    with pytest.raises(ValueError, match="has the pictures \\[\\], the policy takes"):
        server.infer(replace(make_observation(), images={}))
    with pytest.raises(ValueError, match="some of them"):
        server.infer(replace(make_observation(), images={"observation.images.x": PICTURE}))


def test_a_picture_that_is_announced_must_come(loaded, make_observation, caplog):
    server = PolicyServer(*loaded, seed=0, cameras=[FRONT])
    assert sum("nobody gives" in r.getMessage() for r in caplog.records) == 1
    server.warm_up(lambda line: None)
    any_server = PolicyServer(*loaded, seed=0)
    observation = without(make_observation(), WRIST)
    np.testing.assert_array_equal(
        server.infer(observation).actions, any_server.infer(observation).actions
    )
    with pytest.raises(ValueError, match="the policy is run on"):
        server.infer(make_observation())
    with pytest.raises(ValueError, match="the policy is run on"):
        server.infer(without(make_observation(), FRONT))


def test_a_camera_that_comes_or_goes_is_no_reuse(reusing, make_observation):
    reusing.infer(make_observation())
    less = reusing.infer(without(make_observation(stamp_s=0.1), WRIST))
    assert less.reason is Reason.CAMERAS_CHANGED
    assert reusing.infer(without(make_observation(stamp_s=0.2), WRIST)).prefix_reused
    assert reusing.infer(make_observation(stamp_s=0.3)).reason is Reason.CAMERAS_CHANGED


def test_a_batch_may_mix_robots_with_one_and_with_two_cameras(
    loaded, make_observation, monkeypatch
):
    observations = {
        "two": make_observation(1),
        "one": without(make_observation(2), FRONT),
        "also two": make_observation(3),
    }
    noise = torch.randn(1, 50, 32)
    alone, together = PolicyServer(*loaded), PolicyServer(*loaded)
    for server in (alone, together):
        monkeypatch.setattr(server._noise, "draw", lambda who: noise.repeat(len(who), 1, 1))
    batch = together.infer_batch(observations)
    for name, observation in observations.items():
        np.testing.assert_allclose(
            batch[name].actions, alone.infer(observation, name).actions, atol=1e-4
        )
    assert batch["one"].denoise_ms == batch["two"].denoise_ms > 0
