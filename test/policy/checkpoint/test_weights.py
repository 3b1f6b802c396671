import importlib.util
import json
import logging
import sys

import pytest
import torch
from huggingface_hub import save_torch_state_dict
from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, SmolVLMForConditionalGeneration

from cls_vla_ros.inference import load_policy
from cls_vla_ros.policy import CLSSmolVLAPolicy

needs_peft = pytest.mark.skipif(not importlib.util.find_spec("peft"), reason="peft is not here")


def actions(policy, batch, noise):
    return policy.predict_action_chunk(batch, noise=noise)


def test_several_files_are_as_good_as_one(whole, make_batch, noise, caplog):
    one = CLSSmolVLAPolicy.from_pretrained(whole)
    weights = load_file(whole / "model.safetensors")
    (whole / "model.safetensors").unlink()
    save_torch_state_dict(weights, whole, max_shard_size="500KB")
    assert len(list(whole.glob("model-*.safetensors"))) > 2
    several, _, _ = load_policy(whole, "cpu")
    assert torch.equal(actions(several, make_batch(), noise), actions(one, make_batch(), noise))
    index = json.loads((whole / "model.safetensors.index.json").read_text())
    name = "model.action_out_proj.weight"
    shard = whole / index["weight_map"][name]
    weights = load_file(shard)
    del weights[name]
    save_file(weights, shard)
    with pytest.raises(ValueError, match=r"lacks 1 weights.*action_out_proj\.weight"):
        CLSSmolVLAPolicy.from_pretrained(whole)


@pytest.mark.parametrize("with_weights", [False, True])
def test_the_vlms_own_weights_are_not_needed(
    vlm, make_config, make_batch, noise, tmp_path, with_weights
):
    """As a published checkpoint: load_vlm_weights, with the VLM in bfloat16."""
    torch.manual_seed(3)
    source = tmp_path / "vlm_with_weights"
    model = SmolVLMForConditionalGeneration(AutoConfig.from_pretrained(vlm))
    model.to(torch.bfloat16).save_pretrained(source)
    for file in vlm.iterdir():
        if not (source / file.name).exists():
            (source / file.name).write_bytes(file.read_bytes())
    config = make_config(SmolVLAConfig, load_vlm_weights=True, vlm_model_name=str(source))
    stock = SmolVLAPolicy(config).eval()
    stock.save_pretrained(tmp_path / "published")
    if not with_weights:
        (source / "model.safetensors").unlink()
    ours = CLSSmolVLAPolicy.from_pretrained(tmp_path / "published")
    assert ours.config.load_vlm_weights  # as it was: what is saved again is as it was
    theirs = stock.state_dict()
    own = {name: tensor for name, tensor in ours.state_dict().items() if name in theirs}
    assert own.keys() == theirs.keys()
    assert {name for name in own if own[name].dtype != theirs[name].dtype} == set()
    assert all(torch.equal(own[name], theirs[name]) for name in own)
    expected = actions(stock, make_batch(), noise)
    assert torch.equal(actions(ours, make_batch(), noise), expected)
    with_gate = ours.predict_action_chunk(make_batch(), noise=noise, compute_cls_similarity=True)
    assert torch.equal(with_gate[0], expected)
    prefix = ours.encode_prefix(make_batch())
    refreshed = ours.denoise(ours.refresh_state(prefix, make_batch()), noise)
    torch.testing.assert_close(refreshed, expected, atol=0.05, rtol=0)  # bfloat16's last bits


@needs_peft
def test_an_adapter_is_merged_into_its_base(whole, make_batch, noise, tmp_path, caplog):
    from peft import PeftModel

    config = SmolVLAConfig.from_pretrained(whole)
    config.pretrained_path = whole
    base = SmolVLAPolicy.from_pretrained(whole, config=config)
    wrapped = base.wrap_with_peft(peft_cli_overrides={"method_type": "LORA", "r": 4})
    torch.manual_seed(7)
    for name, parameter in wrapped.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    adapter = tmp_path / "adapter"
    wrapped.save_pretrained(adapter)
    wrapped.config.save_pretrained(adapter)
    for file in whole.glob("policy_*"):
        (adapter / file.name).write_bytes(file.read_bytes())
    expected = actions(wrapped.eval().get_base_model(), make_batch(), noise)
    caplog.set_level(logging.INFO)
    policy, _, _ = load_policy(adapter, "cpu")
    assert "is merged into its base" in caplog.text
    assert not isinstance(policy, PeftModel)
    assert not any("lora" in name for name in policy.state_dict())
    torch.testing.assert_close(actions(policy, make_batch(), noise), expected, atol=1e-4, rtol=0)
    plain = actions(CLSSmolVLAPolicy.from_pretrained(whole), make_batch(), noise)
    assert (plain - expected).abs().max() > 1e-2  # else the adapter did nothing
    assert not policy.config.cls_head_trained
    policy.save_pretrained(tmp_path / "merged")
    again = CLSSmolVLAPolicy.from_pretrained(tmp_path / "merged")
    assert torch.equal(actions(again, make_batch(), noise), actions(policy, make_batch(), noise))
    whole.rename(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError, match=r"adapter.*base_model_name_or_path in"):
        load_policy(adapter, "cpu")


def test_an_adapter_without_peft_says_what_to_install(whole, tmp_path, monkeypatch):
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "config.json").write_text((whole / "config.json").read_text())
    (adapter / "adapter_config.json").write_text(
        json.dumps({"base_model_name_or_path": "../whole", "peft_type": "LORA"})
    )
    save_file({"a": torch.zeros(1)}, adapter / "adapter_model.safetensors")
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ValueError, match=r"pip install 'lerobot\[peft\]'"):
        CLSSmolVLAPolicy.from_pretrained(adapter)
