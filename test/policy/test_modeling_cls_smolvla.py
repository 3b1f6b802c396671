import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from lerobot.policies.factory import get_policy_class, make_policy_config

from cls_vla_ros.policy import CLSSmolVLAPolicy


def copied(batch):
    return {key: value.clone() for key, value in batch.items()}


def test_without_cls_head_it_is_stock_smolvla(stock, with_stock_weights, make_batch, noise):
    policy = with_stock_weights(use_cls_head=False)
    ours = policy.predict_action_chunk(make_batch(), noise=noise)
    theirs = stock.predict_action_chunk(make_batch(), noise=noise)
    assert ours.shape == (2, 50, 4)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_without_cls_head_asking_for_the_similarity_gives_the_actions_alone(
    with_stock_weights, make_batch, noise
):
    policy = with_stock_weights(use_cls_head=False)
    result = policy.predict_action_chunk(make_batch(), noise=noise, compute_cls_similarity=True)
    assert isinstance(result, torch.Tensor)


def test_readout_leaves_stock_actions_bit_for_bit(stock, with_stock_weights, make_batch, noise):
    policy = with_stock_weights(cls_attention="readout")
    theirs = stock.predict_action_chunk(make_batch(), noise=noise)
    plain = policy.predict_action_chunk(make_batch(), noise=noise)
    gated, _, _ = policy.predict_action_chunk(
        make_batch(), noise=noise, compute_cls_similarity=True
    )
    assert torch.equal(plain, theirs)
    assert torch.equal(gated, theirs)


def test_bidirectional_actions_depend_on_the_cls_tokens(
    stock, with_stock_weights, make_batch, noise
):
    policy = with_stock_weights()
    ours = policy.predict_action_chunk(make_batch(), noise=noise)
    assert not torch.allclose(
        ours, stock.predict_action_chunk(make_batch(), noise=noise), atol=1e-4
    )


@pytest.mark.parametrize("cls_attention", ["bidirectional", "readout"])
def test_asking_for_the_similarity_does_not_change_the_actions(
    with_stock_weights, make_batch, noise, cls_attention
):
    policy = with_stock_weights(cls_attention=cls_attention)
    plain = policy.predict_action_chunk(make_batch(), noise=noise)
    gated, _, _ = policy.predict_action_chunk(
        make_batch(), noise=noise, compute_cls_similarity=True
    )
    torch.testing.assert_close(plain, gated, atol=1e-6, rtol=0)


@pytest.mark.parametrize("cls_attention", ["bidirectional", "readout"])
@pytest.mark.parametrize(
    ("key", "is_seen"),
    [
        ("observation.images.front", True),
        ("observation.images.wrist", True),
        ("observation.language.tokens", True),
        ("observation.state", False),
    ],
)
def test_what_the_cls_tokens_see(with_stock_weights, make_batch, cls_attention, key, is_seen):
    policy = with_stock_weights(cls_attention=cls_attention)
    batch, other = make_batch(), make_batch()
    other[key] = other[key].flip(0)  # tokens of equal length in the first five places
    other["observation.language.attention_mask"] = batch["observation.language.attention_mask"]
    one, two = policy.encode_prefix(batch).obs_cls_out, policy.encode_prefix(other).obs_cls_out
    assert torch.allclose(one, two, atol=1e-5) != is_seen


@pytest.mark.parametrize("cls_attention", ["bidirectional", "readout"])
def test_padded_language_is_not_seen(with_stock_weights, make_batch, cls_attention):
    policy = with_stock_weights(cls_attention=cls_attention)
    batch, other = make_batch(), make_batch()
    other["observation.language.tokens"][1, 5:] = 77
    one, two = policy.encode_prefix(batch), policy.encode_prefix(other)
    torch.testing.assert_close(one.obs_cls_out, two.obs_cls_out, atol=1e-5, rtol=0)


def test_the_two_layouts_agree_where_they_are_the_same(with_stock_weights, make_batch):
    """With one VLM layer no token has seen the CLS tokens yet, so both layouts read the same."""
    read = {}
    for layout in ("bidirectional", "readout"):
        policy = with_stock_weights(cls_attention=layout)
        text_model = policy.model.vlm_with_expert.get_vlm_model().text_model
        text_model.layers = text_model.layers[:1]
        policy.model.vlm_with_expert.num_vlm_layers = 1
        torch.manual_seed(3)
        torch.nn.init.normal_(policy.model.pre_cls_param)
        read[layout] = policy.encode_prefix(make_batch()).obs_cls_out
    torch.testing.assert_close(read["bidirectional"], read["readout"], atol=1e-5, rtol=0)


def test_the_tuple_and_the_similarity(with_stock_weights, make_batch, noise):
    policy = with_stock_weights()
    actions, first_out, should_cache = policy.predict_action_chunk(
        make_batch(0), noise=noise, compute_cls_similarity=True
    )
    assert actions.shape == (2, 50, 4)
    assert first_out.shape == (2, 2, 64)
    assert should_cache is True
    assert math.isnan(policy.last_decision.similarity)

    _, second_out, should_cache = policy.predict_action_chunk(
        make_batch(1), noise=noise, compute_cls_similarity=True
    )
    by_hand = F.cosine_similarity(second_out[:, 0], first_out[:, 1], dim=-1).mean().item()
    assert policy.last_decision.similarity == pytest.approx(by_hand, abs=1e-6)
    assert should_cache == (by_hand > policy.config.cls_similarity_threshold)


