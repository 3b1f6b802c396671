"""SmolVLA's pre- and post-processing, under the name that lerobot's factory looks for."""

from pathlib import Path
from typing import Any

from lerobot.policies.smolvla.processor_smolvla import make_smolvla_pre_post_processors
from lerobot.processor import PolicyAction, PolicyProcessorPipeline, TokenizerProcessorStep
from torch import Tensor

from cls_vla_ros.policy.configuration_cls_smolvla import CLSSmolVLAConfig
from cls_vla_ros.policy.tokenizer_step import CarriedTokenizerStep


def make_cls_smolvla_pre_post_processors(
    config: CLSSmolVLAConfig,
    dataset_stats: dict[str, dict[str, Tensor]] | None = None,
) -> tuple[
    PolicyProcessorPipeline[dict[str, Any], dict[str, Any]],
    PolicyProcessorPipeline[PolicyAction, PolicyAction],
]:
    """SmolVLA's pipelines: the CLS tokens are parameters of the model, not inputs.

    Where the VLM lies in a folder, the preprocessor carries the tokenizer.

    Args:
        config: the policy's configuration.
        dataset_stats: mean and standard deviation of each feature, for the normalisation.

    Returns:
        The pipeline from an observation to a batch, and the one from normalised actions to
        actions.
    """
    before, after = make_smolvla_pre_post_processors(config, dataset_stats)
    if Path(config.vlm_model_name).is_dir():
        carry_tokenizer(before)
    return before, after


def carry_tokenizer(preprocessor: PolicyProcessorPipeline) -> None:
    """Let a preprocessor keep its tokenizer itself, where lerobot's would save its name.

    Args:
        preprocessor: its steps are changed.
    """
    preprocessor.steps = [
        _carried(step) if type(step) is TokenizerProcessorStep else step
        for step in preprocessor.steps
    ]


def _carried(step: TokenizerProcessorStep) -> CarriedTokenizerStep:
    config = {key: value for key, value in step.get_config().items() if key != "tokenizer_name"}
    return CarriedTokenizerStep(tokenizer=step.input_tokenizer, **config)
