"""The engine computes what the policy computes, whatever the order of calls."""

from dataclasses import replace

import hypothesis.strategies as st
import pytest
import torch
from fixtures.policies import CAMERAS
from hypothesis import HealthCheck, example, given, settings

from cls_vla_ros.engine import DeviceFailedError
from cls_vla_ros.engine.memory.workspace import MAX_PICTURE_SIZES, MAX_WORKSPACES

VARIANTS = {
    "without CLS head": {"use_cls_head": False},
    "bidirectional": {},
    "readout": {"cls_attention": "readout"},
    "a CLS adapter": {"cls_adapter_width": 16},
    "a CLS adapter in readout": {"cls_adapter_width": 8, "cls_attention": "readout"},
    "three CLS tokens": {"num_cls_prefix": 3, "cls_attention": "readout"},
    "special tokens around pictures": {"add_image_special_tokens": True},
    "self-attention everywhere": {"attention_mode": "self_attn"},
    "cross-attention everywhere": {"self_attn_every_n_layers": -1},
    "cross-attention in two of three layers": {"self_attn_every_n_layers": 3},
    "a padded prefix": {"prefix_length": 120},
    "padded language": {"pad_language_to": "max_length"},
    "an empty camera": {"empty_cameras": 1},
    "special tokens around empty pictures": {
        "add_image_special_tokens": True,
        "empty_cameras": 2,
    },
    "other lengths": {"num_steps": 3, "chunk_size": 7, "n_action_steps": 7},
    "a narrow expert": {"expert_width_multiplier": 0.5},
    "larger pictures": {"resize_imgs_with_padding": (64, 64)},
}
CLOSE = {"atol": 2e-5, "rtol": 1e-4}  # another order of sums, through four layers and ten steps


@pytest.mark.parametrize("overrides", VARIANTS.values(), ids=VARIANTS)
def test_actions_and_cls_output_are_the_policys(
    overrides, make_policy, make_engine_of, make_samples, batch_of, make_noise
):
    policy = make_policy(**overrides)
    samples, noise = make_samples(2), make_noise(policy, 2)
    engine = make_engine_of(policy)
    prefixes = engine.encode_prefix(samples)
    actions = engine.denoise(prefixes, noise)
    batch = batch_of(samples)
    torch.testing.assert_close(actions, policy.predict_action_chunk(batch, noise=noise), **CLOSE)
    expected = policy.encode_prefix(batch).obs_cls_out
    if expected is None:
        assert [prefix.obs_cls_out for prefix in prefixes] == [None, None]
    else:
        cls_out = torch.cat([prefix.obs_cls_out for prefix in prefixes])
        torch.testing.assert_close(cls_out, expected, **CLOSE)


@pytest.mark.parametrize("overrides", VARIANTS.values(), ids=VARIANTS)
def test_a_refreshed_state_is_a_full_recompute(
    overrides, make_policy, make_engine_of, make_samples, make_noise
):
    policy = make_policy(**overrides)
    noise, engine = make_noise(policy, 2), make_engine_of(policy)
    before = make_samples(2)
    now = [replace(s, state=o.state) for s, o in zip(before, make_samples(2, 9), strict=True)]
    old = engine.encode_prefix(before)
    refreshed = engine.refresh_state(old, [sample.state for sample in now])
    reused = engine.denoise(refreshed, noise)
    full = engine.denoise(engine.encode_prefix(now), noise)
    torch.testing.assert_close(reused, full, atol=1e-5, rtol=1e-5)
    assert (reused - engine.denoise(old, noise)).abs().max() > 1e-2  # else nothing was tested
    assert all(r.obs_cls_out is o.obs_cls_out for r, o in zip(refreshed, old, strict=True))


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"cls_attention": "readout", "cls_adapter_width": 8},
        {"add_image_special_tokens": True, "empty_cameras": 1},
    ],
)
def test_any_of_the_pictures_may_be_left_out(
    overrides, make_policy, make_engine_of, make_samples, batch_of, make_noise
):
    """And on one engine, prefixes of one and of two pictures do not mix."""
    policy = make_policy(**overrides)
    (sample,), noise = make_samples(1), make_noise(policy, 1)
    (other,) = make_samples(1, 9)
    engine, whole = make_engine_of(policy), batch_of([sample])
    both = engine.encode_prefix([sample])
    expected = engine.denoise(both, noise)
    for number, name in enumerate(CAMERAS):
        alone = replace(sample, pictures=[sample.pictures[number]])
        batch = {k: v for k, v in whole.items() if k == name or k not in CAMERAS}
        prefixes = engine.encode_prefix([alone])
        actions = engine.denoise(prefixes, noise)
        torch.testing.assert_close(
            actions, policy.predict_action_chunk(batch, noise=noise), **CLOSE
        )
        of_policy = policy.encode_prefix(batch).obs_cls_out
        torch.testing.assert_close(prefixes[0].obs_cls_out, of_policy, **CLOSE)
        assert (actions - expected).abs().max() > 1e-2  # else nothing was left out
        refreshed = engine.denoise(engine.refresh_state(prefixes, [other.state]), noise)
        again = engine.encode_prefix([replace(alone, state=other.state)])
        torch.testing.assert_close(refreshed, engine.denoise(again, noise), atol=1e-5, rtol=1e-5)
        assert torch.equal(engine.denoise(both, noise), expected)