def test_reset_forgets_the_history(with_stock_weights, make_batch):
    policy = with_stock_weights(num_steps=1)
    for _ in range(2):
        policy.predict_action_chunk(make_batch(), compute_cls_similarity=True)
    assert policy.last_decision.has_history
    policy.reset()
    assert policy.last_decision is None
    policy.predict_action_chunk(make_batch(), compute_cls_similarity=True)
    assert not policy.last_decision.has_history


def test_a_failed_inference_is_not_the_history(with_stock_weights, make_batch, monkeypatch):
    policy = with_stock_weights(num_steps=1)

    def fail(*args, **kwargs):
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(policy.model, "denoise_step", fail)
        with pytest.raises(RuntimeError):
            policy.predict_action_chunk(make_batch(), compute_cls_similarity=True)
    policy.predict_action_chunk(make_batch(), compute_cls_similarity=True)
    assert not policy.last_decision.has_history


def test_the_batch_is_left_as_it_was(with_stock_weights, make_batch):
    policy = with_stock_weights(num_steps=1)
    batch = make_batch()
    before = copied(batch)
    policy.predict_action_chunk(batch)
    policy.predict_action_chunk(batch, compute_cls_similarity=True)
    assert batch.keys() == before.keys()
    assert all(torch.equal(batch[key], before[key]) for key in batch)


def test_aloha_conversion_is_that_of_stock(make_config, noise):
    """Aloha flips joints in place: on the same batch twice it must give the same."""
    torch.manual_seed(0)
    from cls_vla_ros.policy.checkpoint.random_checkpoint import random_config

    config = random_config(
        type(make_config()), make_config().vlm_model_name, {"observation.images.front": (48, 64)},
        14, 14, adapt_to_pi_aloha=True, cls_attention="readout",
    )  # fmt: skip
    policy = CLSSmolVLAPolicy(config).eval()
    batch = {
        "observation.images.front": torch.rand(2, 3, 48, 64),
        "observation.state": torch.rand(2, 14) * 0.05,
        "observation.language.tokens": torch.randint(5, 250, (2, 4)),
        "observation.language.attention_mask": torch.ones(2, 4, dtype=torch.bool),
    }
    plain = policy.predict_action_chunk(batch, noise=noise)
    gated, _, _ = policy.predict_action_chunk(batch, noise=noise, compute_cls_similarity=True)
    assert torch.equal(plain, gated)


@pytest.mark.parametrize("with_similarity", [False, True])
def test_the_guides_keys_get_an_error_that_names_ours(
    with_stock_weights, make_batch, with_similarity
):
    policy = with_stock_weights()
    batch = make_batch()
    batch["obs.state"] = batch.pop("observation.state")
    with pytest.raises(ValueError, match=r"observation\.state"):
        policy.predict_action_chunk(batch, compute_cls_similarity=with_similarity)


def test_a_missing_key_is_named(with_stock_weights, make_batch):
    batch = make_batch()
    del batch["observation.language.tokens"]
    with pytest.raises(ValueError, match=r"observation\.language\.tokens"):
        with_stock_weights().predict_action_chunk(batch)


def test_one_cls_token_is_refused_with_the_reason(make_config):
    with pytest.raises(ValueError, match=r"token 0.*token 1"):
        make_config(num_cls_prefix=1)
    assert make_config(num_cls_prefix=1, use_cls_head=False).num_cls_prefix == 1


@pytest.mark.parametrize(
    ("field", "value"), [("cls_attention", "sideways"), ("cls_similarity_threshold", 1.5)]
)
def test_a_bad_configuration_is_refused(make_config, field, value):
    with pytest.raises(ValueError, match=field):
        make_config(**{field: value})


def test_lerobots_factory_finds_it():
    assert get_policy_class("cls_smolvla") is CLSSmolVLAPolicy
    assert make_policy_config("cls_smolvla", device="cpu").type == "cls_smolvla"


def test_the_action_loss_is_finite_and_reaches_the_cls_tokens(with_stock_weights, make_batch):
    policy = with_stock_weights(train_expert_only=False, cls_loss_weight=0)
    loss, _ = policy.forward(make_batch() | {"action": torch.randn(2, 50, 4)})
    loss.backward()
    assert torch.isfinite(loss)
    assert policy.model.pre_cls_param.grad.abs().sum() > 0


@pytest.mark.parametrize("cls_attention", ["bidirectional", "readout"])
def test_a_vlm_in_bfloat16(stock, with_stock_weights, make_batch, noise, cls_attention):
    """As lerobot loads it where a checkpoint says load_vlm_weights."""
    policy = with_stock_weights(cls_attention=cls_attention)
    for one in (policy, stock):
        one.model.vlm_with_expert.vlm.to(torch.bfloat16)
    actions, obs_cls_out, _ = policy.predict_action_chunk(
        make_batch(), noise=noise, compute_cls_similarity=True
    )
    assert obs_cls_out.dtype == torch.float32
    assert obs_cls_out.isfinite().all()
    if cls_attention == "readout":
        assert torch.equal(actions, stock.predict_action_chunk(make_batch(), noise=noise))
