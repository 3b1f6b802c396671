"""A checkpoint's statistics: what an observation is normalised by, and actions are made of.

lerobot passes on, as it is, what it has no statistics for. An arm would then be told normalised
actions as if they were its own units.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from lerobot.configs import FeatureType, NormalizationMode, PolicyFeature
from lerobot.processor import (
    NormalizerProcessorStep,
    PolicyProcessorPipeline,
    ProcessorStep,
    UnnormalizerProcessorStep,
)
from lerobot.utils.constants import ACTION, OBS_STATE, POLICY_PREPROCESSOR_DEFAULT_NAME

from cls_vla_ros.policy.checkpoint.processor_files import overrides
from cls_vla_ros.policy.configuration_cls_smolvla import CLSSmolVLAConfig
from cls_vla_ros.policy.pictures import picture_names

logger = logging.getLogger(__name__)

NEEDED = {
    NormalizationMode.MEAN_STD: ("mean", "std"),
    NormalizationMode.MIN_MAX: ("min", "max"),
    NormalizationMode.QUANTILES: ("q01", "q99"),
    NormalizationMode.QUANTILE10: ("q10", "q90"),
}
REMEDY = (
    "Write those of the dataset that it was trained on into it: `add_statistics CHECKPOINT "
    "DATASET` (`lerobot-edit-dataset --operation.type=recompute_stats` computes a dataset's anew)"
)

Steps = Sequence[ProcessorStep]
Stats = dict[str, np.ndarray]


def fit_sizes(path: Path, config: CLSSmolVLAConfig, before: Steps, after: Steps) -> None:
    """Make the sizes of state and action those of the statistics, and say so.

    lerobot-train leaves in config.json what the checkpoint had that it began with, and trains on
    the dataset's. Stock lerobot never looks at the size of the state.

    Args:
        path: the checkpoint, for the message.
        config: its; changed in place.
        before: steps of its preprocessor.
        after: of its postprocessor.

    Raises:
        ValueError: there are more values than the policy has inputs or outputs.
    """
    for name, kind, steps, features, most in (
        (OBS_STATE, FeatureType.STATE, before, config.input_features, config.max_state_dim),
        (ACTION, FeatureType.ACTION, after, config.output_features, config.max_action_dim),
    ):
        stats = _statistics(_step(steps), name)
        sizes = {np.size(stats[s]) for pair in NEEDED.values() for s in pair if s in stats}
        if len(sizes) != 1:
            continue
        (size,) = sizes
        if size > most:
            raise ValueError(
                f"the checkpoint {path} has statistics for {size} values of {name}, the policy "
                f"takes {most} (max_{kind.value.lower()}_dim): they are of another one. {REMEDY}"
            )
        said = features[name].shape if name in features else None
        if said != (size,):
            logger.warning(
                "%s/config.json says %s is %s, the statistics that the policy was trained with "
                "say it has %d values: taken are %d. (lerobot-train leaves there what the "
                "checkpoint had that it began with)",
                *(path, name, "nothing" if said is None else list(said), size, size),
            )
            features[name] = PolicyFeature(kind, (size,))


def check_statistics(path: Path, config: CLSSmolVLAConfig, before: Steps, after: Steps) -> None:
    """Is there what states and actions, and pictures if they are, are normalised by?

    Args:
        path: the checkpoint, for the message.
        config: its.
        before: steps of its preprocessor.
        after: of its postprocessor.

    Raises:
        ValueError: statistics are missing, not finite, without spread, or of different sizes. The
            text says what was looked for, what is there, and how to make them.
    """
    modes = config.normalization_mapping
    for name, kind, steps, file in (
        (OBS_STATE, FeatureType.STATE, before, "policy_preprocessor.json"),
        (ACTION, FeatureType.ACTION, after, "policy_postprocessor.json"),
    ):
        step = _step(steps)
        mode = _mode(step, kind, modes)
        if mode is NormalizationMode.IDENTITY:
            continue
        where = f"the checkpoint {path} ({file}, {mode.value} of {name})"
        if step is None or kind not in step.norm_map:
            raise ValueError(f"{where} has no step that normalises it. {REMEDY}")
        if kind is FeatureType.STATE and not _is_normalised(step, name):
            raise ValueError(
                f"{where} does not normalise {name}: its normaliser has the features "
                f"{sorted(step.features)}. {REMEDY}"
            )
        _check(where, name, mode, step)
    step = _step(before)
    mode = _mode(step, FeatureType.VISUAL, modes)
    if mode is not NormalizationMode.IDENTITY and (pictures := picture_names(config)):
        where = f"the checkpoint {path} (policy_preprocessor.json, {mode.value} of pictures)"
        # Those that the policy was trained without have none.
        with_any = [name for name in pictures if _statistics(step, name)]
        for name in with_any or pictures[:1]:
            _check(where, name, mode, step)


def keep_normalisation(path: Path, config: CLSSmolVLAConfig, stats: dict[str, dict]) -> None:
    """Make a dataset's statistics those of a checkpoint.

    lerobot-train normalises by the dataset's where it goes on from a checkpoint, and saves them
    with it. A policy that shall act as it did must be fed and read as it was.

    Args:
        path: the checkpoint's folder, with its processors.
        config: of its policy.
        stats: of the dataset, by feature; changed in place.
    """
    preprocessor = PolicyProcessorPipeline.from_pretrained(
        path,
        config_filename=f"{POLICY_PREPROCESSOR_DEFAULT_NAME}.json",
        overrides=overrides(path, config.vlm_model_name, "cpu"),
    )
    for step in preprocessor.steps:
        if isinstance(step, NormalizerProcessorStep):
            stats.update(step.stats)


def _step(steps: Steps) -> NormalizerProcessorStep | UnnormalizerProcessorStep | None:
    kinds = (NormalizerProcessorStep, UnnormalizerProcessorStep)
    return next((step for step in steps if isinstance(step, kinds)), None)


def _statistics(step: ProcessorStep | None, name: str) -> Stats:
    return ((step.stats if step else None) or {}).get(name) or {}


def _mode(step: ProcessorStep | None, kind: FeatureType, modes: dict) -> NormalizationMode:
    """What a step does; where it says nothing of it, what the configuration asks for."""
    of_config = modes.get(kind.value, NormalizationMode.IDENTITY)
    return step.norm_map.get(kind, of_config) if step else of_config


def _is_normalised(step: NormalizerProcessorStep, name: str) -> bool:
    keys = step.normalize_observation_keys
    return name in step.features and (keys is None or name in keys)


def _check(where: str, name: str, mode: NormalizationMode, step: ProcessorStep | None) -> None:
    needed, stats = NEEDED[mode], _statistics(step, name)
    if missing := [stat for stat in needed if stat not in stats]:
        found = sorted(step.stats or {}) if step else []
        there = f"{name} with {sorted(stats)}" if stats else f"{found[:8] or 'nothing'}"
        raise ValueError(
            f"{where} lacks {' and '.join(missing)} of {name!r}; found are {there}. {REMEDY}"
        )
    first, second = (np.asarray(stats[stat], np.float64).reshape(-1) for stat in needed)
    if first.shape != second.shape:
        raise ValueError(
            f"{where} has {needed[0]} of {first.size} values and {needed[1]} of {second.size}. "
            f"{REMEDY}"
        )
    for stat, values in zip(needed, (first, second), strict=True):
        if bad := np.flatnonzero(~np.isfinite(values)).tolist():
            raise ValueError(f"{where} has {stat} that is no number at {bad}. {REMEDY}")
    spread = second if mode is NormalizationMode.MEAN_STD else second - first
    if bad := np.flatnonzero(spread <= 0).tolist():
        what = needed[1] if mode is NormalizationMode.MEAN_STD else f"{needed[1]} - {needed[0]}"
        raise ValueError(
            f"{where} has {what} of 0 or less at the values {bad}: they never varied in the "
            "dataset, and the smallest deviation would be enormous. Leave them out of the "
            f"dataset, or give them a spread in its meta/stats.json. {REMEDY}"
        )
