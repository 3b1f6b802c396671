import json
import logging

import pytest
import torch
from lerobot.configs import PreTrainedConfig
from lerobot.policies.factory import make_pre_post_processors
from safetensors.torch import load_file, save_file

from cls_vla_ros.policy import CLSSmolVLAConfig, CLSSmolVLAPolicy


@pytest.fixture
def stock_checkpoint(stock, tmp_path):
    stock.save_pretrained(tmp_path / "stock")
    return tmp_path / "stock"


def warnings_of(caplog):
    return [
        r.getMessage()
        for r in caplog.records
        if r.levelno >= logging.WARNING and "CLS head" in r.getMessage()
    ]


def test_a_checkpoint_is_the_same_after_saving_and_loading(
    with_stock_weights, make_batch, noise, tmp_path, caplog
):
    policy = with_stock_weights(cls_similarity_threshold=0.25, cls_head_trained=True)
    policy.save_pretrained(tmp_path)
    loaded = CLSSmolVLAPolicy.from_pretrained(tmp_path)
    assert loaded.config.cls_similarity_threshold == 0.25
    assert loaded.config.cls_head_trained
    assert loaded.gate.threshold == 0.25
    assert not warnings_of(caplog)
    results = [
        p.predict_action_chunk(make_batch(), noise=noise, compute_cls_similarity=True)
        for p in (policy, loaded)
    ]
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


def test_lerobot_loads_it_by_its_type(with_stock_weights, tmp_path):
    with_stock_weights().save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["type"] == "cls_smolvla"
    assert isinstance(PreTrainedConfig.from_pretrained(tmp_path), CLSSmolVLAConfig)


def test_a_stock_checkpoint_loads_and_acts_as_before(
    stock, stock_checkpoint, make_batch, noise, caplog
):
    policy = CLSSmolVLAPolicy.from_pretrained(stock_checkpoint)
    assert policy.config.type == "cls_smolvla"
    assert policy.config.cls_attention == "readout"
    assert not policy.config.cls_head_trained
    ours = policy.predict_action_chunk(make_batch(), noise=noise)
    assert torch.equal(ours, stock.predict_action_chunk(make_batch(), noise=noise))


def test_that_the_cls_head_is_untrained_is_said_once(stock_checkpoint, caplog):
    CLSSmolVLAPolicy.from_pretrained(stock_checkpoint)
    (said,) = warnings_of(caplog)
    assert "pre_cls_param" in said
    assert "mean nothing until the CLS head is trained" in said


def test_a_config_that_claims_training_is_corrected_by_missing_weights(
    with_stock_weights, tmp_path
):
    with_stock_weights(cls_head_trained=True).save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["model.pre_cls_param"]
    save_file(weights, tmp_path / "model.safetensors")
    assert not CLSSmolVLAPolicy.from_pretrained(tmp_path).config.cls_head_trained


def test_weights_that_the_actions_need_must_be_there(stock_checkpoint):
    weights = load_file(stock_checkpoint / "model.safetensors")
    del weights["model.action_out_proj.weight"]
    save_file(weights, stock_checkpoint / "model.safetensors")
    with pytest.raises(ValueError, match=r"action_out_proj\.weight"):
        CLSSmolVLAPolicy.from_pretrained(stock_checkpoint)


def test_a_directory_that_does_not_exist_is_not_asked_of_a_hub(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"does not exist.*config\.json"):
        CLSSmolVLAPolicy.from_pretrained(tmp_path / "nothing")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_an_incomplete_checkpoint_is_named(stock_checkpoint, name):
    (stock_checkpoint / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"has no {name}"):
        CLSSmolVLAPolicy.from_pretrained(stock_checkpoint)


def test_another_policy_type_is_named(stock_checkpoint):
    from lerobot.policies.act.configuration_act import ACTConfig

    ACTConfig(device="cpu")._save_pretrained(stock_checkpoint)
    with pytest.raises(ValueError, match=r"'act'.*'cls_smolvla' or 'smolvla'"):
        CLSSmolVLAPolicy.from_pretrained(stock_checkpoint)


def test_the_tiny_checkpoint_can_be_moved(checkpoint, tmp_path):
    import shutil

    moved = shutil.copytree(checkpoint, tmp_path / "moved")
    policy = CLSSmolVLAPolicy.from_pretrained(moved)
    assert policy.config.vlm_model_name == str(moved / "vlm")


def test_processors_come_with_the_checkpoint(checkpoint):
    config = CLSSmolVLAPolicy.from_pretrained(checkpoint).config
    preprocessor, postprocessor = make_pre_post_processors(config, str(checkpoint))
    batch = preprocessor({"observation.state": torch.tensor([0.1, 0.2, 0.3]), "task": "go"})
    torch.testing.assert_close(batch["observation.state"], torch.zeros(1, 3))
    torch.testing.assert_close(
        postprocessor(torch.zeros(1, 50, 3))[0, 0], torch.tensor([1.0, -1.0, 0.0])
    )


def test_saved_again_it_carries_its_vlm_along_and_names_it_relatively(checkpoint, tmp_path):
    policy = CLSSmolVLAPolicy.from_pretrained(checkpoint)
    policy.save_pretrained(tmp_path / "fine_tuned")
    assert policy.config.vlm_model_name == str(checkpoint / "vlm")  # the policy in use is the same
    assert (
        json.loads((tmp_path / "fine_tuned" / "config.json").read_text())["vlm_model_name"]
        == "vlm"
    )
    moved = (tmp_path / "fine_tuned").rename(tmp_path / "moved")
    assert CLSSmolVLAPolicy.from_pretrained(moved).config.vlm_model_name == str(moved / "vlm")
    CLSSmolVLAPolicy.from_pretrained(moved).save_pretrained(moved)  # onto itself
    CLSSmolVLAPolicy.from_pretrained(moved)


def test_a_vlm_of_a_hub_keeps_its_name(make_config, vlm, tmp_path):
    policy = CLSSmolVLAPolicy(make_config())
    policy.config.vlm_model_name = "somebody/SmolVLM"
    policy.save_pretrained(tmp_path)
    assert (
        json.loads((tmp_path / "config.json").read_text())["vlm_model_name"] == "somebody/SmolVLM"
    )
    assert not (tmp_path / "vlm").exists()


FOUND = {
    "cls_thresholds": [[0.04, 0.84], [0.3, 0.6, 0.7, 1.5]],
    "cls_max_age_s": 0.3,
    "cls_max_reuses": 8,
    "cls_episodes_trained_on": ["ab", "cd"],
    "cls_episodes_calibrated_on": ["ef"],
    "glance_threshold": 0.7,
}


def test_what_calibration_found_is_kept_in_the_checkpoint(make_config, tmp_path):
    CLSSmolVLAPolicy(make_config(**FOUND)).save_pretrained(tmp_path)
    loaded = PreTrainedConfig.from_pretrained(tmp_path)
    assert {name: getattr(loaded, name) for name in FOUND} == FOUND


@pytest.mark.parametrize(
    "bad",
    [{"cls_thresholds": [[0.2, 1.2]]}, {"cls_max_age_s": -0.1}, {"cls_max_reuses": -1}],
)
def test_a_calibration_that_is_none_is_named(make_config, bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        make_config(**bad)
