"""The policy's forward as lerobot-train calls it, on batches as its dataset gives them."""

import importlib.util
from types import SimpleNamespace

import pytest
import torch

from cls_vla_ros.policy import CLSSmolVLAPolicy
from cls_vla_ros.policy.training import cls_training, cls_views
from cls_vla_ros.policy.training.cls_objective import OBJECTIVES, Objective

FRONT = "observation.images.front"


@pytest.fixture
def training_batch(make_batch):
    def make(batch_size=10, deltas=3, seed=0):
        """Frames at 1, 2 and 0 of episodes of two rows each; the last row's are at its end."""
        random = torch.Generator().manual_seed(seed)
        batch = make_batch(seed, batch_size)
        for key in list(batch):
            if key.startswith("observation.images"):
                shape = (batch_size, deltas, *batch[key].shape[1:])
                batch[key] = torch.rand(shape, generator=random)
        batch["observation.state"] = batch["observation.state"][:, None].repeat(1, deltas, 1)
        pad = torch.zeros(batch_size, deltas, dtype=torch.bool)
        pad[-1, :-1] = True
        return batch | {
            f"{FRONT}_is_pad": pad,
            "action": torch.randn(batch_size, 50, 4, generator=random),
            "action_is_pad": torch.zeros(batch_size, 50, dtype=torch.bool),
            "episode_index": torch.arange(batch_size) // 2,
        }

    return make


def dataset_meta(lengths=(20, 20), features=(), root="nowhere"):
    return SimpleNamespace(
        episodes={"length": list(lengths)}, features=dict.fromkeys(features), root=root, stats={}
    )


def grads(policy):
    return {
        name
        for name, parameter in policy.named_parameters()
        if parameter.grad is not None and parameter.grad.abs().sum() > 0
    }


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("cls_attention", ["bidirectional", "readout"])
def test_each_objective_trains_the_cls_tokens_beside_the_actions(
    with_stock_weights, training_batch, name, cls_attention
):
    policy = with_stock_weights(
        cls_objective=name,
        cls_pair_steps=2,
        cls_attention=cls_attention,
        train_expert_only=False,
        freeze_vision_encoder=False,
    )
    assert policy.config.observation_delta_indices == [-1, -2, 0]
    policy.train()
    loss, log = policy.forward(training_batch())
    loss.backward()
    assert loss.isfinite()
    assert {"cls_loss", "cls_similarity", "losses_after_forward"} <= set(log)
    assert log["loss"] == pytest.approx(loss.item())
    assert not policy.config.cls_head_trained  # no weight has changed yet
    learning = grads(policy)
    assert "model.pre_cls_param" in learning
    assert ("model.cls_log_scale" in learning) == (name != "vicreg")
    # Of these lerobot trains none, because its own loss does not see what they make.
    assert "model.vlm_with_expert.vlm.model.text_model.norm.weight" in learning
    assert any("text_model.layers.3.mlp" in each for each in learning)


def test_the_loss_is_the_stock_policys_and_the_weighted_objective(
    stock, with_stock_weights, training_batch
):
    batch, noise, time = training_batch(), torch.randn(10, 50, 32), torch.rand(10)
    current = {k: v[:, -1] if v.ndim == 5 or k.endswith("state") else v for k, v in batch.items()}
    expected, _ = stock.forward(dict(current), noise, time)
    policy = with_stock_weights(cls_attention="readout", cls_pair_steps=2, cls_loss_weight=0.5)
    loss, log = policy.forward(dict(batch), noise, time)
    assert loss.item() == pytest.approx(expected.item() + 0.5 * log["cls_loss"], rel=1e-5)
    each, _ = policy.forward(dict(batch), noise, time, reduction="none")
    assert each.shape == (10,)
    without = with_stock_weights(cls_attention="readout", cls_loss_weight=0)
    loss, log = without.forward(current, noise, time)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    assert "cls_loss" not in log
    assert not without.config.cls_head_trained


