"""What lerobot's own commands load: `make_pre_post_processors` without a word of where it lies."""

import shutil

import pytest
import torch
from lerobot.configs import PreTrainedConfig
from lerobot.policies.factory import make_pre_post_processors

from cls_vla_ros.console.share import share
from cls_vla_ros.policy.tokenizer_step import CarriedTokenizerStep

OBSERVATION = {"observation.state": torch.zeros(3), "task": "open the drawer"}


def tokens_of(preprocessor) -> torch.Tensor:
    return preprocessor(dict(OBSERVATION))["observation.language.tokens"]


def test_a_preprocessor_carries_its_tokenizer_wherever_it_goes(checkpoint, tmp_path, monkeypatch):
    moved = shutil.copytree(checkpoint, tmp_path / "moved")
    shutil.rmtree(moved / "vlm")
    monkeypatch.chdir(tmp_path)
    config = PreTrainedConfig.from_pretrained(moved)
    before, _ = make_pre_post_processors(config, str(moved))
    expected, _ = make_pre_post_processors(config, str(checkpoint))
    assert torch.equal(tokens_of(before), tokens_of(expected))
    before.save_pretrained(tmp_path / "again")
    again, _ = make_pre_post_processors(config, None or str(_with_post(moved, tmp_path / "again")))
    assert torch.equal(tokens_of(again), tokens_of(expected))
    assert not [p for p in (tmp_path / "again").glob("*.json") if "moved" in p.read_text()]


def _with_post(source, out):
    for file in source.glob("policy_postprocessor*"):
        shutil.copy(file, out)
    return out


def test_the_demos_policy_is_lerobots_too():
    folder = share("policies", "demo")
    config = PreTrainedConfig.from_pretrained(folder)
    before, _ = make_pre_post_processors(config, str(folder))
    batch = before({"observation.state": torch.zeros(9), "task": "open"})
    assert batch["observation.language.tokens"].shape[1] == len("open\n")


def test_a_tokenizers_files_stay_in_their_folder(vlm):
    step = CarriedTokenizerStep(tokenizer_name=str(vlm))
    with pytest.raises(ValueError, match="no file of a tokenizer"):
        CarriedTokenizerStep().load_state_dict({"../x.json": torch.zeros(2, dtype=torch.uint8)})
    with pytest.raises(ValueError, match="no file of a tokenizer"):
        CarriedTokenizerStep().load_state_dict({"x.json": torch.zeros(2)})
    assert "tokenizer_name" not in step.get_config()
