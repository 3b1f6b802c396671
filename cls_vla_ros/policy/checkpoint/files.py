"""What loading needs beyond lerobot: stock checkpoints, a VLM beside the weights, plain words."""

import logging
import re
import shutil
from pathlib import Path

import torch
from lerobot.configs import PreTrainedConfig
from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig
from lerobot.processor import NormalizerProcessorStep, PolicyProcessorPipeline
from lerobot.utils.constants import POLICY_PREPROCESSOR_DEFAULT_NAME
from safetensors import safe_open
from torch import Tensor

from cls_vla_ros.policy.checkpoint.temporary_files import temporary_files_removed
from cls_vla_ros.policy.configuration_cls_smolvla import CLSSmolVLAConfig

logger = logging.getLogger(__name__)

HUB_ID = re.compile(r"[\w-][\w.-]*/[\w.-]+")
VLM_FOLDER = "vlm"
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
WEIGHTS = ("*.safetensors", "*.bin", "*.onnx", "onnx")  # the policy's own hold the VLM's
CLS_WEIGHTS = ("model.pre_cls_param", "model.cls_adapter.")
GLANCE_WEIGHTS = "model.glance."
TRAINING_WEIGHTS = ("model.cls_log_scale",)  # older checkpoints do not have it
FLOATS = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}
# The language model's output layer is built by transformers, but SmolVLA never runs it.
UNUSED_WEIGHTS = ("lm_head",)


def load_config(
    path: str | Path, *, config: PreTrainedConfig | None = None, **hub_kwargs
) -> CLSSmolVLAConfig:
    """The configuration of a checkpoint, as `cls_smolvla`.

    Args:
        path: a directory, or a hub id.
        config: overrides the checkpoint's.
        hub_kwargs: lerobot's (revision, cache_dir, local_files_only, ...).

    Raises:
        FileNotFoundError: there is no such checkpoint.
        ValueError: it is of a policy type that is not SmolVLA.
    """
    check_exists(path)
    if config is None:
        with temporary_files_removed():
            config = PreTrainedConfig.from_pretrained(path, **hub_kwargs)
    if not isinstance(config, SmolVLAConfig):
        raise ValueError(
            f"the checkpoint {path} is of the policy type {config.type!r}; expected 'cls_smolvla' "
            "or 'smolvla'"
        )
    if not isinstance(config, CLSSmolVLAConfig):
        config = CLSSmolVLAConfig.from_stock(config)
    config.vlm_model_name = vlm_directory(path, config.vlm_model_name)
    return config


def check_exists(path: str | Path) -> None:
    """Tell a mistyped directory from a hub id, before a hub is asked for it.

    Raises:
        FileNotFoundError: neither a directory with a checkpoint, nor in the form of a hub id.
        ValueError: its weights are a pickle.
    """
    directory = Path(path).expanduser()
    expected = (
        "expected a directory with config.json and model.safetensors, or a hub id such as "
        "'user/my_policy'"
    )
    if not directory.exists():
        if HUB_ID.fullmatch(str(path)):
            return
        raise FileNotFoundError(f"the checkpoint {path} does not exist: {expected}")
    present = (
        sorted(entry.name for entry in directory.iterdir()) if directory.is_dir() else "a file"
    )
    pickles = [n for n in present if n.endswith(PICKLES)] if directory.is_dir() else []
    if pickles and not (directory / "model.safetensors").is_file():
        raise ValueError(
            f"the checkpoint {path} has its weights in {pickles}: a pickle runs whatever code it "
            "holds when it is loaded, so only model.safetensors is read. Convert it where you "
            "trust it: load it there with lerobot and call save_pretrained"
        )
    for name in ("config.json", "model.safetensors"):
        if not (directory / name).is_file():
            raise FileNotFoundError(
                f"the checkpoint {path} has no {name}: {expected}; it has {present}"
            )


def vlm_directory(path: str | Path, vlm_model_name: str) -> str:
    """Where the VLM's configuration and tokenizer are.

    A checkpoint may carry them in a folder of its own and name it relatively, so that it loads
    without a hub and wherever it is moved to.
    """
    beside = Path(path).expanduser() / vlm_model_name
    return str(beside) if beside.is_dir() else vlm_model_name


def save_vlm_beside(config: CLSSmolVLAConfig, directory: Path) -> None:
    """Put a local VLM's folder into a checkpoint, and its name there into the configuration.

    Without that a policy fine-tuned from a checkpoint with its own VLM folder would name a folder
    of the machine that it was trained on.

    Args:
        config: of the policy; it is the same afterwards.
        directory: the checkpoint; it has a configuration already.
    """
    vlm = Path(config.vlm_model_name)
    if not vlm.is_dir():
        return
    beside = directory / VLM_FOLDER
    if vlm.resolve() != beside.resolve():
        shutil.copytree(vlm, beside, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*WEIGHTS))
    try:
        config.vlm_model_name = VLM_FOLDER
        config._save_pretrained(directory)
    finally:
        config.vlm_model_name = str(vlm)


