"""Load a checkpoint with its processors, through lerobot, onto a device that is really there."""

from collections.abc import Callable
from pathlib import Path

import torch
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from lerobot.processor import PolicyProcessorPipeline
from transformers import AutoConfig, AutoProcessor

from cls_vla_ros.policy.checkpoint.files import load_config
from cls_vla_ros.policy.checkpoint.location import locate
from cls_vla_ros.policy.checkpoint.normalisation import check_statistics, fit_sizes
from cls_vla_ros.policy.checkpoint.processor_files import load_processors
from cls_vla_ros.policy.configuration_cls_smolvla import CLSSmolVLAConfig
from cls_vla_ros.policy.modeling_cls_smolvla import CLSSmolVLAPolicy


def load_policy(
    path: str | Path,
    device: str = "auto",
    check: Callable[[CLSSmolVLAConfig], None] = lambda config: None,
) -> tuple[CLSSmolVLAPolicy, PolicyProcessorPipeline, PolicyProcessorPipeline]:
    """Load a `cls_smolvla` or a stock `smolvla` checkpoint.

    Args:
        path: a directory as lerobot writes it, that of a training, an adapter's, or a hub id.
        device: "auto" (CUDA if there is one), "cpu", "cuda" or "cuda:N".
        check: called with the configuration before the weights are read, which takes a while; what
            it raises is raised.

    Returns:
        The policy in evaluation mode, its preprocessor and its postprocessor.

    Raises:
        FileNotFoundError: there is no such checkpoint, or it has no processors.
        ValueError: the device is not there, the checkpoint cannot be used or trusted, or its
            statistics do not fit.
    """
    folder, config, before, after = load_all_but_weights(path, device, check)
    return CLSSmolVLAPolicy.from_pretrained(folder, config=config), before, after


def load_all_but_weights(
    path: str | Path,
    device: str = "auto",
    check: Callable[[CLSSmolVLAConfig], None] = lambda config: None,
) -> tuple[Path, CLSSmolVLAConfig, PolicyProcessorPipeline, PolicyProcessorPipeline]:
    """What `load_policy` looks at before it reads weights.

    Args:
        path: likewise.
        device: likewise.
        check: likewise.

    Returns:
        The checkpoint's folder, its configuration, preprocessor and postprocessor.

    Raises:
        FileNotFoundError: likewise.
        ValueError: likewise.
    """
    torch_device = choose_device(device)
    folder = locate(path)
    config = load_config(folder)
    config.device = torch_device
    _check_vlm(folder, config.vlm_model_name)
    before, after = load_processors(folder, config, torch_device)
    fit_sizes(folder, config, before.steps, after.steps)
    check(config)
    check_statistics(folder, config, before.steps, after.steps)
    return folder, config, before, after


def choose_device(device: str) -> str:
    """A device that exists.

    Raises:
        ValueError: not a device's name, or there is no such device in this machine.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        wanted = torch.device(device)
    except RuntimeError as error:
        raise ValueError(
            f"unknown device {device!r}: expected auto, cpu, cuda or cuda:N"
        ) from error
    if wanted.type == "cuda" and (wanted.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"the device {device!r} is not here: torch sees {torch.cuda.device_count()} CUDA "
            "devices. Use device 'auto' or 'cpu', or check the NVIDIA driver with nvidia-smi"
        )
    return device


def _check_vlm(folder: Path, vlm_model_name: str) -> None:
    """Are the VLM's configuration and processor to be had? Its weights are the checkpoint's."""
    try:
        AutoConfig.from_pretrained(vlm_model_name)
        AutoProcessor.from_pretrained(vlm_model_name)
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())  # transformers' texts have line breaks
        if Path(vlm_model_name).is_dir():
            raise FileNotFoundError(
                f"the checkpoint {folder} could not be loaded: {reason}"
            ) from error
        raise FileNotFoundError(
            f"the checkpoint {folder} needs the configuration and tokenizer of {vlm_model_name} "
            f"from a hub: {reason}. Without a network, put their folder into the checkpoint and "
            "its name into config.json as vlm_model_name"
        ) from error
