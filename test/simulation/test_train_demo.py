import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from safetensors.torch import load_file

from cls_vla_ros.inference import load_policy
from cls_vla_ros.policy.checkpoint.random_checkpoint import DEMO, make_random_checkpoint, write_vlm
from cls_vla_ros.simulation.train_demo import export_policy, main, training_command

CAMERAS = {"observation.images.front": (48, 64), "observation.images.wrist": (48, 64)}
STATS = {
    "observation.state": {"mean": torch.zeros(9), "std": torch.ones(9)},
    "action": {"mean": torch.zeros(4), "std": torch.ones(4)},
}


def command(tmp_path, *overrides, **more):
    values = {"steps": 30, "seed": 2, "device": "cpu", "overrides": list(overrides)} | more
    return training_command(tmp_path / "data" / "mine", tmp_path / "out", **values)


def test_the_first_run_begins_from_nothing(tmp_path):
    asked = command(tmp_path, "--policy.cls_objective=vicreg")
    assert asked[:3] == [sys.executable, "-m", "lerobot.scripts.lerobot_train"]
    assert {"--policy.type=cls_smolvla", "--steps=30", "--seed=2"} <= set(asked)
    assert f"--dataset.root={tmp_path / 'data' / 'mine'}" in asked
    assert asked[-1] == "--policy.cls_objective=vicreg"
    assert not any(argument.startswith("--resume") for argument in asked)


def test_the_next_run_goes_on(tmp_path):
    last = tmp_path / "out" / "train" / "checkpoints" / "last" / "pretrained_model"
    last.mkdir(parents=True)
    (last / "train_config.json").write_text("{}")
    asked = command(tmp_path, "--batch_size=4")
    assert {"--resume=true", f"--config_path={last / 'train_config.json'}"} <= set(asked)
    assert "--steps=30" in asked
    assert asked[-1] == "--batch_size=4"


@pytest.mark.parametrize(("cores", "workers"), [(1, 1), (2, 1), (3, 2), (64, 14)])
def test_the_cores_are_shared_out(tmp_path, monkeypatch, cores, workers):
    monkeypatch.setattr(os, "sched_getaffinity", lambda of: set(range(cores)))
    assert f"--num_workers={workers}" in command(tmp_path)


def test_what_is_exported_can_be_moved_and_names_no_folder(tmp_path):
    trained = make_random_checkpoint(tmp_path / "trained", CAMERAS, STATS)
    config = json.loads((trained / "config.json").read_text())
    config |= {"pretrained_path": str(tmp_path / "trained"), "device": "cuda"}
    (trained / "config.json").write_text(json.dumps(config))
    file = trained / "policy_preprocessor.json"
    steps = json.loads(file.read_text())
    device = next(s for s in steps["steps"] if "device" in s.get("config", {}))
    device["config"]["device"] = "cuda"
    file.write_text(json.dumps(steps))
    (trained / "train_config.json").write_text(json.dumps({"root": str(tmp_path)}))
    weights = load_file(trained / "model.safetensors")

    out = tmp_path / "out"
    out.mkdir()
    (out / "old").write_text("of an earlier run")
    export_policy(trained, out)
    shutil.rmtree(trained)
    moved = shutil.move(out, tmp_path / "moved")
    assert not any(
        str(tmp_path) in f.read_text() for f in moved.rglob("*.json") if f.name != "tokenizer.json"
    )
    assert {"old", "train_config.json"}.isdisjoint(f.name for f in moved.iterdir())
    assert '"cuda"' not in (moved / "policy_preprocessor.json").read_text()
    policy, *_ = load_policy(moved, "cpu")
    now = policy.state_dict()
    assert all(torch.equal(now[name], tensor) for name, tensor in weights.items())


def test_what_is_no_dataset_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train_demo", str(tmp_path / "none"), str(tmp_path / "o")])
    with pytest.raises(SystemExit, match="Make one with bag_to_dataset"):
        main()
    assert not (tmp_path / "o").exists()


def test_what_lerobot_says_is_the_exit_code(tmp_path, monkeypatch):
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "info.json").write_text("{}")
    failed = subprocess.CompletedProcess([], 3)
    monkeypatch.setattr(subprocess, "run", lambda *args, **more: failed)
    monkeypatch.setattr(sys, "argv", ["train_demo", str(tmp_path), str(tmp_path / "out")])
    with pytest.raises(SystemExit) as said:
        main()
    assert said.value.code == 3
    assert not (tmp_path / "out" / "policy").exists()


@pytest.mark.slow
def test_it_trains_and_goes_on(tmp_path):
    root = tmp_path / "data"
    features = {
        name: {"dtype": "image", "shape": (*size, 3), "names": ["height", "width", "channels"]}
        for name, size in CAMERAS.items()
    } | {
        "observation.state": {"dtype": "float32", "shape": (9,), "names": list("abcdefghi")},
        "action": {"dtype": "float32", "shape": (4,), "names": list("abcd")},
    }
    made = LeRobotDataset.create(
        "local/data", fps=27, features=features, root=root, use_videos=False
    )
    random = np.random.default_rng(0)
    for _ in range(2):
        for _ in range(12):
            frame = {n: random.integers(0, 255, (*s, 3), np.uint8) for n, s in CAMERAS.items()}
            frame["observation.state"] = random.normal(size=9).astype(np.float32)
            frame["action"] = random.normal(size=4).astype(np.float32)
            made.add_frame(frame | {"task": "open the drawer"})
        made.save_episode()
    made.finalize()
    out = tmp_path / "out"
    for steps in (2, 3):
        asked = ["--steps", str(steps), "--batch_size=4", "--num_workers=0", "--save_freq=2"]
        run = subprocess.run(
            [
                sys.executable,
                "-m",
                "cls_vla_ros.simulation.train_demo",
                str(root),
                str(out),
                *asked,
            ],
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert run.returncode == 0, run.stderr[-3000:]
        assert "MB of weights" in run.stdout
        assert (out / "train" / "checkpoints" / f"{steps:06}").is_dir()
    policy, *_ = load_policy(out / "policy", "cpu")
    assert policy.config.cls_head_trained
    assert policy.config.cls_adapter_width == 0
    write_vlm(tmp_path / "vlm", DEMO)
    made_of = json.loads((tmp_path / "vlm" / "config.json").read_text())
    assert policy.config.resize_imgs_with_padding[0] == made_of["vision_config"]["image_size"]