def test_pictures_instruction_and_noise_reach_the_actions(
    policy, make_engine_of, make_samples, make_noise
):
    """So that the comparisons above mean something."""
    engine, (sample,), noise = make_engine_of(policy), make_samples(1), make_noise(policy, 1)
    (other,) = make_samples(1, seed=5)
    actions = engine.denoise(engine.encode_prefix([sample]), noise)
    for changed in (
        replace(sample, pictures=[other.pictures[0], sample.pictures[1]]),
        replace(sample, pictures=[sample.pictures[0], other.pictures[1]]),
        replace(sample, tokens=other.tokens),
    ):
        moved = engine.denoise(engine.encode_prefix([changed]), noise) - actions
        assert moved.abs().max() > 1e-2
    moved = engine.denoise(engine.encode_prefix([sample]), make_noise(policy, 1, 7)) - actions
    assert moved.abs().max() > 1e-2


def test_aloha_is_converted_as_in_lerobot(
    make_policy, make_engine_of, make_samples, batch_of, make_noise
):
    policy = make_policy(14, 14, adapt_to_pi_aloha=True)
    samples = [replace(s, state=s.state * 0.02) for s in make_samples(2, state_dim=14)]
    noise, engine = make_noise(policy, 2), make_engine_of(policy)
    expected = policy.predict_action_chunk(batch_of(samples), noise=noise)
    kept = [sample.state.clone() for sample in samples]
    for _ in range(2):
        actions = engine.denoise(engine.encode_prefix(samples), noise)
        torch.testing.assert_close(actions, expected, **CLOSE)
    assert all(torch.equal(s.state, k) for s, k in zip(samples, kept, strict=True))


@pytest.mark.parametrize("sizes", [((64, 64),) * 2, ((30, 100), (100, 30)), ((480, 640),) * 2])
def test_pictures_of_any_size_are_resized_as_in_lerobot(
    sizes, policy, make_engine_of, make_samples, batch_of, make_noise
):
    samples, noise = make_samples(1, sizes=sizes), make_noise(policy, 1)
    engine = make_engine_of(policy)
    actions = engine.denoise(engine.encode_prefix(samples), noise)
    expected = policy.predict_action_chunk(batch_of(samples), noise=noise)
    torch.testing.assert_close(actions, expected, **CLOSE)
    as_float = [p.permute(2, 0, 1).float() / 255 for p in samples[0].pictures]
    again = engine.denoise(engine.encode_prefix([replace(samples[0], pictures=as_float)]), noise)
    torch.testing.assert_close(again, actions)


def test_pictures_that_are_not_resized_must_have_the_checkpoints_size(make_policy, make_engine_of):
    with pytest.raises(ValueError, match=r"sizes \[\(48, 64\), \(60, 60\)\]"):
        make_engine_of(make_policy(resize_imgs_with_padding=None))
    with pytest.raises(ValueError, match="squares"):
        make_engine_of(make_policy(resize_imgs_with_padding=(64, 32)))


def test_fewer_steps_may_be_asked_for(make_policy, make_engine_of, make_samples, make_noise):
    ten, two = make_policy(num_steps=10), make_policy(num_steps=2)
    samples, noise = make_samples(1), make_noise(ten, 1)
    engine = make_engine_of(ten)
    prefixes = engine.encode_prefix(samples)
    other = make_engine_of(two)
    expected = other.denoise(other.encode_prefix(samples), noise)
    torch.testing.assert_close(engine.denoise(prefixes, noise, num_steps=2), expected)
    assert not torch.allclose(engine.denoise(prefixes, noise), expected, atol=1e-3)


