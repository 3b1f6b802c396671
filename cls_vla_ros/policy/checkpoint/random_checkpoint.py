"""A whole SmolVLA checkpoint of random weights, made on the spot and without a hub.

The demo and the tests run on the tiny one, which is the real architecture in small: vision
encoder, language model, action expert, tokenizer, processors. The benchmark runs on the real one
too, since speed does not depend on the values of the weights. Its actions mean nothing.
"""

import logging
import os
import shutil
import tempfile
from dataclasses import dataclass
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

from cls_vla_ros.policy.checkpoint.files import VLM_FOLDER
from cls_vla_ros.policy.configuration_cls_smolvla import CLSSmolVLAConfig
from cls_vla_ros.policy.modeling_cls_smolvla import CLSSmolVLAPolicy

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Architecture:
    """Sizes of a SmolVLM, and how much of it SmolVLA takes.

    Attributes:
        text: of the language model, as transformers' LlamaConfig names them.
        vision: of the vision model, likewise.
        scale_factor: of the connector.
        num_vlm_layers: of the language model's layers that SmolVLA keeps.
    """

    text: dict[str, int]
    vision: dict[str, int]
    scale_factor: int
    num_vlm_layers: int


# 0.5 million parameters.
TINY = Architecture(
    text={
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "vocab_size": 512,
    },
    vision={
        "hidden_size": 48,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "image_size": 64,
        "patch_size": 16,
    },
    scale_factor=2,
    num_vlm_layers=4,
)

# The demo's: wide enough for twenty tasks, small enough for a CPU core, 1.3 million parameters.
# Patches of 8 pixels, since what is to be seen may be as small in a picture of 64.
DEMO = Architecture(
    text=TINY.text
    | {
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
    },
    vision=TINY.vision
    | {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 3,
        "patch_size": 8,
    },
    scale_factor=2,
    num_vlm_layers=4,
)

# SmolVLM2-500M-Video-Instruct's sizes, as its config.json has them: with 16 layers and SmolVLA's
# expert, 450 million parameters.
SMOLVLM2_500M = Architecture(
    text={
        "hidden_size": 960,
        "intermediate_size": 2560,
        "num_hidden_layers": 32,
        "num_attention_heads": 15,
        "num_key_value_heads": 5,
        "head_dim": 64,
        "vocab_size": 49280,
    },
    vision={
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "image_size": 512,
        "patch_size": 16,
    },
    scale_factor=4,
    num_vlm_layers=16,
)

SPECIAL_TOKENS = {
    "pad_token": "<|pad|>",
    "fake_image_token": "<fake_token_around_image>",
    "global_image_token": "<global-img>",
    "image_token": "<image>",
    "end_of_utterance_token": "<end_of_utterance>",
}


def write_vlm(directory: Path, architecture: Architecture = TINY) -> None:
    """Write configuration, processor and a byte-level tokenizer of a SmolVLM; no weights.

    Args:
        directory: what `vlm_model_name` can name, with load_vlm_weights=False.
        architecture: its sizes.
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
        text_config={"model_type": "llama", **architecture.text},
        vision_config=architecture.vision,
        scale_factor=architecture.scale_factor,
        image_token_id=tokens.index(SPECIAL_TOKENS["image_token"]),
        pad_token_id=tokens.index(SPECIAL_TOKENS["pad_token"]),
    )
    config.save_pretrained(directory)
    processor = SmolVLMProcessor(
        SmolVLMImageProcessor(), tokenizer, SmolVLMVideoProcessor(), image_seq_len=64
    )
    processor.save_pretrained(directory)


def random_config(
    config_class: type[SmolVLAConfig],
    vlm_directory: Path | str,
    cameras: dict[str, tuple[int, int]],
    state_dim: int,
    action_dim: int,
    architecture: Architecture = TINY,
    **overrides,
) -> SmolVLAConfig:
    """The configuration that fits a directory written by `write_vlm`.

    Args:
        config_class: SmolVLAConfig or CLSSmolVLAConfig.
        vlm_directory: that directory.
        cameras: height and width by feature name, such as "observation.images.front".
        state_dim: S.
        action_dim: A.
        architecture: that of the directory.
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
        "num_vlm_layers": architecture.num_vlm_layers,
        "resize_imgs_with_padding": (architecture.vision["image_size"],) * 2,
        "device": "cpu",
        "push_to_hub": False,
    }
    return config_class(**(values | overrides))


def make_random_checkpoint(
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
    logger.info("making a random SmolVLA in %s", directory)
    directory.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=directory.parent))
    try:
        _write_random_checkpoint(unfinished, cameras, stats, seed, overrides)
        os.rename(unfinished, directory)
    except OSError:
        if not directory.is_dir():  # else another process was first
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return directory


def _write_random_checkpoint(directory: Path, cameras, stats, seed: int, overrides: dict) -> None:
    write_vlm(directory / VLM_FOLDER)
    state_dim, action_dim = (stats[name]["mean"].numel() for name in (OBS_STATE, ACTION))
    config = random_config(
        CLSSmolVLAConfig, directory / VLM_FOLDER, cameras, state_dim, action_dim, **overrides
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        policy = CLSSmolVLAPolicy(config)
    for part in (policy, *make_pre_post_processors(config, dataset_stats=stats)):
        part.save_pretrained(directory)
