import pytest
import torch

from cls_vla_ros.policy.cls_adapter import CLSAdapter

HIDDEN, PLACES, NUM_CLS = 8, 6, 2


@pytest.fixture
def adapter():
    torch.manual_seed(0)
    return CLSAdapter(HIDDEN, PLACES, width=4, num_cls=NUM_CLS)


@pytest.fixture
def pictures():
    return torch.randn(3, PLACES, HIDDEN, generator=torch.Generator().manual_seed(1))


def test_it_tells_places_apart(adapter, pictures):
    out = adapter(pictures)
    assert out.shape == (3, NUM_CLS, HIDDEN)
    elsewhere = pictures.clone()
    elsewhere[:, [1, 4]] = pictures[:, [4, 1]]
    assert (adapter(elsewhere) - out).abs().amax((1, 2)).min() > 1e-2


def test_an_absent_camera_adds_nothing_however_it_is_said(adapter, pictures):
    present = torch.ones(3, PLACES, dtype=torch.bool)
    torch.testing.assert_close(adapter(pictures, present), adapter(pictures))
    present[:, 4:] = False
    masked = adapter(pictures, present)
    torch.testing.assert_close(adapter(pictures[:, :4]), masked)
    other = pictures.clone()
    other[:, 4:] = 7.0
    torch.testing.assert_close(adapter(other, present), masked)


def test_it_computes_in_float32(adapter, pictures):
    assert adapter(pictures.bfloat16()).dtype == torch.float32


@pytest.mark.parametrize("overrides", [{}, {"add_image_special_tokens": True}])
@pytest.mark.parametrize("cls_attention", ["bidirectional", "readout"])
def test_in_the_policy_it_reads_the_vision_models_tokens(
    with_stock_weights, make_batch, noise, cls_attention, overrides
):
    policy = with_stock_weights(cls_attention=cls_attention, cls_adapter_width=16, **overrides)
    seen = []
    policy.model.cls_adapter.register_forward_pre_hook(lambda _, args: seen.append(args))
    batch = make_batch()
    actions, obs_cls_out, _ = policy.predict_action_chunk(
        batch, noise=noise, compute_cls_similarity=True
    )
    images, _ = policy.prepare_images(batch)
    with torch.no_grad():
        tokens = torch.cat([policy.model.vlm_with_expert.embed_image(i) for i in images], dim=1)
    torch.testing.assert_close(seen[0][0], tokens * tokens.shape[-1] ** 0.5)
    with torch.no_grad():
        policy.model.cls_adapter.mix.weight.zero_()
        policy.model.cls_adapter.mix.bias.fill_(1.0)
    policy.reset()
    same, shifted, _ = policy.predict_action_chunk(batch, noise=noise, compute_cls_similarity=True)
    assert torch.equal(same, actions)  # nothing but the gate reads it
    assert not torch.equal(shifted, obs_cls_out)
