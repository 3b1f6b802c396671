"""The computed prefix of one observation: what the guide's call forms keep.

The node keeps the engine's EncodedPrefix instead, and never comes here. That the policy has a
cached path of its own, beside the engine's, has three reasons:

- the policy is what lerobot trains, saves and compares: it must give stock SmolVLA's actions bit
  for bit, in any dtype, for batches of any size, on any device, by the modules that are trained.
  The engine reorders the arithmetic (QKV in one product, norms' scales in the matrices behind
  them), holds a copy of the weights, twice the memory, that would be stale after each training
  step, and has no gradients;
- the engine is built out of a policy, so that the policy cannot call it without a circle;
- it is the independent computation against which the engine's tests hold the engine's.

What it costs is this file, `refresh_state` and the guide's arguments in predict_action_chunk.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import ref

import torch
from torch import Tensor
from transformers import DynamicCache

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Origin:
    """The call that made a prefix: it may be used for this policy, episode and instruction only.

    Attributes:
        policy: a weak reference: an id() may be that of another one, once it is gone.
        episode: number of resets before.
        number: of the policy's inferences, this one included.
        tokens: (B, L) the instruction.
        mask: (B, L) bool, False for padding.
    """

    policy: ref
    episode: int
    number: int
    tokens: Tensor
    mask: Tensor

    def is_of(self, policy: object) -> bool:
        """Whether that policy made it."""
        return self.policy() is policy


@dataclass(frozen=True, eq=False)  # two prefixes are the same only if they are one object
class Prefix:
    """KV of the vision-language prefix, and what the CLS tokens made of it.

    This is the guide's `past_key_values`, which carries the obs_cls_out that it was computed with:
    who reuses it did not run the prefix, and could not get it otherwise.

    Attributes:
        past_key_values: K and V of each VLM layer, (B, heads, P, head_dim), after RoPE.
        pad_masks: (B, P) bool, False for padding. The guide's `prefix_pad_masks`.
        obs_cls_out: (B, N, H) float32, the output (after the final norm) at the CLS tokens; None
            without CLS head.
        state_index: which of the P tokens is the state; what follows it is padding.
        origin: where it comes from, if a call with cal_cache=True made it.
    """

    past_key_values: DynamicCache
    pad_masks: Tensor
    obs_cls_out: Tensor | None
    state_index: int
    origin: "Origin | None" = None

    @property
    def batch_size(self) -> int:
        return self.pad_masks.shape[0]

    @property
    def dtype(self) -> torch.dtype:
        """Of K and V."""
        return self.past_key_values.layers[0].keys.dtype

    @property
    def device(self) -> torch.device:
        return self.pad_masks.device

    @property
    def nbytes(self) -> int:
        """Memory of all its tensors, in bytes."""
        return sum(tensor.nbytes for tensor in self._tensors())

    def before(self, end: int) -> DynamicCache:
        """KV of the tokens before `end`. Appending to it leaves this prefix as it is."""
        return DynamicCache(
            tuple(
                (layer.keys[:, :, :end], layer.values[:, :, :end], None)
                for layer in self.past_key_values.layers
            )
        )

    def _tensors(self) -> "Iterator[Tensor]":
        for layer in self.past_key_values.layers:
            yield layer.keys
            yield layer.values
        yield self.pad_masks
        if self.obs_cls_out is not None:
            yield self.obs_cls_out


def check_prefix(
    prefix: Prefix,
    *,
    batch_size: int,
    weight: Tensor,
    has_cls_head: bool,
) -> None:
    """Does a cached prefix fit a policy and a batch?

    Args:
        prefix: what was given as past_key_values.
        batch_size: B of the observation.
        weight: of the policy's language model, for its dtype and device.
        has_cls_head: whether the policy has one.

    Raises:
        ValueError: it does not; the text names both sides.
    """
    if not isinstance(prefix, Prefix):
        raise ValueError(
            "past_key_values must be what a call with cal_cache=True returned first, a Prefix; "
            f"got {type(prefix).__name__}"
        )
    if prefix.batch_size != batch_size:
        raise ValueError(
            f"past_key_values are of a batch of {prefix.batch_size}, the observation.state of one "
            f"of {batch_size}"
        )
    for what, cached, own in (
        ("dtype", prefix.dtype, weight.dtype),
        ("device", prefix.device, weight.device),
    ):
        if cached != own:
            raise ValueError(f"past_key_values are of the {what} {cached}, the policy of {own}")
    if has_cls_head and prefix.obs_cls_out is None:
        raise ValueError("past_key_values come from a policy without CLS head, this one has one")


def check_masks(prefix: Prefix, prefix_pad_masks: Tensor | None) -> None:
    """Are these the masks that a prefix was computed with?

    Args:
        prefix: the prefix.
        prefix_pad_masks: what was given with it; None to leave that out.

    Raises:
        ValueError: they are not.
    """
    if prefix_pad_masks is not None and (
        prefix_pad_masks.shape != prefix.pad_masks.shape
        or not torch.equal(prefix_pad_masks.to(prefix.device), prefix.pad_masks)
    ):
        raise ValueError(
            f"prefix_pad_masks {tuple(prefix_pad_masks.shape)} are not those that past_key_values "
            f"were computed with, {tuple(prefix.pad_masks.shape)}"
        )
