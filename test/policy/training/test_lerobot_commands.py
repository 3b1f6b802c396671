"""lerobot's own commands on our checkpoints, without a word of a plugin or of a tokenizer."""

import importlib.util
import json
import shutil

import pytest
import torch
from fixtures.lerobot_training import record, train
from lerobot.configs import FeatureType, PolicyFeature, PreTrainedConfig
from lerobot.envs.configs import EnvConfig
from lerobot.policies.factory import make_policy, make_pre_post_processors

from cls_vla_ros.console.share import share
from cls_vla_ros.inference import load_policy
from cls_vla_ros.policy import CLSSmolVLAPolicy

CAMERAS = ["observation.images.front", "observation.images.wrist"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """As the demo's; one of its episodes is shorter than a pair."""
    return record(tmp_path_factory.mktemp("demo") / "data", CAMERAS, 9, 4, lengths=(12, 12, 3))


@pytest.fixture
def demo(tmp_path, monkeypatch):
    """The demo's checkpoint, where it never was before."""
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(share("policies", "demo"), tmp_path / "moved")


def test_lerobot_train_goes_on_from_the_demos_policy(demo, dataset, tmp_path, caplog):
    out = train(demo, dataset, tmp_path / "out", "--policy.cls_pair_steps=11")
    policy, before, _ = load_policy(out, "cpu")
    assert policy.config.cls_head_trained
    assert policy.config.vlm_model_name.startswith(str(out))
    assert before({"observation.state": torch.zeros(9), "task": "x"})["observation.state"].numel()
    assert len(policy.config.cls_episodes_trained_on) > 0
    assert not policy.config.cls_thresholds  # they were measured on other weights
    assert not policy.config.cls_episodes_calibrated_on


def test_lerobot_eval_and_rollout_load_it_as_they_do(demo):
    """What both do before they need an environment, or a robot."""
    config = PreTrainedConfig.from_pretrained(demo)
    config.pretrained_path = demo
    env = EnvConfig.get_choice_class("pusht")()
    env.features = {
        "observation.state": PolicyFeature(FeatureType.STATE, (9,)),
        "action": PolicyFeature(FeatureType.ACTION, (4,)),
        **{name: PolicyFeature(FeatureType.VISUAL, (48, 64, 3)) for name in CAMERAS},
    }
    env.features_map = {name: name for name in env.features}
    policy = make_policy(config, env_cfg=env)
    before, after = make_pre_post_processors(
        config,
        pretrained_path=str(demo),
        preprocessor_overrides={
            "device_processor": {"device": "cpu"},
            "rename_observations_processor": {"rename_map": {}},
        },
    )
    pictures = {name: torch.rand(3, 48, 64) for name in CAMERAS}
    batch = before({**pictures, "observation.state": torch.zeros(9), "task": "open"})
    assert after(policy.select_action(batch)).shape == (1, 4)


@pytest.mark.skipif(not importlib.util.find_spec("peft"), reason="peft is not here")
@pytest.mark.parametrize("is_trained", [False, True])
def test_lora_leaves_the_head_as_it_was(demo, dataset, tmp_path, is_trained):
    file = demo / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"cls_head_trained": is_trained}))
    lora = ["--peft.method_type=LORA", "--peft.r=2", "--policy.cls_pair_steps=11"]
    out = train(demo, dataset, tmp_path / "out", *lora)
    saved = out / "checkpoints" / "last" / "pretrained_model"
    assert (saved / "adapter_model.safetensors").is_file()
    assert json.loads((saved / "config.json").read_text())["cls_head_trained"] == is_trained
    saved_as = json.loads((saved / "config.json").read_text())
    claims = json.dumps(saved_as | {"cls_head_trained": True})  # as it was said before
    (saved / "config.json").write_text(claims)
    policy, _, _ = load_policy(out, "cpu")
    assert policy.config.cls_head_trained == is_trained
    base = CLSSmolVLAPolicy.from_pretrained(demo)
    head = "model.pre_cls_param"
    assert torch.equal(policy.state_dict()[head], base.state_dict()[head])
    changed = "model.state_proj.weight"
    assert not torch.equal(policy.state_dict()[changed], base.state_dict()[changed])
