"""Several observations in one batch, and its prefix apart again."""

import torch
import torch.nn.functional as F  # noqa: N812
from lerobot.utils.constants import OBS_LANGUAGE_ATTENTION_MASK, OBS_LANGUAGE_TOKENS
from torch import Tensor
from transformers import DynamicCache

from cls_vla_ros.policy.prefix import Prefix

PADDED = (OBS_LANGUAGE_TOKENS, OBS_LANGUAGE_ATTENTION_MASK)


def collate(batches: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """One batch from preprocessed batches of one sample each.

    Shorter instructions are padded, with masks that say so: nothing attends to padding.

    Args:
        batches: B of them, with pictures of the same sizes.
    """
    if len(batches) == 1:
        return batches[0]
    length = max(batch[OBS_LANGUAGE_TOKENS].shape[1] for batch in batches)
    together = {}
    for key, value in batches[0].items():
        if not isinstance(value, Tensor):
            continue
        values = [batch[key] for batch in batches]
        if key in PADDED:
            values = [F.pad(value, (0, length - value.shape[1])) for value in values]
        together[key] = torch.cat(values)
    return together


def split_prefix(prefix: Prefix, count: int) -> list[Prefix]:
    """The prefix of each sample, (1, ...), from that of a batch of `count`."""
    if count == 1:
        return [prefix]
    return [
        Prefix(
            # Copies: a view would keep the whole batch in memory as long as one sample is cached.
            DynamicCache(
                tuple(
                    (layer.keys[i : i + 1].clone(), layer.values[i : i + 1].clone(), None)
                    for layer in prefix.past_key_values.layers
                )
            ),
            prefix.pad_masks[i : i + 1].clone(),
            None if prefix.obs_cls_out is None else prefix.obs_cls_out[i : i + 1].clone(),
            prefix.state_index,
        )
        for i in range(count)
    ]
