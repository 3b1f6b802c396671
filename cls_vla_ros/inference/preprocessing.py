"""From an observation to the engine's sample, through the checkpoint's own lerobot pipeline.

Where no step of the pipeline changes pictures, which is so for SmolVLA, they do not go through it:
they reach the engine as the camera's bytes. And where only the instruction is tokenised, that is
done once for each instruction, not once for each inference.
"""

from collections.abc import Collection
from dataclasses import replace

import torch
from lerobot.configs import FeatureType, NormalizationMode
from lerobot.policies.utils import prepare_observation_for_inference
from lerobot.processor import (
    AddBatchDimensionProcessorStep,
    DeviceProcessorStep,
    NewLineTaskProcessorStep,
    NormalizerProcessorStep,
    PolicyProcessorPipeline,
    ProcessorStep,
    RelativeActionsProcessorStep,
    RenameObservationsProcessorStep,
    TokenizerProcessorStep,
)
from lerobot.utils.constants import OBS_LANGUAGE_ATTENTION_MASK, OBS_LANGUAGE_TOKENS, OBS_STATE
from torch import Tensor

from cls_vla_ros.engine import Sample
from cls_vla_ros.inference.observation import Observation
from cls_vla_ros.policy.configuration_cls_smolvla import CLSSmolVLAConfig
from cls_vla_ros.policy.tokenizer_step import CarriedTokenizerStep

FOR_TEXT = (NewLineTaskProcessorStep, TokenizerProcessorStep, CarriedTokenizerStep)
NOT_FOR_PICTURES = (
    *FOR_TEXT,
    AddBatchDimensionProcessorStep,
    DeviceProcessorStep,
    RelativeActionsProcessorStep,
    RenameObservationsProcessorStep,
)


class Preprocessor:
    """Not thread-safe: its owner locks."""

    def __init__(self, pipeline: PolicyProcessorPipeline, config: CLSSmolVLAConfig) -> None:
        """Look at the pipeline's steps.

        Args:
            pipeline: the checkpoint's.
            config: the policy's.
        """
        self._pipeline, self._config = pipeline, config
        self._cameras = list(config.image_features)
        self.passes_pictures_by = (
            not pipeline.before_step_hooks + pipeline.after_step_hooks
            and all(_leaves_alone(step, self._cameras) for step in pipeline.steps)
        )
        self._renames = [
            step.rename_map
            for step in pipeline.steps
            if type(step) is RenameObservationsProcessorStep
        ]
        # On the host, where the engine wants state and text.
        on_host = [step for step in pipeline.steps if not isinstance(step, DeviceProcessorStep)]
        self._for_state_and_text = replace(pipeline, steps=on_host)
        self._for_state = replace(
            pipeline, steps=[step for step in on_host if not isinstance(step, FOR_TEXT)]
        )
        self._text: tuple[str, Tensor, Tensor] | None = None  # instruction, tokens, mask
        # Such a step keeps the state of the observation that it saw last.
        self.remembers_state = any(
            isinstance(step, RelativeActionsProcessorStep) for step in pipeline.steps
        )

    @property
    def max_tokens(self) -> int | None:
        """Of an instruction, if the pipeline says so."""
        lengths = [s.max_length for s in self._pipeline.steps if hasattr(s, "max_length")]
        return max(lengths, default=None)

    def reset(self) -> None:
        """Begin another episode, or another robot's."""
        self._pipeline.reset()

    def __call__(self, observation: Observation) -> Sample:
        """Process an observation that fits the policy."""
        if not self.passes_pictures_by:
            return self._through_the_whole_pipeline(observation)
        nothing_else = {OBS_STATE: observation.state.copy()}
        on_host = torch.device("cpu")
        batch = prepare_observation_for_inference(nothing_else, on_host, observation.task)
        if self._text is None or self._text[0] != observation.task:
            batch = self._for_state_and_text(batch)
            self._text = (observation.task, *_text_of(batch))
        else:
            batch = self._for_state(batch)
        images = observation.images
        for rename_map in self._renames:
            images = {rename_map.get(name, name): image for name, image in images.items()}
        pictures = [torch.from_numpy(images[name]) for name in self._present(images)]
        return Sample(pictures, *self._text[1:], _state_of(batch))

    def _present(self, named: Collection[str]) -> list[str]:
        """The policy's pictures that are there, in its order: lerobot runs on these."""
        present = [name for name in self._cameras if name in named]
        if not present:
            raise ValueError(
                f"after the checkpoint's rename_map {self._renames} there is none of the pictures "
                f"{self._cameras} that the policy takes: correct it in policy_preprocessor.json"
            )
        return present

    def _through_the_whole_pipeline(self, observation: Observation) -> Sample:
        arrays = {OBS_STATE: observation.state, **observation.images}
        device = torch.device(self._config.device)
        batch = self._pipeline(prepare_observation_for_inference(arrays, device, observation.task))
        pictures = [batch[name][0].contiguous() for name in self._present(batch)]
        return Sample(pictures, *(part.cpu() for part in _text_of(batch)), _state_of(batch).cpu())


def _leaves_alone(step: ProcessorStep, cameras: list[str]) -> bool:
    """Whether a step certainly does nothing to the pictures of these cameras."""
    if type(step) is NormalizerProcessorStep:
        mode = step.norm_map.get(FeatureType.VISUAL, NormalizationMode.IDENTITY)
        return mode is NormalizationMode.IDENTITY or not set(step.stats or {}) & set(cameras)
    # That a step renames them is done for the fast path too.
    return type(step) in NOT_FOR_PICTURES and getattr(step, "float_dtype", None) is None


def _text_of(batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    return batch[OBS_LANGUAGE_TOKENS][0], batch[OBS_LANGUAGE_ATTENTION_MASK][0]


def _state_of(batch: dict[str, Tensor]) -> Tensor:
    state = batch[OBS_STATE][0]
    return state[-1] if state.ndim > 1 else state
