import json
import shutil

import pytest
import torch

from cls_vla_ros.inference import load_policy


def test_a_path_may_be_a_string_with_a_tilde(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    shutil.copytree(checkpoint, tmp_path / "policy")
    policy, _, _ = load_policy("~/policy")
    assert not policy.training


def test_auto_is_a_device_that_exists(checkpoint):
    policy, _, _ = load_policy(checkpoint, "auto")
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert next(policy.parameters()).device.type == policy.config.device == expected


def test_a_gpu_that_is_not_there_is_an_error_and_not_silently_a_cpu(checkpoint):
    with pytest.raises(ValueError, match=r"cuda:99.*CUDA devices"):
        load_policy(checkpoint, "cuda:99")


def test_a_device_that_is_none_is_refused(checkpoint):
    with pytest.raises(ValueError, match="'gpu'"):
        load_policy(checkpoint, "gpu")


def test_a_checkpoint_without_processors_is_named(checkpoint, tmp_path):
    copy = shutil.copytree(checkpoint, tmp_path / "old")
    (copy / "policy_preprocessor.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"policy_preprocessor\.json.*migrate"):
        load_policy(copy, "cpu")


def test_a_hub_that_cannot_be_reached_is_said(monkeypatch):
    with pytest.raises(
        FileNotFoundError, match=r"nobody/no_such_policy is no directory here.*hub"
    ):
        load_policy("nobody/no_such_policy", "cpu")


def test_a_vlm_that_cannot_be_had_is_explained(checkpoint, tmp_path):
    copy = shutil.copytree(checkpoint, tmp_path / "copy", ignore=shutil.ignore_patterns("vlm"))
    config = json.loads((copy / "config.json").read_text())
    config["vlm_model_name"] = "nobody/no_such_vlm"
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(FileNotFoundError, match=r"nobody/no_such_vlm.*put their folder"):
        load_policy(copy, "cpu")


@pytest.mark.parametrize(
    "step",
    [
        {"class": "subprocess.Popen", "config": {"args": ["touch", "it_ran"]}},
        {"class": "lerobot.processor.pipeline.importlib", "config": {}},
        {"class": "lerobot.nothing.there", "config": {}},
        {"class": ["os.system"], "config": {}},
        {"config": {}},
    ],
)
def test_a_checkpoint_cannot_choose_code_that_runs(checkpoint, tmp_path, monkeypatch, step):
    monkeypatch.chdir(tmp_path)
    copy = tmp_path / "copy"
    shutil.copytree(checkpoint, copy)
    file = copy / "policy_postprocessor.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps(content | {"steps": [*content["steps"], step]}))
    with pytest.raises(ValueError, match="no processor step of lerobot's"):
        load_policy(copy, "cpu")
    assert not (tmp_path / "it_ran").exists()


def test_a_step_of_lerobots_may_be_named_by_its_class(checkpoint, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(checkpoint, copy)
    file = copy / "policy_preprocessor.json"
    content = json.loads(file.read_text())
    step = {"class": "lerobot.processor.RenameObservationsProcessorStep", "config": {}}
    file.write_text(json.dumps(content | {"steps": [*content["steps"], step]}))
    assert len(load_policy(copy, "cpu")[1].steps) == len(content["steps"]) + 1


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"steps": 3}', '{"steps": [3]}'])
def test_damaged_processors_are_named(checkpoint, tmp_path, content):
    copy = tmp_path / "copy"
    shutil.copytree(checkpoint, copy)
    (copy / "policy_preprocessor.json").write_text(content)
    with pytest.raises(ValueError, match=r"policy_preprocessor\.json .* is damaged"):
        load_policy(copy, "cpu")


def test_a_pickle_is_refused_with_the_reason(checkpoint, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(checkpoint, copy)
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(ValueError, match="a pickle runs whatever code it holds"):
        load_policy(copy, "cpu")
