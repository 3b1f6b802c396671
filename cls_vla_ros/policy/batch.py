"""What a batch must have, and a copy of it that may be written to."""

from lerobot.utils.constants import (
    OBS_IMAGES,
    OBS_LANGUAGE_ATTENTION_MASK,
    OBS_LANGUAGE_TOKENS,
    OBS_STATE,
)
from torch import Tensor


def own_state(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """A batch whose state may be written in place, as lerobot's _prepare_batch does for Aloha."""
    return {**batch, OBS_STATE: batch[OBS_STATE].clone()}


def check_keys(batch: dict[str, Tensor]) -> None:
    """Say which key to use, where the guide's spelling or nothing was given."""
    for key in batch:
        if key.startswith("obs."):
            raise ValueError(
                f"the batch has the key {key!r}; lerobot's name for it is "
                f"'observation.{key.removeprefix('obs.')}'"
            )
    needed = (OBS_STATE, OBS_LANGUAGE_TOKENS, OBS_LANGUAGE_ATTENTION_MASK)
    missing = [key for key in needed if key not in batch]
    if missing:
        raise ValueError(
            f"the batch lacks {missing}; it has {sorted(batch)}. Expected are {list(needed)} and "
            f"{OBS_IMAGES}.*, "
            f"as the checkpoint's preprocessor makes them from an observation and its 'task'"
        )