def test_the_actions_are_learned_on_stale_prefixes_in_training_alone(
    with_stock_weights, training_batch
):
    policy = with_stock_weights(
        cls_loss_weight=0.0, cls_pair_steps=2, stale_prefix_share=1.0, num_steps=1
    )
    batch = training_batch()
    noise, time = torch.randn(10, 50, 32), torch.full((10,), 0.5)
    cameras = [key for key in batch if key.startswith("observation.images") and "pad" not in key]

    def loss_on(frame):
        own = {camera: batch[camera][:, frame] for camera in cameras}
        own["observation.state"] = batch["observation.state"][:, -1]
        return policy.forward(batch | own, noise, time, reduction="none")[0]

    policy.eval()
    own, stale = loss_on(-1), torch.stack([loss_on(0), loss_on(1)])
    assert torch.allclose(policy.forward(batch, noise, time, reduction="none")[0], own)
    policy.train()
    loss = policy.forward(batch, noise, time, reduction="none")[0]
    assert (loss - stale)[:, :-1].abs().amin(0).max() < 1e-5
    assert (loss - own)[:-1].abs().min() > 1e-5
    assert loss[-1].item() == pytest.approx(own[-1].item(), abs=1e-5)  # it has no earlier frame


def test_the_actions_are_learned_on_disturbed_pictures_in_training_alone(
    with_stock_weights, training_batch, monkeypatch
):
    def black(batch, cameras, size, share):
        asked.append((size, share))
        return batch | {camera: torch.zeros_like(batch[camera]) for camera in cameras}

    asked = []
    monkeypatch.setattr(cls_training, "disturb_some", black)
    policy = with_stock_weights(cls_loss_weight=0.0, nuisance_share=0.3)
    assert policy.config.observation_delta_indices == [0]
    batch, noise, time = training_batch(deltas=1), torch.randn(10, 50, 32), torch.full((10,), 0.5)
    dark = {key: torch.zeros_like(value) for key, value in batch.items() if value.ndim == 5}

    def loss_of(batch):
        return policy.forward(batch, noise, time)[0].item()

    policy.eval()
    own, disturbed = loss_of(batch), loss_of(batch | dark)
    assert asked == []
    policy.train()
    assert loss_of(batch) == pytest.approx(disturbed, rel=1e-5)
    assert loss_of(batch) != pytest.approx(own, rel=1e-4)
    width, height = policy.config.resize_imgs_with_padding
    assert set(asked) == {((height, width), 0.3)}