def stored_dtypes(file: str | Path) -> dict[str, torch.dtype | None]:
    """Names and floating dtypes of the weights in a safetensors file; None for another dtype."""
    with safe_open(file, framework="pt") as weights:
        names = weights.keys()
        return {name: FLOATS.get(weights.get_slice(name).get_dtype()) for name in names}


def as_stored(
    state_dict: dict[str, Tensor], dtypes: dict[str, torch.dtype | None]
) -> dict[str, Tensor]:
    """A policy's weights as the checkpoint that it was loaded from has them.

    lerobot loads a language model stored in bfloat16 into float32, and would save it so: twice as
    large, and no byte the same. Weights that were not trained go back without loss.

    Args:
        state_dict: the policy's weights.
        dtypes: `stored_dtypes` of that checkpoint.

    Returns:
        Those that it has, in its dtypes, and the CLS head's.
    """
    own = (*CLS_WEIGHTS, GLANCE_WEIGHTS, *TRAINING_WEIGHTS)
    return {
        name: tensor if name.startswith(own) else tensor.to(dtypes[name] or tensor.dtype)
        for name, tensor in state_dict.items()
        if name.startswith(own) or name in dtypes
    }


def keep_normalisation(path: str | Path, config: CLSSmolVLAConfig, stats: dict[str, dict]) -> None:
    """Make a dataset's statistics those of a checkpoint.

    lerobot-train normalises by the dataset's where it goes on from a checkpoint, and saves them
    with it. A policy that shall act as it did must be fed and read as it was.

    Args:
        path: the checkpoint, with its processors.
        config: of its policy.
        stats: of the dataset, by feature; changed in place.
    """
    preprocessor = PolicyProcessorPipeline.from_pretrained(
        path,
        config_filename=f"{POLICY_PREPROCESSOR_DEFAULT_NAME}.json",
        overrides={
            "tokenizer_processor": {"tokenizer_name": config.vlm_model_name},
            "device_processor": {"device": "cpu"},
        },
    )
    for step in preprocessor.steps:
        if isinstance(step, NormalizerProcessorStep):
            stats.update(step.stats)


def explain_missing_weights(
    config: CLSSmolVLAConfig, directory: Path, missing: list[str], unexpected: list[str]
) -> None:
    """Say once what a checkpoint lacked, and refuse one whose actions would be random.

    Args:
        config: the loaded policy's; `cls_head_trained` becomes False if the CLS weights were
            missing, `glance_trained` if the glance's were.
        directory: the checkpoint, for the message.
        missing: names of weights of the model that the checkpoint lacks.
        unexpected: names of weights of the checkpoint that the model lacks.

    Raises:
        ValueError: weights that the actions depend on are missing.
    """
    needed = [
        name
        for name in missing
        if not name.startswith((*CLS_WEIGHTS, GLANCE_WEIGHTS, *TRAINING_WEIGHTS))
        and not any(u in name for u in UNUSED_WEIGHTS)
    ]
    if needed:
        raise ValueError(
            f"the checkpoint {directory} lacks {len(needed)} weights that the actions depend on, "
            "such as "
            f"{needed[:3]}. They would stay random, and so would the actions: check that the "
            "checkpoint is whole and "
            "that num_vlm_layers, num_expert_layers and vlm_model_name in its config.json are "
            "those it was trained with"
        )
    if unexpected:
        logger.warning(
            "the checkpoint %s has %d weights that SmolVLA has no place for, and they are "
            "ignored: %s",
            directory,
            len(unexpected),
            unexpected[:3],
        )
    if config.glance_trained and any(name.startswith(GLANCE_WEIGHTS) for name in missing):
        config.glance_trained = False
        logger.warning(
            "the checkpoint %s says glance_trained and lacks its weights (%s): the frame guard "
            "looks at the pictures instead. Train it anew",
            directory,
            GLANCE_WEIGHTS.rstrip("."),
        )
    if any(name.startswith(CLS_WEIGHTS) for name in missing):
        config.cls_head_trained = False
        logger.warning(
            "the checkpoint %s has no CLS head (%s): a new, untrained one is used. %s, but the "
            "similarity and the "
            "scene changes mean nothing until the CLS head is trained",
            directory,
            ", ".join(p.rstrip(".") for p in CLS_WEIGHTS if any(n.startswith(p) for n in missing)),
            "The actions are what they were without it"
            if config.cls_attention == "readout"
            else "It changes the actions too (cls_attention='bidirectional')",
        )
