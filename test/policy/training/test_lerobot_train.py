"""lerobot-train itself, on a dataset of random pictures: that it runs, resumes and saves."""

import hashlib
import json
import shutil
import subprocess

import numpy as np
import pytest
import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from safetensors.torch import load_file

from cls_vla_ros.policy.checkpoint.random_checkpoint import make_random_checkpoint
from cls_vla_ros.policy.training.provenance import dataset_fingerprints

pytestmark = pytest.mark.slow

CAMERAS = {"observation.images.front": (48, 64), "observation.images.wrist": (48, 64)}
PLUGIN = "cls_vla_ros.policy"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "dataset"
    pictures = {
        name: {"dtype": "image", "shape": (*size, 3), "names": ["height", "width", "channels"]}
        for name, size in CAMERAS.items()
    }
    values = {
        "observation.state": {"dtype": "float32", "shape": (5,), "names": list("abcde")},
        "action": {"dtype": "float32", "shape": (4,), "names": list("abcd")},
    }
    made = LeRobotDataset.create(
        "local/random", fps=27, features=pictures | values, root=root, use_videos=False
    )
    random = np.random.default_rng(0)
    for _ in range(3):
        for _ in range(12):
            frame = {n: random.integers(0, 255, (*s, 3), np.uint8) for n, s in CAMERAS.items()}
            for name, feature in values.items():
                frame[name] = random.normal(size=feature["shape"]).astype(np.float32)
            made.add_frame(frame | {"task": "open the drawer"})
        made.save_episode()
    made.finalize()
    return root


def train(dataset, out, *args, steps):
    return subprocess.run(
        [
            *("lerobot-train", f"--output_dir={out}", f"--steps={steps}"),
            *("--dataset.repo_id=local/random", f"--dataset.root={dataset}", "--batch_size=6"),
            *("--num_workers=0", "--log_freq=1", "--save_freq=2", "--wandb.enable=false"),
            *("--policy.device=cpu", "--policy.push_to_hub=false", "--policy.cls_pair_steps=2"),
            *args,
        ],
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_from_scratch_and_resumed(dataset, vlm, tmp_path):
    out = tmp_path / "out"
    run = train(
        dataset,
        out,
        *("--policy.type=cls_smolvla", f"--policy.discover_packages_path={PLUGIN}"),
        *(f"--policy.vlm_model_name={vlm}", "--policy.num_vlm_layers=4"),
        *("--policy.resize_imgs_with_padding=[64,64]", "--policy.chunk_size=4"),
        *("--policy.n_action_steps=4", "--policy.train_expert_only=false"),
        "--policy.freeze_vision_encoder=false",
        steps=2,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert "cls_loss:" in run.stderr
    assert "cls_accuracy:" in run.stderr
    saved = out / "checkpoints" / "000002" / "pretrained_model"
    config = json.loads((saved / "config.json").read_text())
    assert config["cls_head_trained"]
    assert config["cls_episodes_trained_on"] == sorted(dataset_fingerprints(dataset))
    first = load_file(saved / "model.safetensors")
    resumed = subprocess.run(
        [
            *("lerobot-train", "--resume=true", f"--config_path={saved / 'train_config.json'}"),
            *(f"--discover_packages_path={PLUGIN}", "--steps=3"),
        ],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert resumed.returncode == 0, resumed.stderr[-3000:]
    second = load_file(out / "checkpoints" / "000003" / "pretrained_model" / "model.safetensors")
    assert not torch.equal(first["model.pre_cls_param"], second["model.pre_cls_param"])


def checkpoint_to_begin_with(directory, **overrides):
    stats = {
        "observation.state": {"mean": torch.full((5,), 0.3), "std": torch.full((5,), 2.0)},
        "action": {"mean": torch.full((4,), 0.1), "std": torch.full((4,), 0.7)},
    }
    start = make_random_checkpoint(directory, CAMERAS, stats, **overrides)
    preprocessor = json.loads((start / "policy_preprocessor.json").read_text())
    for step in preprocessor["steps"]:  # it names the folder that the checkpoint was made in
        if "tokenizer_name" in step.get("config", {}):
            step["config"]["tokenizer_name"] = str(start / "vlm")
    (start / "policy_preprocessor.json").write_text(json.dumps(preprocessor))
    return start


def assert_normalisation_was_kept(saved, start):
    for name in ("preprocessor_step_5_normalizer", "postprocessor_step_0_unnormalizer"):
        file = f"policy_{name}_processor.safetensors"
        kept, was = load_file(saved / file), load_file(start / file)
        assert all(torch.equal(kept[key], value) for key, value in was.items())


def test_the_head_alone(dataset, tmp_path):
    start = checkpoint_to_begin_with(
        tmp_path / "start", cls_attention="readout", train_cls_only=True
    )
    begin = (f"--policy.path={start}", f"--discover_packages_path={PLUGIN}")
    run = train(dataset, tmp_path / "out", *begin, steps=2)
    assert run.returncode == 0, run.stderr[-3000:]
    saved = tmp_path / "out" / "checkpoints" / "last" / "pretrained_model"
    before, after = (load_file(d / "model.safetensors") for d in (start, saved))
    digests = [
        {k: hashlib.sha256(v.numpy().tobytes()).hexdigest() for k, v in weights.items()}
        for weights in (before, after)
    ]
    changed = {name for name in before if digests[0][name] != digests[1][name]}
    assert "model.pre_cls_param" in changed
    assert all(name.startswith(("model.pre_cls_param", "model.cls_")) for name in changed)
    assert set(before) == set(after)
    assert_normalisation_was_kept(saved, start)


def test_few_steps_of_a_teacher(dataset, tmp_path):
    start = checkpoint_to_begin_with(tmp_path / "start", train_expert_only=False)
    run = train(
        dataset,
        tmp_path / "out",
        *(f"--policy.path={start}", f"--discover_packages_path={PLUGIN}"),
        *(f"--policy.distill_from={start}", "--policy.num_steps=1", "--policy.time_shift=3"),
        *("--policy.nuisance_share=0.5", "--policy.stale_prefix_share=0.5"),
        steps=2,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    saved = tmp_path / "out" / "checkpoints" / "last" / "pretrained_model"
    before, after = (load_file(d / "model.safetensors") for d in (start, saved))
    assert set(before) == set(after)  # the teacher's weights are not among them
    assert not torch.equal(
        before["model.action_out_proj.weight"], after["model.action_out_proj.weight"]
    )
    assert json.loads((saved / "config.json").read_text())["num_steps"] == 1
    assert_normalisation_was_kept(saved, start)  # which is the teacher's too


def test_a_dataset_with_too_short_episodes_says_what_to_do(dataset, vlm, tmp_path):
    run = train(
        dataset,
        tmp_path / "out",
        *("--policy.type=cls_smolvla", f"--policy.discover_packages_path={PLUGIN}"),
        *(f"--policy.vlm_model_name={vlm}", "--policy.cls_pair_steps=12"),
        steps=1,
    )
    assert run.returncode != 0
    assert "3 of 3 episodes are too short" in run.stderr
    assert "--policy.cls_pair_steps=11" in run.stderr
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
