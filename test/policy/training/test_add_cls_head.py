"""A stock checkpoint, half of it in bfloat16, gets a CLS head, and that alone is trained."""

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from lerobot.configs import PreTrainedConfig
from lerobot.policies.factory import make_pre_post_processors
from safetensors.torch import load_file, save_file

from cls_vla_ros.policy import CLSSmolVLAPolicy
from cls_vla_ros.policy.training.add_cls_head import add_cls_head

HEAD = {
    "model.pre_cls_param",
    "model.cls_log_scale",
    *(f"model.cls_adapter.{layer}.weight" for layer in ("norm", "narrow", "mix")),
    *(f"model.cls_adapter.{layer}.bias" for layer in ("norm", "narrow", "mix")),
}
STATS = {
    "observation.state": {"mean": torch.full((5,), 0.3), "std": torch.full((5,), 2.0)},
    "action": {"mean": torch.full((4,), 0.1), "std": torch.full((4,), 0.7)},
}


@pytest.fixture
def stock_checkpoint(stock, tmp_path):
    directory = tmp_path / "stock"
    stock.save_pretrained(directory)
    weights = load_file(directory / "model.safetensors")
    weights = {k: v.bfloat16() if ".vlm." in k else v for k, v in weights.items()}
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    for processor in make_pre_post_processors(stock.config, dataset_stats=STATS):
        processor.save_pretrained(directory)
    return directory


def bytes_of(directory):
    weights = load_file(directory / "model.safetensors")
    return {
        name: (str(w.dtype), w.reshape(-1).view(torch.uint8).numpy().tobytes())
        for name, w in weights.items()
    }


def train_one_step(directory, make_batch):
    """As lerobot-train does it."""
    config = PreTrainedConfig.from_pretrained(directory)
    config.pretrained_path = directory
    meta = SimpleNamespace(
        episodes={"length": [20] * 5},
        features={},
        root=directory / "nowhere",
        stats={"action": {"mean": torch.zeros(4), "std": torch.ones(4)}},
    )
    policy = CLSSmolVLAPolicy.from_pretrained(directory, config=config, dataset_meta=meta)
    frames = len(config.observation_delta_indices)
    batch = make_batch(batch_size=8)
    for key in list(batch):
        if key.startswith("observation.images"):
            batch[key] = torch.rand(8, frames, *batch[key].shape[1:])
    batch["observation.state"] = torch.rand(8, frames, batch["observation.state"].shape[-1])
    batch["observation.state_is_pad"] = torch.zeros(8, frames, dtype=torch.bool)
    batch["episode_index"] = torch.arange(8) % 5
    policy.train()
    optimizer = torch.optim.AdamW(policy.get_optim_params(), lr=0.1, weight_decay=0.1)
    policy.forward(batch)[0].backward()
    optimizer.step()
    return policy, meta


def test_every_weight_but_the_heads_stays_byte_for_byte(stock_checkpoint, make_batch, tmp_path):
    stock = bytes_of(stock_checkpoint)
    add_cls_head(stock_checkpoint, tmp_path / "with_head")
    with_head = bytes_of(tmp_path / "with_head")
    head = HEAD | {name for name in with_head if name.startswith("model.glance.")}
    assert len(head) > len(HEAD)
    assert set(with_head) - set(stock) == head
    assert {k: v for k, v in with_head.items() if k not in head} == stock
    policy, _ = train_one_step(tmp_path / "with_head", make_batch)
    policy.save_pretrained(tmp_path / "trained")
    trained = bytes_of(tmp_path / "trained")
    assert {k: v for k, v in trained.items() if k not in head} == stock
    assert {k for k in head if trained[k] != with_head[k]} == head
    config = json.loads((tmp_path / "trained" / "config.json").read_text())
    assert config["type"] == "cls_smolvla"
    assert config["cls_head_trained"]
    assert config["glance_trained"]
    assert config["cls_attention"] == "readout"
    for file in stock_checkpoint.glob("policy_*"):  # lerobot-train saves them itself
        (tmp_path / "trained" / file.name).write_bytes(file.read_bytes())
    again, _ = train_one_step(tmp_path / "trained", make_batch)  # as --resume does
    again.save_pretrained(tmp_path / "again")
    assert {k: v for k, v in bytes_of(tmp_path / "again").items() if k not in head} == stock


def test_it_acts_and_normalises_as_before(
    stock, stock_checkpoint, make_batch, noise, tmp_path, caplog
):
    stock.load_state_dict(load_file(stock_checkpoint / "model.safetensors"))
    add_cls_head(stock_checkpoint, tmp_path / "with_head")
    for name in ("policy_preprocessor", "policy_postprocessor"):
        for file in stock_checkpoint.glob(f"{name}*"):
            assert (tmp_path / "with_head" / file.name).read_bytes() == file.read_bytes()
    policy, meta = train_one_step(tmp_path / "with_head", make_batch)
    for key, values in STATS.items():  # lerobot-train takes the dataset's from there
        for name, value in values.items():
            torch.testing.assert_close(torch.as_tensor(meta.stats[key][name]), value)
    assert torch.equal(
        policy.predict_action_chunk(make_batch(), noise=noise),
        stock.predict_action_chunk(make_batch(), noise=noise),
    )
    assert caplog.text.count("has no CLS head") == 1


def test_what_it_cannot_do_says_what_to_do(stock_checkpoint, with_stock_weights, stock, tmp_path):
    with pytest.raises(FileExistsError, match="choose another"):
        add_cls_head(stock_checkpoint, stock_checkpoint)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        add_cls_head(tmp_path / "nothing", tmp_path / "out")
    stock.save_pretrained(tmp_path / "bare")
    with pytest.raises(FileNotFoundError, match="migrate_policy_normalization"):
        add_cls_head(tmp_path / "bare", tmp_path / "out")
    with_stock_weights().save_pretrained(tmp_path / "bidirectional")
    for file in stock_checkpoint.glob("policy_*"):
        (tmp_path / "bidirectional" / file.name).write_bytes(file.read_bytes())
    with pytest.raises(ValueError, match="has a CLS head already"):
        add_cls_head(tmp_path / "bidirectional", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_command(stock_checkpoint, tmp_path):
    command = [sys.executable, "-m", "cls_vla_ros.policy.training.add_cls_head"]
    run = [*command, str(stock_checkpoint), str(tmp_path / "out")]
    first, second = (subprocess.run(run, capture_output=True, text=True) for _ in range(2))
    assert first.returncode == 0, first.stderr
    assert "lerobot-train --policy.path=" in first.stdout
    assert second.returncode == 2
    assert "choose another directory" in second.stderr


def test_the_head_may_come_without_a_glance(stock_checkpoint, tmp_path):
    policy = add_cls_head(stock_checkpoint, tmp_path / "with_head", glance_width=0)
    assert not any("glance" in name for name, _ in policy.named_parameters())
