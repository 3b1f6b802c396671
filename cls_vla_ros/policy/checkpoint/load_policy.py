"""Load a checkpoint with its processors, through lerobot, onto a device that is really there."""

from collections.abc import Callable
from pathlib import Path

import torch
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from lerobot.policies.factory import make_pre_post_processors
from lerobot.processor import PolicyProcessorPipeline

from cls_vla_ros.policy.checkpoint.files import check_exists, load_config
from cls_vla_ros.policy.checkpoint.processor_files import check_processors
from cls_vla_ros.policy.configuration_cls_smolvla import CLSSmolVLAConfig
from cls_vla_ros.policy.modeling_cls_smolvla import CLSSmolVLAPolicy

TOKENIZER_STEP = "tokenizer_processor"
DEVICE_STEP = "device_processor"


def load_policy(
    path: str | Path,
    device: str = "auto",
    check: Callable[[CLSSmolVLAConfig], None] = lambda config: None,
) -> tuple[CLSSmolVLAPolicy, PolicyProcessorPipeline, PolicyProcessorPipeline]:
    """Load a `cls_smolvla` or a stock `smolvla` checkpoint.

    Args:
        path: a directory as lerobot writes it, or a hub id.
        device: "auto" (CUDA if there is one), "cpu", "cuda" or "cuda:N".
        check: called with the configuration before the weights are read, which takes a while; what
            it raises is raised.

    Returns:
        The policy in evaluation mode, its preprocessor and its postprocessor.

    Raises:
        FileNotFoundError: there is no such checkpoint, or it has no processors.
        ValueError: the device is not there, or the checkpoint cannot be used or trusted.
    """
    torch_device = choose_device(device)
    path = Path(path).expanduser() if Path(path).expanduser().exists() else path
    check_exists(path)
    try:
        config = load_config(path)
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise FileNotFoundError(_why_not(path, None, error)) from error
    config.device = torch_device
    check(config)
    check_processors(path)
    try:
        policy = CLSSmolVLAPolicy.from_pretrained(path, config=config)
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise FileNotFoundError(_why_not(path, config, error)) from error
    preprocessor, postprocessor = make_pre_post_processors(
        policy.config,
        pretrained_path=str(path),
        preprocessor_overrides={
            DEVICE_STEP: {"device": torch_device},
            TOKENIZER_STEP: {"tokenizer_name": policy.config.vlm_model_name},
        },
    )
    return policy, preprocessor, postprocessor


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


def _why_not(path: str | Path, config: CLSSmolVLAConfig | None, error: Exception) -> str:
    """What to do where a checkpoint, or the VLM that it names, could not be loaded."""
    reason = " ".join(str(error).split())  # transformers' texts have line breaks
    if config is None and not isinstance(path, Path):
        return f"the checkpoint {path} is no directory here, and no hub id that loads: {reason}"
    if config is None or Path(config.vlm_model_name).is_dir():
        return f"the checkpoint {path} could not be loaded: {reason}"
    return (
        f"the checkpoint {path} needs the configuration and tokenizer of {config.vlm_model_name} "
        f"from a hub: {reason}. Without a network, put their folder into the checkpoint and its "
        "name into config.json as vlm_model_name"
    )
