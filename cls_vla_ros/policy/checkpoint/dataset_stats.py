"""What a checkpoint's processors say of the data that it was trained on; no weights are read."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

NORMALIZER = "normalizer_processor"
STDS = 3.0  # either side of the mean, where a checkpoint has no minimum and maximum


@dataclass(frozen=True)
class Seen:
    """Where the values of a feature were, in policy units.

    Attributes:
        lower: (S,) or (A,) float64.
        upper: likewise.
        is_exact: whether these are minimum and maximum, or 3 standard deviations.
    """

    lower: np.ndarray
    upper: np.ndarray
    is_exact: bool


def read_seen(folder: Path) -> dict[str, Seen]:
    """The ranges of state and action in a checkpoint's training data, by feature.

    Args:
        folder: the checkpoint's.

    Returns:
        Without the features of which the checkpoint has no statistics.

    Raises:
        FileNotFoundError: it has no preprocessor, or not the file that this one names.
        ValueError: it is damaged.
    """
    # Not where `Seen` alone is used: a robot without a model has neither.
    from lerobot.utils.constants import POLICY_PREPROCESSOR_DEFAULT_NAME
    from safetensors.numpy import load_file

    file = folder / f"{POLICY_PREPROCESSOR_DEFAULT_NAME}.json"
    steps = json.loads(file.read_text())["steps"]
    names = [s.get("state_file") for s in steps if s.get("registry_name") == NORMALIZER]
    stats = {}
    for name in filter(None, names):
        try:
            stats |= load_file(folder / name)
        except OSError:
            raise
        except Exception as error:  # safetensors has an error of its own
            raise ValueError(f"{name} of the checkpoint {folder} is damaged: {error}") from error
    features = sorted({key.rpartition(".")[0] for key in stats})
    return {f: seen for f in features if (seen := _of_feature(f, stats)) is not None}


def _of_feature(feature: str, stats: dict[str, np.ndarray]) -> Seen | None:
    of = {
        key: np.asarray(stats[f"{feature}.{key}"], np.float64)
        for key in ("min", "max", "mean", "std")
        if f"{feature}.{key}" in stats
    }
    if {"min", "max"} <= set(of) and of["min"].ndim == 1:
        return Seen(of["min"], of["max"], is_exact=True)
    if {"mean", "std"} <= set(of) and of["mean"].ndim == 1:
        width = STDS * of["std"]
        return Seen(of["mean"] - width, of["mean"] + width, is_exact=False)
    return None