def test_alone_the_head_learns_and_nothing_else(with_stock_weights, training_batch):
    policy = with_stock_weights(train_cls_only=True, cls_attention="readout", cls_pair_steps=2)
    assert policy.config.action_delta_indices is None
    trained = policy.get_optim_params()
    head = {"model.pre_cls_param", "model.cls_log_scale"}
    head |= {name for name, _ in policy.named_parameters() if ".cls_adapter." in name}
    assert {id(p) for p in trained} == {id(p) for n, p in policy.named_parameters() if n in head}
    before = {name: value.clone() for name, value in policy.state_dict().items()}
    policy.train()
    assert not policy.model.vlm_with_expert.training
    batch = training_batch()
    del batch["action"]
    optimizer = torch.optim.AdamW(trained, lr=0.1, weight_decay=0.1)
    loss, _ = policy.forward(batch)
    loss.backward()
    optimizer.step()
    changed = {k for k, v in policy.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == head


@pytest.mark.parametrize("overrides", [{}, {"train_cls_only": True, "cls_attention": "readout"}])
def test_a_batch_too_small_says_so_but_what_an_epoch_leaves_over_does_not(
    with_stock_weights, training_batch, overrides
):
    policy = with_stock_weights(cls_objective="vicreg", cls_pair_steps=2, **overrides).train()
    with pytest.raises(ValueError, match="--batch_size"):
        policy.forward(training_batch(4))
    policy.forward(training_batch(12))
    loss, log = policy.forward(training_batch(4))
    loss.backward()
    assert "cls_loss" not in log


def test_evaluation_counts_as_no_training(with_stock_weights, training_batch):
    policy = with_stock_weights(cls_pair_steps=2).eval()
    with torch.no_grad():
        loss, log = policy.forward(training_batch())
    assert loss.isfinite()
    assert "cls_loss" in log
    assert not policy.config.cls_head_trained


def test_only_episodes_that_were_trained_on_are_remembered(
    make_config, training_batch, monkeypatch, tmp_path
):
    asked = []
    monkeypatch.setattr(
        "cls_vla_ros.policy.training.cls_training.dataset_fingerprints",
        lambda root, episodes: asked.append((root, episodes)) or [f"of {e}" for e in episodes],
    )
    config = make_config(cls_pair_steps=2, cls_episodes_trained_on=["earlier"])
    policy = CLSSmolVLAPolicy(config, dataset_meta=dataset_meta([9] * 40, root="there"))
    step(policy.train(), training_batch())
    policy.save_pretrained(tmp_path)
    assert asked == [("there", [0, 1, 2, 3, 4])]
    saved = CLSSmolVLAPolicy.from_pretrained(tmp_path).config
    assert saved.cls_episodes_trained_on == ["earlier", *(f"of {e}" for e in range(5))]
    assert saved.cls_head_trained


def step(policy, batch) -> None:
    """Of an optimizer, on what the policy trains."""
    optimizer = torch.optim.SGD(policy.get_optim_params(), lr=0.1)
    policy.forward(batch)[0].backward()
    optimizer.step()


def test_the_flag_follows_what_was_changed(make_config, training_batch, tmp_path):
    policy = CLSSmolVLAPolicy(make_config(cls_pair_steps=2, glance_width=4)).train()
    policy.forward(training_batch())[0].backward()
    policy.save_pretrained(tmp_path / "no_step")
    assert not CLSSmolVLAPolicy.from_pretrained(tmp_path / "no_step").config.cls_head_trained
    step(policy, training_batch())
    policy.forward(training_batch(seed=1))
    assert policy.config.cls_head_trained
    assert policy.config.glance_trained


@pytest.mark.parametrize("parts", [("pre_cls_param", "cls_adapter"), ("glance",)])
def test_a_part_that_is_frozen_is_not_trained(parts, make_config, training_batch, tmp_path):
    """As peft freezes all but its adapters."""
    policy = CLSSmolVLAPolicy(make_config(cls_pair_steps=2, glance_width=4)).train()
    for name, parameter in policy.model.named_parameters():
        if name.startswith(parts):
            parameter.requires_grad_(False)
    for _ in range(2):
        step(policy, training_batch())
    policy.save_pretrained(tmp_path)
    saved = CLSSmolVLAPolicy.from_pretrained(tmp_path).config
    assert saved.cls_head_trained == ("glance" in parts)
    assert saved.glance_trained == ("glance" not in parts)


@pytest.mark.skipif(not importlib.util.find_spec("peft"), reason="peft is not here")
def test_peft_leaves_the_head_and_says_so(with_stock_weights, training_batch, tmp_path, caplog):
    policy = with_stock_weights(cls_pair_steps=2, pretrained_path=tmp_path)
    wrapped = policy.wrap_with_peft(peft_cli_overrides={"method_type": "LORA", "r": 2}).train()
    assert "the CLS head stays as it is" in caplog.text
    optimizer = torch.optim.SGD([p for p in wrapped.parameters() if p.requires_grad], lr=1.0)
    for _ in range(2):
        wrapped.forward(training_batch())[0].backward()
        optimizer.step()
    assert not wrapped.config.cls_head_trained
    alone = with_stock_weights(
        cls_attention="readout", train_cls_only=True, pretrained_path=tmp_path
    )
    with pytest.raises(ValueError, match=r"peft .* freezes it: leave out one"):
        alone.wrap_with_peft(peft_cli_overrides={"method_type": "LORA", "r": 2})


def test_the_size_of_the_state_becomes_the_datasets(make_config, caplog):
    meta = dataset_meta([9, 9])
    meta.features = {"observation.state": {"dtype": "float32", "shape": (7,), "names": None}}
    policy = CLSSmolVLAPolicy(make_config(glance_width=4), dataset_meta=meta)
    assert policy.config.robot_state_feature.shape == (7,)
    assert policy.model.glance.arm[0].in_features == 14
    assert "[7], the checkpoint's was [5]" in caplog.text


@pytest.mark.parametrize(
    ("what", "overrides", "lengths", "message"),
    [
        (
            "short",
            {"cls_pair_steps": 8},
            [6, 8, 5],
            r"3 of 3.*episode 0 with 6.*cls_pair_steps=7",
        ),
        ("one", {}, [30], "tells episodes apart.*vicreg"),
        ("scratch", {"train_cls_only": True, "cls_attention": "readout"}, [30, 30], "policy.path"),
        ("cameras", {}, [30, 30], r"lacks a camera.*--rename_map"),
        ("state", {}, [30, 30], r"lacks observation\.state"),
        ("action", {}, [30, 30], "lacks action"),
    ],
)
def test_a_dataset_that_cannot_do_it_says_what_to_do(
    make_config, what, overrides, lengths, message
):
    config = make_config(**overrides)
    if what == "cameras":
        config.input_features = {"observation.state": config.input_features["observation.state"]}
    elif what == "state":
        del config.input_features["observation.state"]
    elif what == "action":
        config.output_features = {}
    with pytest.raises(ValueError, match=message):
        CLSSmolVLAPolicy(config, dataset_meta=dataset_meta(lengths))


def test_a_short_episode_is_said_and_does_not_end_the_training(make_config, caplog):
    CLSSmolVLAPolicy(make_config(cls_pair_steps=8), dataset_meta=dataset_meta([30, 8, 5]))
    assert "2 of 3 episodes are too short" in caplog.text
    assert "episode 1 with 8 frames" in caplog.text


def test_a_batch_that_lacks_something_says_what_to_do(with_stock_weights, training_batch):
    policy = with_stock_weights(cls_pair_steps=2, train_cls_only=True, cls_attention="readout")
    batch = training_batch()
    with pytest.raises(ValueError, match=r"\(10, 3, 48, 64\).*resolve_delta_timestamps"):
        policy.forward(batch | {FRONT: batch[FRONT][:, -1]})
    without = {k: v for k, v in batch.items() if not k.startswith("observation.images.")}
    with pytest.raises(ValueError, match=r"every camera.*--rename_map"):
        policy.forward(without)
    del batch["observation.language.tokens"]
    with pytest.raises(ValueError, match=r"lacks \['observation.language.tokens'\]"):
        policy.forward(batch)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"cls_objective": "simclr"}, "cls_objective must be one of"),
        ({"cls_loss_weight": -1.0}, "0 or more"),
        ({"cls_pair_steps": 0}, "at least 1"),
        ({"stale_prefix_share": 1.5}, "in .0, 1., got 1.5"),
        ({"nuisance_share": -0.5}, "nuisance_share is a share .* got -0.5"),
        ({"train_cls_only": True}, "add_cls_head"),
        ({"train_cls_only": True, "cls_loss_weight": 0.0}, "above 0"),
    ],
)
def test_settings_out_of_range_are_refused(make_config, overrides, message):
    with pytest.raises(ValueError, match=message):
        make_config(**overrides)


