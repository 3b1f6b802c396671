"""A checkpoint's configuration: stock ones too, in plain words, with a VLM beside the weights."""

import json
import logging
import shutil
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path

from draccus.utils import DecodingError, ParsingError
from lerobot.configs import PreTrainedConfig
from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig
from safetensors import safe_open

from cls_vla_ros.policy.checkpoint.location import ADAPTER_WEIGHTS, base_of, is_adapter, locate
from cls_vla_ros.policy.checkpoint.temporary_files import temporary_files_removed
from cls_vla_ros.policy.configuration_cls_smolvla import CLSSmolVLAConfig
from cls_vla_ros.policy.training.trained_parts import PARTS

logger = logging.getLogger(__name__)

VLM_FOLDER = "vlm"
WEIGHTS = ("*.safetensors", "*.bin", "*.onnx", "onnx")  # the policy's own hold the VLM's


def load_config(
    path: str | Path, *, config: PreTrainedConfig | None = None, **hub_kwargs
) -> CLSSmolVLAConfig:
    """The configuration of a checkpoint, as `cls_smolvla`.

    Args:
        path: as for `locate`.
        config: overrides the checkpoint's.
        hub_kwargs: lerobot's (revision, cache_dir, local_files_only, ...).

    Raises:
        FileNotFoundError: there is no such checkpoint.
        ValueError: it is of a policy type that is not SmolVLA, or of another version of it.
    """
    folder = locate(path, **hub_kwargs)
    if config is None:
        with temporary_files_removed():
            config = _read(folder / "config.json")
    if not isinstance(config, SmolVLAConfig):
        raise ValueError(
            f"the checkpoint {path} is of the policy type {config.type!r}; expected 'cls_smolvla' "
            "or 'smolvla'"
        )
    if not isinstance(config, CLSSmolVLAConfig):
        config = CLSSmolVLAConfig.from_stock(config)
    config.vlm_model_name = vlm_directory(folder, config.vlm_model_name)
    if is_adapter(folder):
        _take_from_base(config, folder)
    return config


def _take_from_base(config: CLSSmolVLAConfig, adapter: Path) -> None:
    """What an adapter's configuration says of weights that it does not have is the base's."""
    base = base_of(adapter)
    of_base = load_config(base)
    if not Path(config.vlm_model_name).is_dir():
        config.vlm_model_name = of_base.vlm_model_name
    with safe_open(adapter / ADAPTER_WEIGHTS, framework="pt") as weights:
        trained = list(weights.keys())
    for field, parts in PARTS.items():
        if not any(part in name for part in parts for name in trained):
            setattr(config, field, getattr(config, field) and getattr(of_base, field))


def _read(file: Path) -> PreTrainedConfig:
    """The configuration, by lerobot.

    Raises:
        ValueError: it has a field that this lerobot does not know, or a value that is none.
    """
    try:
        content = json.loads(file.read_text())
        kind = content.get("type")
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{file} is damaged: expected lerobot's JSON, got {error}") from error
    if kind in PreTrainedConfig.get_known_choices():
        known = {f.name for f in fields(PreTrainedConfig.get_choice_class(kind)) if f.init}
        if unknown := sorted(content.keys() - known - {"type"}):
            raise ValueError(
                f"{file} has the field {', '.join(map(repr, unknown))}, which the policy type "
                f"{kind!r} does not have in lerobot {version('lerobot')}, installed here: only a "
                f"later version knows it (lerobot > {version('lerobot')}, or a later "
                "cls_vla_ros). Install that, or delete the field if it has its default there"
            )
    try:
        return PreTrainedConfig.from_pretrained(file.parent)
    except (DecodingError, ParsingError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{file} has a value that lerobot {version('lerobot')} does not take: {reason}"
        ) from error


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
