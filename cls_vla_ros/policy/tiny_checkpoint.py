"""A whole SmolVLA checkpoint of half a million random weights, made on the spot and without a hub.

It has the real architecture in small: vision encoder, language model, action expert, tokenizer,
processors. The demo and the tests run on it where no trained checkpoint is at hand. Its actions
mean nothing.
"""

import logging
import os
import shutil
import tempfile
from pathlib import Path

import torch
from lerobot.configs import FeatureType, PolicyFeature
from lerobot.policies.factory import make_pre_post_processors
from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig
from lerobot.utils.constants import ACTION, OBS_STATE
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor
from transformers import (
    PreTrainedTokenizerFast,
    SmolVLMConfig,
    SmolVLMImageProcessor,
    SmolVLMProcessor,
    SmolVLMVideoProcessor,
)

from cls_vla_ros.policy.checkpoint import VLM_FOLDER
from cls_vla_ros.policy.configuration_cls_smolvla import CLSSmolVLAConfig
from cls_vla_ros.policy.modeling_cls_smolvla import CLSSmolVLAPolicy

logger = logging.getLogger(__name__)

IMAGE_SIZE = 64
NUM_VLM_LAYERS = 4
SPECIAL_TOKENS = {
    "pad_token": "<|pad|>",
    "fake_image_token": "<fake_token_around_image>",
    "global_image_token": "<global-img>",
    "image_token": "<image>",
    "end_of_utterance_token": "<end_of_utterance>",
}


def write_tiny_vlm(directory: Path) -> None:
    """Write configuration, processor and a byte-level tokenizer of a tiny SmolVLM; no weights.

    Args:
        directory: what `vlm_model_name` can name, with load_vlm_weights=False.
    """
    tokens = [*SPECIAL_TOKENS.values(), *sorted(pre_tokenizers.ByteLevel.alphabet())]
    bytes_only = Tokenizer(
        models.BPE(vocab={token: index for index, token in enumerate(tokens)}, merges=[])
    )
    bytes_only.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_only.decoder = decoders.ByteLevel()
    special = dict(SPECIAL_TOKENS)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bytes_only,
        pad_token=special.pop("pad_token"),
        extra_special_tokens=special,
    )
    config = SmolVLMConfig(
        text_config={
            "model_type": "llama",
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": NUM_VLM_LAYERS,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 16,
            "vocab_size": 512,
        },
        vision_config={
            "hidden_size": 48,
            "intermediate_size": 96,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "image_size": IMAGE_SIZE,
            "patch_size": 16,
        },
        scale_factor=2,
        image_token_id=tokens.index(SPECIAL_TOKENS["image_token"]),
        pad_token_id=tokens.index(SPECIAL_TOKENS["pad_token"]),
    )
    config.save_pretrained(directory)
    processor = SmolVLMProcessor(
        SmolVLMImageProcessor(), tokenizer, SmolVLMVideoProcessor(), image_seq_len=64
    )
    processor.save_pretrained(directory)


def tiny_config(
    config_class: type[SmolVLAConfig],
    vlm_directory: Path | str,
    cameras: dict[str, tuple[int, int]],
    state_dim: int,
    action_dim: int,
    **overrides,
) -> SmolVLAConfig:
    """The configuration that fits a directory written by `write_tiny_vlm`.

    Args:
        config_class: SmolVLAConfig or CLSSmolVLAConfig.
        vlm_directory: that directory.
        cameras: height and width by feature name, such as "observation.images.front".
        state_dim: S.
        action_dim: A.
        overrides: any other field of the configuration.
    """
    inputs = {
        name: PolicyFeature(FeatureType.VISUAL, (3, *size)) for name, size in cameras.items()
    }
    inputs[OBS_STATE] = PolicyFeature(FeatureType.STATE, (state_dim,))
    values = {
        "input_features": inputs,
        "output_features": {ACTION: PolicyFeature(FeatureType.ACTION, (action_dim,))},
        "vlm_model_name": str(vlm_directory),
        "load_vlm_weights": False,
        "num_vlm_layers": NUM_VLM_LAYERS,
        "resize_imgs_with_padding": (IMAGE_SIZE, IMAGE_SIZE),
        "device": "cpu",
        "push_to_hub": False,
    }
    return config_class(**(values | overrides))


def make_tiny_checkpoint(
    directory: Path,
    cameras: dict[str, tuple[int, int]],
    stats: dict[str, dict[str, Tensor]],
    seed: int = 0,
    **overrides,
) -> Path:
    """Write a `cls_smolvla` checkpoint with random weights: model, processors and VLM directory.

    It appears whole or not at all, also where two processes make it at the same time.

    Args:
        directory: where; kept as it is if it is there already.
        cameras: height and width by feature name.
        stats: "mean" and "std" of "observation.state" (S,) and "action" (A,), for the
            normalisation.
        seed: of the weights.
        overrides: fields of CLSSmolVLAConfig.

    Returns:
        The directory.
    """
    if directory.is_dir():
        return directory
    logger.info("making a tiny random SmolVLA in %s", directory)
    directory.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=directory.parent))
    try:
        _write_tiny_checkpoint(unfinished, cameras, stats, seed, overrides)
        os.rename(unfinished, directory)
    except OSError:
        if not directory.is_dir():  # else another process was first
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return directory


def _write_tiny_checkpoint(directory: Path, cameras, stats, seed: int, overrides: dict) -> None:
    write_tiny_vlm(directory / VLM_FOLDER)
    state_dim, action_dim = (stats[name]["mean"].numel() for name in (OBS_STATE, ACTION))
    config = tiny_config(
        CLSSmolVLAConfig, directory / VLM_FOLDER, cameras, state_dim, action_dim, **overrides
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        policy = CLSSmolVLAPolicy(config)
    for part in (policy, *make_pre_post_processors(config, dataset_stats=stats)):
        part.save_pretrained(directory)