def test_the_earlier_frame_predicts_what_the_later_one_sees(
    with_stock_weights, training_batch, monkeypatch
):
    policy = with_stock_weights(cls_objective="infonce", cls_pair_steps=2)
    batch = training_batch()
    for key in [key for key in batch if key.startswith("observation.images") and "pad" not in key]:
        batch[key] = torch.zeros_like(batch[key])
        batch[key][:, -1] = 1.0  # a row's own frame is white, earlier ones are black
    monkeypatch.setattr(cls_views, "disturb", lambda pictures, *_: pictures)
    handed = {}

    def outputs(views):
        brightness = views[FRONT].mean(dim=(1, 2, 3))
        return torch.stack([brightness, brightness + 10], dim=1)[..., None]  # tokens 0 and 1

    def objective(predicted, seen, log_scale, negatives, visible):
        handed.update(predicted=predicted, seen=seen, negatives=negatives)
        return Objective(predicted.sum(), {})

    monkeypatch.setattr(policy, "_cls_outputs", outputs)
    monkeypatch.setattr(cls_training, "info_nce", objective)
    policy.forward(batch)
    assert set(handed["predicted"].flatten().tolist()) == {10.0}  # token 1 of the earlier frame
    assert set(handed["seen"].flatten().tolist()) == {1.0}  # token 0 of the row's own
    episodes = torch.arange(9) // 2
    assert torch.equal(handed["negatives"], episodes[:, None] != episodes)
