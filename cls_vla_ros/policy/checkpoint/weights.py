"""A checkpoint's weights: read from one file or several, merged with an adapter, and explained."""

import logging
from pathlib import Path

import torch
from huggingface_hub import load_torch_model
from safetensors import safe_open
from safetensors.torch import load_model
from torch import Tensor, nn

from cls_vla_ros.policy.checkpoint.location import weight_files
from cls_vla_ros.policy.configuration_cls_smolvla import CLSSmolVLAConfig

logger = logging.getLogger(__name__)

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
# What was in the weights before lerobot 0.4, and is in the processors since.
NORMALISATION_WEIGHTS = ("normalize_inputs.", "normalize_targets.", "unnormalize_outputs.")


def load_weights(model: nn.Module, folder: Path, device: str) -> tuple[list[str], list[str]]:
    """Load a checkpoint's weights, in one file or in several.

    Args:
        model: what they are for.
        folder: the checkpoint's.
        device: where they are read to.

    Returns:
        Names that the checkpoint lacks, and names that the model lacks.
    """
    files = weight_files(folder)
    if len(files) == 1:
        missing, unexpected = load_model(model, files[0], strict=False, device=device)
        return list(missing), list(unexpected)
    loaded = load_torch_model(model, folder, strict=False, map_location=device)
    # Of weights that share their memory a checkpoint has one.
    state = model.state_dict()
    there = {t.data_ptr() for name, t in state.items() if name not in loaded.missing_keys}
    missing = [name for name in loaded.missing_keys if state[name].data_ptr() not in there]
    return missing, list(loaded.unexpected_keys)


def stored_dtypes(folder: Path) -> dict[str, torch.dtype | None]:
    """Names and floating dtypes of a checkpoint's weights; None for another dtype."""
    dtypes = {}
    for file in weight_files(folder):
        with safe_open(file, framework="pt") as weights:
            for name in weights.keys():  # noqa: SIM118, which is no dict
                dtypes[name] = FLOATS.get(weights.get_slice(name).get_dtype())
    return dtypes


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


def in_bfloat16_as_stored(model: nn.Module, dtypes: dict[str, torch.dtype | None]) -> None:
    """Make those weights bfloat16 that are so in the checkpoint: no bit of them is lost.

    Args:
        model: loaded into float32.
        dtypes: `stored_dtypes` of its checkpoint.
    """
    for name, parameter in model.named_parameters():
        if dtypes.get(name) is torch.bfloat16:
            parameter.data = parameter.data.to(torch.bfloat16)


def merge_adapter(policy: nn.Module, adapter: Path) -> nn.Module:
    """A policy with the weights that peft trained on it (LoRA and the like) merged into its own.

    Args:
        policy: the adapter's base; it is changed.
        adapter: folder.

    Raises:
        ValueError: peft is not installed.
    """
    try:
        from peft import PeftModel
    except ImportError as error:
        raise ValueError(
            f"{adapter} is an adapter, which needs peft: pip install 'lerobot[peft]', or merge it "
            "elsewhere (peft's merge_and_unload) and save the policy whole"
        ) from error
    merged = PeftModel.from_pretrained(policy, str(adapter)).merge_and_unload()
    merged.config.use_peft = False
    logger.info("the adapter %s is merged into its base", adapter)
    return merged.eval()


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
    unexpected = [name for name in unexpected if not name.startswith(NORMALISATION_WEIGHTS)]
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