def test_an_instruction_that_is_too_long_is_refused_and_harms_nothing(
    policy, make_engine_of, make_samples, make_noise
):
    engine, samples, noise = make_engine_of(policy), make_samples(1), make_noise(policy, 1)
    expected = engine.denoise(engine.encode_prefix(samples), noise)
    too_long = replace(
        samples[0], tokens=torch.ones(49, dtype=torch.int64), mask=torch.ones(49, dtype=torch.bool)
    )
    with pytest.raises(ValueError, match="49 tokens, at most 48"):
        engine.encode_prefix([too_long])
    assert torch.equal(engine.denoise(engine.encode_prefix(samples), noise), expected)


def test_one_batch_has_pictures_of_one_size(policy, make_engine_of, make_samples):
    one, other = make_samples(1), make_samples(1, sizes=((20, 20), (60, 60)))
    with pytest.raises(ValueError, match="same sizes"):
        make_engine_of(policy).encode_prefix(one + other)


def test_what_is_kept_is_bounded(policy, make_engine_of, make_samples, make_noise):
    engine = make_engine_of(policy)
    for count in range(1, MAX_WORKSPACES + 3):
        engine.denoise(engine.encode_prefix(make_samples(count)), make_noise(policy, count))
    assert len(engine._workspaces._kept) == MAX_WORKSPACES
    for side in range(20, 20 + MAX_PICTURE_SIZES + 3):
        engine.encode_prefix(make_samples(1, sizes=((side, side), (60, 60))))
    assert len(engine._workspaces.get(1, 2)._pictures) == MAX_PICTURE_SIZES


def test_the_times_are_those_of_the_last_inference(
    policy, make_engine_of, make_samples, make_noise, monkeypatch
):
    engine, samples, noise = make_engine_of(policy), make_samples(1), make_noise(policy, 1)
    prefixes = engine.encode_prefix(samples)
    engine.denoise(prefixes, noise)
    assert engine.took_ms["prefix"] > 0 < engine.took_ms["denoise"]
    assert engine.took_ms["refresh"] == 0
    with monkeypatch.context() as patch:
        patch.setattr(engine._model, "refresh_state", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            engine.refresh_state(engine.encode_prefix(samples), [samples[0].state])
    engine.denoise(engine.refresh_state(prefixes, [samples[0].state]), noise)
    assert engine.took_ms["refresh"] > 0
    assert engine.took_ms["prefix"] == 0


def test_warm_up_says_what_it_does_and_leaves_nothing_behind(
    policy, make_engine_of, make_samples, make_noise
):
    samples, noise = make_samples(1), make_noise(policy, 1)
    cold, warm = make_engine_of(policy), make_engine_of(policy)
    said = []
    assert warm.warm_up([(48, 64), (60, 60)], said.append) > 0
    assert [part in line for part, line in zip(("1 of 3", "2 of 3", "3 of 3"), said, strict=True)]
    expected = cold.denoise(cold.encode_prefix(samples), noise)
    assert torch.equal(warm.denoise(warm.encode_prefix(samples), noise), expected)


@pytest.mark.parametrize(
    ("error", "advice"),
    [(torch.OutOfMemoryError("tried 2 GiB"), "nvidia-smi"), (torch.AcceleratorError("x"), "dmesg")]
    if hasattr(torch, "AcceleratorError")
    else [],
)
def test_a_device_that_fails_says_what_to_do(
    error, advice, policy, make_engine_of, make_samples, monkeypatch
):
    def fail(*_):
        raise error

    engine = make_engine_of(policy)
    monkeypatch.setattr(engine._model, "encode_prefix", fail)
    with pytest.raises(DeviceFailedError, match=advice) as raised:
        engine.encode_prefix(make_samples(1))
    assert raised.value.__cause__ is error


STEP = st.tuples(
    st.sampled_from(["encode", "refresh", "denoise", "fail in prefix", "fail in denoise"]),
    st.integers(1, 3),  # batch size
    st.integers(0, 20),  # which prefixes
)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=st.lists(STEP, max_size=12))
@example(steps=[("encode", 1, 0), ("fail in prefix", 1, 0), ("denoise", 1, 0)])
@example(steps=[("encode", 1, 0), ("fail in denoise", 1, 0), ("denoise", 1, 0), ("refresh", 1, 0)])
@example(steps=[("encode", 2, 0), ("encode", 2, 0), ("denoise", 2, 1), ("refresh", 1, 3)])
def test_no_order_of_calls_leaves_a_stale_buffer(steps, policy, make_engine_of, check_order):
    """Each result is that of an engine which is given one thing at a time."""
    check_order(steps, make_engine_of(policy))
