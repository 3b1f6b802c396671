"""A cached prefix: the state refresh, and the guide's forms cal_cache and past_key_values."""

import math

import pytest
import torch

LAYOUTS = pytest.mark.parametrize(
    "layout",
    [{}, {"cls_attention": "readout"}, {"use_cls_head": False}, {"prefix_length": 40}],
    ids=["bidirectional", "readout", "no CLS head", "padded prefix"],
)


def other_state(batch):
    return batch | {"observation.state": batch["observation.state"] + 1.0}


@LAYOUTS
def test_with_the_same_pictures_a_reuse_is_a_full_recompute(
    with_stock_weights, make_batch, noise, layout
):
    """Of a batch whose second instruction is padded."""
    policy = with_stock_weights(**layout)
    old, new = make_batch(), other_state(make_batch())
    prefix, masks, delta = policy.predict_action_chunk(old, cal_cache=True)
    assert delta is None
    reused = policy.predict_action_chunk(
        new, noise=noise, past_key_values=prefix, prefix_pad_masks=masks
    )
    full = policy.predict_action_chunk(new, noise=noise)
    torch.testing.assert_close(reused, full, atol=1e-5, rtol=0)
    stale = policy.predict_action_chunk(old, noise=noise)
    assert not torch.allclose(reused, stale, atol=1e-3)  # the state does count


@LAYOUTS
def test_a_reuse_leaves_the_prefix_as_it_was(with_stock_weights, make_batch, noise, layout):
    policy = with_stock_weights(**layout)
    batch = make_batch()
    prefix, masks, _ = policy.predict_action_chunk(batch, cal_cache=True)
    before = [t.clone() for t in prefix._tensors()]
    once, twice = (
        policy.predict_action_chunk(other_state(batch), noise=noise, past_key_values=prefix)
        for _ in range(2)
    )
    assert torch.equal(once, twice)
    assert all(torch.equal(a, b) for a, b in zip(before, prefix._tensors(), strict=True))
    assert masks is prefix.pad_masks


def test_without_the_refresh_the_state_is_frozen(with_stock_weights, make_batch, noise):
    policy = with_stock_weights()
    batch = make_batch()
    prefix, _, _ = policy.predict_action_chunk(batch, cal_cache=True)
    frozen = policy.predict_action_chunk(
        other_state(batch), noise=noise, past_key_values=prefix, refresh_state=False
    )
    torch.testing.assert_close(
        frozen, policy.predict_action_chunk(batch, noise=noise), atol=1e-5, rtol=0
    )


def test_the_tuple_is_complete_for_a_reused_prefix(with_stock_weights, make_batch, noise):
    policy = with_stock_weights()
    prefix, masks, _ = policy.predict_action_chunk(make_batch(), cal_cache=True)
    for _ in range(2):
        actions, obs_cls_out, should_cache = policy.predict_action_chunk(
            make_batch(),
            noise=noise,
            past_key_values=prefix,
            prefix_pad_masks=masks,
            compute_cls_similarity=True,
        )
        assert actions.shape == (2, 50, 4)
        assert obs_cls_out is prefix.obs_cls_out
        assert should_cache is True
        assert math.isnan(policy.last_decision.similarity)  # judged once, when it was new


def test_computing_the_prefix_alone_is_not_an_evaluation(with_stock_weights, make_batch):
    policy = with_stock_weights(num_steps=1)
    policy.predict_action_chunk(make_batch(), cal_cache=True)
    policy.predict_action_chunk(make_batch(), compute_cls_similarity=True)
    assert not policy.last_decision.has_history


def test_an_older_prefix_does_not_become_the_history_again(with_stock_weights, make_batch):
    policy = with_stock_weights(num_steps=1)
    old, _, _ = policy.predict_action_chunk(make_batch(0), cal_cache=True)
    policy.predict_action_chunk(make_batch(0), past_key_values=old, compute_cls_similarity=True)
    _, newer, _ = policy.predict_action_chunk(make_batch(1), compute_cls_similarity=True)
    policy.predict_action_chunk(make_batch(0), past_key_values=old, compute_cls_similarity=True)
    _, now, _ = policy.predict_action_chunk(make_batch(2), compute_cls_similarity=True)
    by_hand = torch.nn.functional.cosine_similarity(now[:, 0], newer[:, 1], dim=-1).mean()
    assert policy.last_decision.similarity == pytest.approx(by_hand.item(), abs=1e-6)


@pytest.mark.parametrize("was_used", [False, True])
def test_a_prefix_of_an_earlier_episode_is_refused(with_stock_weights, make_batch, was_used):
    policy = with_stock_weights(num_steps=1)
    prefix, _, _ = policy.predict_action_chunk(make_batch(), cal_cache=True)
    if was_used:
        policy.predict_action_chunk(make_batch(), past_key_values=prefix)
    policy.reset()
    with pytest.raises(ValueError, match="earlier episode"):
        policy.predict_action_chunk(make_batch(), past_key_values=prefix)


