"""SmolVLA's pre- and post-processing, under the name that lerobot's factory looks for."""

from typing import Any

from lerobot.policies.smolvla.processor_smolvla import make_smolvla_pre_post_processors
from lerobot.processor import PolicyAction, PolicyProcessorPipeline
from torch import Tensor

from cls_vla_ros.policy.configuration_cls_smolvla import CLSSmolVLAConfig


def make_cls_smolvla_pre_post_processors(
    config: CLSSmolVLAConfig,
    dataset_stats: dict[str, dict[str, Tensor]] | None = None,
) -> tuple[
    PolicyProcessorPipeline[dict[str, Any], dict[str, Any]],
    PolicyProcessorPipeline[PolicyAction, PolicyAction],
]:
    """SmolVLA's pipelines: the CLS tokens are parameters of the model, not inputs.

    Args:
        config: the policy's configuration.
        dataset_stats: mean and standard deviation of each feature, for the normalisation.

    Returns:
        The pipeline from an observation to a batch, and the one from normalised actions to
        actions.
    """
    return make_smolvla_pre_post_processors(config, dataset_stats)
