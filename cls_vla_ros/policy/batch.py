"""What a call of the policy must come with, and a copy of a batch that may be written to."""

from lerobot.utils.constants import (
    OBS_IMAGES,
    OBS_LANGUAGE_ATTENTION_MASK,
    OBS_LANGUAGE_TOKENS,
    OBS_STATE,
)
from torch import Tensor, nn


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


def check_action_context(action_context: Tensor | None, batch_size: int, config) -> None:
    """Has the guide's action context the shape of a chunk?

    Args:
        action_context: (B, T, A), or None.
        batch_size: B.
        config: of the policy.

    Raises:
        ValueError: it has not.
    """
    expected = (batch_size, config.chunk_size, config.action_feature.shape[0])
    if action_context is not None and tuple(action_context.shape) != expected:
        raise ValueError(
            f"action_context must be (batch, chunk_size, action_dim) = {expected}, got "
            f"{tuple(action_context.shape)}"
        )


def check_head(config, model: nn.Module) -> None:
    """Has a policy the CLS head that its configuration speaks of?

    Args:
        config: of the policy; the guide's programs write to it.
        model: its.

    Raises:
        ValueError: it has none.
    """
    if config.use_cls_head and not hasattr(model, "pre_cls_param"):
        raise ValueError(
            "config.use_cls_head is True, but this policy was made without a CLS head, and "
            "setting it makes none. Make the policy with one: CLSSmolVLAConfig(use_cls_head=True),"
            " or CLSSmolVLAPolicy.from_pretrained of a stock SmolVLA, which gets an untrained "
            "one; `add_cls_head STOCK OUT` writes a checkpoint to train it"
        )
