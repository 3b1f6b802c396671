"""What a dataset must have for a policy to be trained on it, looked at before it begins."""

import logging

from lerobot.configs import FeatureType, PolicyFeature
from lerobot.utils.constants import ACTION, OBS_STATE

from cls_vla_ros.policy.configuration_cls_smolvla import CLSSmolVLAConfig

logger = logging.getLogger(__name__)


def check_dataset(config: CLSSmolVLAConfig, dataset_meta) -> None:
    """Compare a policy's configuration with a dataset.

    Args:
        config: of the policy; the size of its state becomes the dataset's.
        dataset_meta: lerobot's LeRobotDatasetMetadata.

    Raises:
        ValueError: the CLS objective cannot be trained on it.
    """
    if not (config.train_cls_only or config.distill_from):
        _take_size(config, dataset_meta.features)
    if not config.trains_cls:
        return
    if config.train_cls_only and not config.pretrained_path:
        raise ValueError(
            "train_cls_only trains the CLS head of a policy that is trained already: give its "
            "checkpoint with --policy.path, or leave train_cls_only out to train all of it"
        )
    lacks = [
        what
        for what, is_there in (
            ("a camera (observation.images.*)", bool(config.image_features)),
            (OBS_STATE, OBS_STATE in config.input_features),
            (ACTION, config.action_feature is not None),
        )
        if not is_there
    ]
    if lacks:
        raise ValueError(
            f"the dataset lacks {', '.join(lacks)}; it has {sorted(dataset_meta.features)}. "
            "Record it with these features, or rename its own with --rename_map"
        )
    lengths = list(dataset_meta.episodes["length"])
    _check_lengths(lengths, config.cls_pair_steps)
    if len(lengths) < 2 and config.cls_objective != "vicreg":
        raise ValueError(
            f"cls_objective={config.cls_objective} tells episodes apart, and the dataset has "
            "one: record more, or take --policy.cls_objective=vicreg"
        )


def _take_size(config: CLSSmolVLAConfig, features: dict) -> None:
    """Do not leave the size of the state that the checkpoint had which is gone on from."""
    shape = (features.get(OBS_STATE) or {}).get("shape")
    feature = config.input_features.get(OBS_STATE)
    if shape and feature and tuple(feature.shape) != tuple(shape):
        logger.warning(
            "the dataset's observation.state is %s, the checkpoint's was %s: it is the dataset's "
            "from now on",
            *(list(shape), list(feature.shape)),
        )
        config.input_features[OBS_STATE] = PolicyFeature(FeatureType.STATE, tuple(shape))


def _check_lengths(lengths: list[int], pair_steps: int) -> None:
    short = [number for number, length in enumerate(lengths) if length <= pair_steps]
    if not short:
        return
    found = (
        f"{len(short)} of {len(lengths)} episodes are too short for pairs of frames that are "
        f"cls_pair_steps={pair_steps} apart, such as episode {short[0]} with "
        f"{lengths[short[0]]} frames"
    )
    if len(short) == len(lengths):
        raise ValueError(
            f"{found}: set --policy.cls_pair_steps={max(max(lengths) - 1, 1)} or less, or record "
            "longer ones"
        )
    logger.warning("%s; theirs are nearer to each other", found)
