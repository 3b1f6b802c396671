"""`train_demo DATASET OUT`: train the demo's policy, from scratch, with lerobot-train.

The dataset is one that `bag_to_dataset` made, with pictures of the policy's size. The policy is a
SmolVLA small enough for two CPU cores; everything else is lerobot's. An interrupted run goes on
from its last checkpoint when the same command is given again. OUT/policy is the policy, OUT/train
what lerobot-train wrote.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from cls_vla_ros.policy.checkpoint.files import VLM_FOLDER
from cls_vla_ros.policy.checkpoint.random_checkpoint import DEMO, write_vlm
from cls_vla_ros.policy.glance import CHANNELS

PLUGIN = "cls_vla_ros.policy"
STEPS, BATCH_SIZE, LEARNING_RATE = 3300, 128, 1e-3
STALE_PREFIX_SHARE = NUISANCE_SHARE = 0.5
PAIR_STEPS = 24  # 0.9 s: as old as a reused prefix may become
TIME_SHIFT = 3.0  # for few steps of denoising
CHUNK_SIZE = 12  # 0.45 s at the recordings' 27 frames per second
SAVE_EVERY = 250
# What a checkpoint is without lerobot's own notes, which name folders of this machine.
POLICY_FILES = (
    "config.json",
    "model.safetensors",
    "policy_preprocessor*",
    "policy_postprocessor*",
)


def training_command(
    dataset: Path, out: Path, *, steps: int, seed: int, device: str, overrides: list[str]
) -> list[str]:
    """lerobot-train's command line, to begin or to go on.

    Args:
        dataset: folder of a LeRobotDataset v3.
        out: folder for all of it.
        steps: of the optimizer.
        seed: of weights, data order and nuisances.
        device: "cpu" or "cuda".
        overrides: further arguments of lerobot-train.
    """
    train = [sys.executable, "-m", "lerobot.scripts.lerobot_train"]
    last = out / "train" / "checkpoints" / "last" / "pretrained_model" / "train_config.json"
    if last.is_file():
        go_on = ["--resume=true", f"--config_path={last}", f"--discover_packages_path={PLUGIN}"]
        return [*train, *go_on, f"--steps={steps}", *overrides]
    side = DEMO.vision["image_size"]
    cores = len(os.sched_getaffinity(0))
    policy = {
        "type": "cls_smolvla",
        "discover_packages_path": PLUGIN,
        "vlm_model_name": out / VLM_FOLDER,
        "num_vlm_layers": DEMO.num_vlm_layers,
        "resize_imgs_with_padding": f"[{side},{side}]",
        "chunk_size": CHUNK_SIZE,
        "n_action_steps": CHUNK_SIZE,
        "freeze_vision_encoder": "false",  # there is nothing to keep: all begins at random
        "train_expert_only": "false",
        "optimizer_lr": LEARNING_RATE,
        "stale_prefix_share": STALE_PREFIX_SHARE,
        "nuisance_share": NUISANCE_SHARE,
        "cls_pair_steps": PAIR_STEPS,
        "glance_width": CHANNELS,
        "time_shift": TIME_SHIFT,
        "device": device,
        "push_to_hub": "false",
    }
    run = {
        "dataset.repo_id": f"local/{dataset.name}",
        "dataset.root": dataset,
        "dataset.use_imagenet_stats": "false",
        "output_dir": out / "train",
        "steps": steps,
        "batch_size": BATCH_SIZE,
        "seed": seed,
        "num_workers": min(cores - 1, 14) or 1,  # they read pictures, one core computes
        "save_freq": SAVE_EVERY,
        "log_freq": 50,
        "env_eval_freq": 0,
        "wandb.enable": "false",
    }
    arguments = {**{f"policy.{key}": value for key, value in policy.items()}, **run}
    return [*train, *(f"--{key}={value}" for key, value in arguments.items()), *overrides]


def export_policy(trained: Path, out: Path) -> None:
    """Copy a checkpoint of lerobot-train, so that it names no folder of this machine.

    Args:
        trained: its pretrained_model.
        out: for the copy; replaced if it is there.
    """
    unfinished = out.with_name(f".{out.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    shutil.copytree(trained / VLM_FOLDER, unfinished / VLM_FOLDER)
    for pattern in POLICY_FILES:
        for file in trained.glob(pattern):
            shutil.copy(file, unfinished)
    config = json.loads((unfinished / "config.json").read_text())
    config["pretrained_path"] = config["distill_from"] = None
    config["device"] = "cpu"  # who loads it says where it runs; not every machine has a GPU
    (unfinished / "config.json").write_text(json.dumps(config, indent=4) + "\n")
    preprocessor = json.loads((unfinished / "policy_preprocessor.json").read_text())
    for step in preprocessor["steps"]:
        if "device" in step.get("config", {}):
            step["config"]["device"] = "cpu"
    (unfinished / "policy_preprocessor.json").write_text(json.dumps(preprocessor, indent=2) + "\n")
    shutil.rmtree(out, ignore_errors=True)
    unfinished.rename(out)


def parse_args(args: list[str] | None = None) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        prog="train_demo",
        description=__doc__.split("\n")[0],
        epilog="What else is given goes to lerobot-train, such as --policy.cls_objective=vicreg.",
    )
    parser.add_argument("dataset", type=Path, help="folder of a LeRobotDataset v3")
    parser.add_argument("out", type=Path, help="folder for the policy and lerobot's output")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"(default {STEPS})")
    parser.add_argument("--seed", type=int, default=0, help="(default 0)")
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    return parser.parse_known_args(args)


def main() -> None:
    args, overrides = parse_args()
    dataset, out = args.dataset.resolve(), args.out.resolve()
    if not (dataset / "meta" / "info.json").is_file():
        sys.exit(
            f"{dataset} is no LeRobotDataset: there is no meta/info.json. Make one with "
            "bag_to_dataset"
        )
    if not (out / VLM_FOLDER).is_dir():
        write_vlm(out / VLM_FOLDER, DEMO)
    command = training_command(
        dataset, out, steps=args.steps, seed=args.seed, device=args.device, overrides=overrides
    )
    trained = out / "train" / "checkpoints" / "last" / "pretrained_model"
    code = subprocess.run(command, check=False).returncode
    if code:
        sys.exit(code)
    export_policy(trained, out / "policy")
    megabytes = (out / "policy" / "model.safetensors").stat().st_size / 1e6
    print(f"wrote {out / 'policy'}, {megabytes:.1f} MB of weights")


if __name__ == "__main__":
    main()
