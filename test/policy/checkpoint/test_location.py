import json
import shutil

import pytest
from huggingface_hub import constants

from cls_vla_ros.inference import load_policy
from cls_vla_ros.policy import CLSSmolVLAPolicy
from cls_vla_ros.policy.checkpoint.location import base_of, locate


@pytest.fixture
def run(whole, tmp_path):
    """A training's folder: steps 2 and 10, and the link to the last."""
    out = tmp_path / "outputs" / "my_policy"
    for step in ("000002", "000010"):
        shutil.copytree(whole, out / "checkpoints" / step / "pretrained_model")
    (out / "checkpoints" / "last").symlink_to("000010")
    return out


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (".", "000010"),
        ("checkpoints", "000010"),
        ("checkpoints/last", "000010"),
        ("checkpoints/000002", "000002"),
        ("checkpoints/000002/pretrained_model", "000002"),
    ],
)
def test_a_trainings_folder_is_its_last_step_and_a_step_is_itself(run, given, expected, caplog):
    caplog.set_level("INFO")
    found = locate(run / given)
    assert found.resolve() == run / "checkpoints" / expected / "pretrained_model"
    said = "is a training's folder: the checkpoint is" in caplog.text
    assert said == (not given.endswith("pretrained_model"))
    assert not said or str(found.resolve()) in caplog.text


def test_without_the_link_it_is_the_highest_step(run):
    (run / "checkpoints" / "last").unlink()
    assert locate(run).parent.name == "000010"


def test_it_loads_from_there(run):
    policy, _, _ = load_policy(run, "cpu")
    assert not policy.training
    assert CLSSmolVLAPolicy.from_pretrained(run / "checkpoints" / "last").config.type


def test_a_folder_without_a_checkpoint_says_what_it_has(tmp_path):
    (tmp_path / "wandb").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no config\.json.*lerobot-train.*\['wandb'\]"):
        locate(tmp_path)


def test_a_checkpoint_that_was_pushed_is_found_as_one_that_lies_here(
    checkpoint, tmp_path, monkeypatch
):
    """A hub's cache, as huggingface_hub writes it, with a VLM's folder in the checkpoint."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    repository = tmp_path / "hub" / "models--someone--pushed"
    (repository / "refs").mkdir(parents=True)
    commit = "0123456789abcdef0123456789abcdef01234567"
    (repository / "refs" / "main").write_text(commit)
    shutil.copytree(checkpoint, repository / "snapshots" / commit)
    policy, before, _ = load_policy("someone/pushed", "cpu")
    assert policy.config.vlm_model_name == str(repository / "snapshots" / commit / "vlm")
    assert before(
        {"observation.state": policy.state_dict()["model.state_proj.bias"][:3].cpu(), "task": "go"}
    )["observation.language.tokens"].numel()
    assert CLSSmolVLAPolicy.from_pretrained("someone/pushed", revision="main")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"weight_map": 3}'])
def test_a_damaged_index_is_named(whole, content):
    (whole / "model.safetensors").unlink()
    (whole / "model.safetensors.index.json").write_text(content)
    with pytest.raises(ValueError, match=r"index\.json is damaged"):
        locate(whole)


@pytest.mark.parametrize("content", ["", "[]"])
def test_a_damaged_adapter_is_named(whole, content):
    (whole / "model.safetensors").rename(whole / "adapter_model.safetensors")
    (whole / "adapter_config.json").write_text(content)
    with pytest.raises(ValueError, match=r"adapter_config\.json is damaged"):
        load_policy(whole, "cpu")


def test_an_adapter_that_names_no_base_says_where_to(whole):
    (whole / "model.safetensors").rename(whole / "adapter_model.safetensors")
    (whole / "adapter_config.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match="set base_model_name_or_path in"):
        base_of(whole)


def test_shards_that_are_missing_are_named(whole):
    (whole / "model.safetensors").unlink()
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors"}, "metadata": {}}
    (whole / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(FileNotFoundError, match=r"index\.json names \['model-00001"):
        locate(whole)