def test_a_prefix_of_another_instruction_is_refused(with_stock_weights, make_batch):
    policy = with_stock_weights(num_steps=1)
    prefix, _, _ = policy.predict_action_chunk(make_batch(), cal_cache=True)
    batch = make_batch()
    batch["observation.language.tokens"][1, 6] += 1  # padding: the same instruction
    policy.predict_action_chunk(batch, past_key_values=prefix)
    batch["observation.language.tokens"][1, 0] += 1
    with pytest.raises(ValueError, match="instruction"):
        policy.predict_action_chunk(batch, past_key_values=prefix)


def test_a_prefix_of_another_policy_is_refused(with_stock_weights, make_batch):
    prefix, _, _ = with_stock_weights().predict_action_chunk(make_batch(), cal_cache=True)
    with pytest.raises(ValueError, match="another policy"):
        with_stock_weights().predict_action_chunk(make_batch(), past_key_values=prefix)


def test_an_older_prefix_does_not_replace_a_newer_history(with_stock_weights, make_batch):
    """Also one that the gate has not seen yet."""
    policy = with_stock_weights(num_steps=1)
    old, _, _ = policy.predict_action_chunk(make_batch(0), cal_cache=True)
    _, newer, _ = policy.predict_action_chunk(make_batch(1), compute_cls_similarity=True)
    policy.predict_action_chunk(make_batch(0), past_key_values=old, compute_cls_similarity=True)
    _, now, _ = policy.predict_action_chunk(make_batch(2), compute_cls_similarity=True)
    by_hand = torch.nn.functional.cosine_similarity(now[:, 0], newer[:, 1], dim=-1).mean()
    assert policy.last_decision.similarity == pytest.approx(by_hand.item(), abs=1e-6)


def damaged(prefix, **changes):
    values = {
        "past_key_values": prefix.past_key_values,
        "pad_masks": prefix.pad_masks,
        "obs_cls_out": prefix.obs_cls_out,
        "state_index": prefix.state_index,
        "origin": prefix.origin,
    }
    return type(prefix)(**(values | changes))


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("masks", r"prefix_pad_masks \(2, 5\) are not those.*\(2, "),
        ("batch", r"a batch of 2, the observation\.state of one of 3"),
        ("dtype", r"dtype torch\.float16, the policy of torch\.float32"),
        ("device", "device meta, the policy of cpu"),
        ("kind", "got DynamicCache"),
        ("head", "without CLS head"),
    ],
)
def test_what_does_not_belong_together_is_refused_and_changes_nothing(
    with_stock_weights, make_batch, what, said
):
    policy = with_stock_weights(num_steps=1)
    prefix, masks, _ = policy.predict_action_chunk(make_batch(), cal_cache=True)
    batch = make_batch()
    if what == "masks":
        masks = masks[:, :5]
    elif what == "batch":
        batch = make_batch(batch_size=3)
    elif what == "dtype":
        halves = ((k.keys.half(), k.values.half(), None) for k in prefix.past_key_values.layers)
        prefix = damaged(prefix, past_key_values=type(prefix.past_key_values)(tuple(halves)))
    elif what == "device":
        prefix = damaged(prefix, pad_masks=prefix.pad_masks.to("meta"))
    elif what == "kind":
        prefix = prefix.past_key_values
    else:
        prefix = damaged(prefix, obs_cls_out=None)
    with pytest.raises(ValueError, match=said):
        policy.predict_action_chunk(
            batch, past_key_values=prefix, prefix_pad_masks=masks, compute_cls_similarity=True
        )
    assert policy.last_decision is None
    assert not policy.gate.has_history


def test_action_context_is_taken_in_its_right_shape_alone(with_stock_weights, make_batch):
    policy = with_stock_weights()
    context = torch.zeros(2, 50, 4)
    _, _, delta = policy.predict_action_chunk(make_batch(), cal_cache=True, action_context=context)
    assert delta is None
    with pytest.raises(ValueError, match=r"\(2, 50, 4\), got \(2, 3, 4\)"):
        policy.predict_action_chunk(make_batch(), cal_cache=True, action_context=context[:, :3])


def test_its_memory_is_that_of_its_tensors(with_stock_weights, make_batch):
    """Also after it was used: it holds no view on anything larger."""
    policy = with_stock_weights()
    prefix = policy.encode_prefix(make_batch())
    policy.denoise(prefix)
    held = {
        t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in prefix._tensors()
    }
    assert sum(held.values()) == prefix.nbytes
    tokens = prefix.pad_masks.shape[1]
    kv = (
        2 * 4 * 2 * 2 * tokens * 16 * 4
    )  # K and V, layers, batch, heads, tokens, head_dim, float32
    assert prefix.nbytes == kv + 2 * tokens + 2 * 2 * 64 * 4
