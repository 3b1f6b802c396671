"""A checkpoint's processors: looked at before lerobot loads them, or made where they are older."""

import importlib
import json
import logging
from pathlib import Path

from lerobot.policies.factory import make_pre_post_processors
from lerobot.processor import PolicyProcessorPipeline, ProcessorStep
from lerobot.processor.migrate_policy_normalization import extract_normalization_stats
from lerobot.utils.constants import (
    POLICY_POSTPROCESSOR_DEFAULT_NAME,
    POLICY_PREPROCESSOR_DEFAULT_NAME,
)
from safetensors import safe_open

from cls_vla_ros.policy.checkpoint.location import weight_files
from cls_vla_ros.policy.checkpoint.weights import NORMALISATION_WEIGHTS
from cls_vla_ros.policy.configuration_cls_smolvla import CLSSmolVLAConfig

logger = logging.getLogger(__name__)

TRUSTED = ("lerobot.", "cls_vla_ros.")
NAMES = (POLICY_PREPROCESSOR_DEFAULT_NAME, POLICY_POSTPROCESSOR_DEFAULT_NAME)


def load_processors(
    folder: Path, config: CLSSmolVLAConfig, device: str
) -> tuple[PolicyProcessorPipeline, PolicyProcessorPipeline]:
    """A checkpoint's pre- and postprocessor; made where it is older than they are.

    Args:
        folder: the checkpoint's.
        config: its, with the VLM's folder.
        device: where a batch is processed.

    Raises:
        FileNotFoundError: there are none, and no statistics in the weights.
        ValueError: a step is none, or a file is damaged.
    """
    if any((folder / f"{name}.json").is_file() for name in NAMES):
        check_processors(folder)
        return make_pre_post_processors(
            config,
            pretrained_path=str(folder),
            preprocessor_overrides=overrides(folder, config.vlm_model_name, device),
        )
    stats = statistics_in_weights(folder)
    if not stats:
        raise FileNotFoundError(
            f"the checkpoint {folder} has no {NAMES[0]}.json: without it the observation cannot "
            "be normalised as in training. It was saved by a lerobot before 0.4, and its weights "
            "hold no statistics either, which lerobot's migrate_policy_normalization would need "
            "too. `add_statistics CHECKPOINT DATASET` writes it from the dataset that the "
            "policy was trained on"
        )
    logger.info(
        "%s was saved by a lerobot before 0.4: it is normalised by the statistics in its weights",
        folder,
    )
    return make_pre_post_processors(config, dataset_stats=stats)


def statistics_in_weights(folder: Path) -> dict:
    """Mean, standard deviation and the like by feature, as lerobot before 0.4 kept them."""
    found = {}
    for file in weight_files(folder):
        with safe_open(file, framework="pt") as weights:
            names = [name for name in weights.keys() if name.startswith(NORMALISATION_WEIGHTS)]  # noqa: SIM118
            found |= {name: weights.get_tensor(name) for name in names}
    return extract_normalization_stats(found)


def overrides(folder: Path, vlm_model_name: str, device: str) -> dict[str, dict]:
    """What a checkpoint's preprocessor cannot know of where it is.

    Args:
        folder: the checkpoint's.
        vlm_model_name: the VLM's folder or hub id.
        device: where a batch is processed.
    """
    wanted = {
        "device_processor": {"device": device},
        "tokenizer_processor": {"tokenizer_name": vlm_model_name},
    }
    there = {entry.get("registry_name") for entry in _steps(folder, NAMES[0])}
    return {name: values for name, values in wanted.items() if name in there}


def names_its_own_folder(folder: Path) -> bool:
    """Whether a checkpoint's tokenizer is named by a folder in it, which lerobot does not find."""
    names = [entry.get("config", {}).get("tokenizer_name") for entry in _steps(folder, NAMES[0])]
    return any(n and not Path(n).is_absolute() and (folder / n).is_dir() for n in names)


def check_processors(folder: Path) -> None:
    """Are a checkpoint's processors there, and nothing but processors?

    lerobot imports and calls whatever class a step's entry names, with arguments from the same
    file: `subprocess.Popen`, for one. So only its registered steps, and classes of its own and of
    this package that are steps, are let through.

    Args:
        folder: the checkpoint's.

    Raises:
        FileNotFoundError: one of them is missing.
        ValueError: a step is none, or the file is damaged.
    """
    for name in NAMES:
        for entry in _steps(folder, name):
            if entry.get("registry_name") is None and not _is_trusted_step(entry.get("class")):
                raise ValueError(
                    f"{name}.json of the checkpoint {folder} asks for the class "
                    f"{entry.get('class')!r}, "
                    "which is no processor step of lerobot's: loading it would run code that the "
                    "checkpoint chose. If you trust it, register the step "
                    "(lerobot.processor.ProcessorStepRegistry) and save the processors again"
                )


def _steps(folder: Path, name: str) -> list[dict]:
    file = folder / f"{name}.json"
    if not file.is_file():
        raise FileNotFoundError(
            f"the checkpoint {folder} has no {file.name}: copy it from where it was trained or "
            "migrated to lerobot 0.4, or write it anew with `add_statistics CHECKPOINT DATASET`"
        )
    try:
        steps = json.loads(file.read_text())["steps"]
        if not all(isinstance(entry, dict) for entry in steps):
            raise TypeError("a step is no object")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{file.name} of the checkpoint {folder} is damaged: expected lerobot's JSON with "
            f"'steps', got {type(error).__name__}: {error}"
        ) from error
    return steps


def _is_trusted_step(class_path: object) -> bool:
    if not isinstance(class_path, str) or not class_path.startswith(TRUSTED):
        return False
    module, _, name = class_path.rpartition(".")
    try:
        step = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        return False
    return isinstance(step, type) and issubclass(step, ProcessorStep)
