"""The engine's memory for one batch size and number of pictures: what comes in, what goes out.

What comes from the host goes through pinned buffers that always are the same, so that the copy to
the device needs no allocation and does not make the host wait.
"""

from collections import OrderedDict
from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

from cls_vla_ros.engine.memory.layout import Layout
from cls_vla_ros.engine.memory.memory import Memory
from cls_vla_ros.engine.pictures import PictureSize
from cls_vla_ros.engine.prefix import EncodedPrefix
from cls_vla_ros.engine.weights.weights import Weights
from cls_vla_ros.policy.configuration_cls_smolvla import CLSSmolVLAConfig
from cls_vla_ros.policy.pictures import empty_pictures

MAX_WORKSPACES = 4  # that are kept; the least recently used one goes
MAX_PICTURE_SIZES = 4  # combinations of picture sizes that are kept in each; likewise

Sizes = tuple[tuple[tuple[int, ...], torch.dtype], ...]  # shape and dtype for each camera


class Workspace:
    """Memory of one batch size and number of pictures, with what was captured on it."""

    def __init__(self, memory: Memory) -> None:
        """Make the host's side of it."""
        self.memory = memory
        self.loaded: list[EncodedPrefix] | None = None  # whose KV the memory holds, if known
        self.captured: dict[Hashable, object] = {}  # by step; whoever captures keeps it here
        self._pictures: OrderedDict[Sizes, list[tuple[Tensor, Tensor]]] = OrderedDict()
        self._on_host = {
            name: self._host_like(getattr(memory, name))
            for name in ("tokens", "language_mask", "state", "noise", "target", "hold")
        }
        self._actions = self._host_like(memory.actions)

    def patches_of(self, camera: int) -> Tensor:
        """(B, patches, 3 * patch * patch), the view of one camera's patches."""
        return self.memory.patches.unflatten(0, (self.memory.layout.batch_size, -1))[:, camera]

    def put_text(self, tokens: Sequence[Tensor], masks: Sequence[Tensor]) -> None:
        """Instructions, (L,) int64 and (L,) bool each, padded here to the longest there can be.

        Raises:
            ValueError: an instruction is longer than that.
        """
        longest = self.memory.layout.language
        for which, values in (("tokens", tokens), ("language_mask", masks)):
            host = self._on_host[which].zero_()
            for row, value in zip(host, values, strict=True):
                if len(value) > longest:
                    raise ValueError(
                        f"the instruction has {len(value)} tokens, at most {longest} were "
                        "announced: set max_length of the checkpoint's tokenizer_processor"
                    )
                row[: len(value)] = value
        self._upload("tokens", "language_mask")

    def put_states(self, states: Sequence[Tensor]) -> None:
        """States, (S,) each, padded here with zeros to max_state_dim."""
        host = self._on_host["state"].zero_()
        for row, state in zip(host, states, strict=True):
            row[: len(state)] = state
        self._upload("state")

    def put_noise(self, noise: Tensor) -> None:
        """(B, T, max_action_dim) float32."""
        self._on_host["noise"].copy_(noise)
        self._upload("noise")

    def put_guides(self, target: Tensor, hold: Tensor) -> None:
        """(B, T, max_action_dim) and (B, T, 1) float32, see `Guidance.targets`."""
        self._on_host["target"].copy_(target)
        self._on_host["hold"].copy_(hold)
        self._upload("target", "hold")

    def put_pictures(self, samples: Sequence[list[Tensor]]) -> tuple[Sizes, list[Tensor]]:
        """The cameras' pictures of each sample, onto the device.

        Returns:
            Their sizes, and for each camera the pictures of all samples, (B, ...): the same
            tensors whenever the sizes are the same.

        Raises:
            ValueError: the samples' pictures have different sizes.
        """
        sizes = tuple((tuple(picture.shape), picture.dtype) for picture in samples[0])
        for pictures in samples[1:]:
            if tuple((tuple(p.shape), p.dtype) for p in pictures) != sizes:
                raise ValueError("the samples of one batch must have pictures of the same sizes")
        buffers = self._buffers(sizes)
        for camera, (host, device) in enumerate(buffers):
            for row, pictures in enumerate(samples):
                if pictures[camera].device.type == "cpu":
                    host[row].copy_(pictures[camera])
                else:
                    device[row].copy_(pictures[camera])
            if samples[0][camera].device.type == "cpu":
                device.copy_(host, non_blocking=True)
        return sizes, [device for _, device in buffers]

    def load(self, prefixes: Sequence[EncodedPrefix]) -> None:
        """Make these the prefixes in memory, unless they are."""
        if self.loaded is not None and all(
            ours is theirs for ours, theirs in zip(self.loaded, prefixes, strict=True)
        ):
            return
        self.loaded = None
        memory, end = self.memory, self.memory.layout.prefix
        for row, prefix in enumerate(prefixes):
            memory.kv[:, :, row, :end].copy_(prefix.kv)
            memory.cross_kv[:, :, row].copy_(prefix.cross_kv)
            memory.visible[row].copy_(prefix.visible)
        self.loaded = list(prefixes)

    def take_prefixes(
        self, obs_cls_outs: Sequence[Tensor | None] | None = None
    ) -> list[EncodedPrefix]:
        """Copies of what the memory holds.

        Args:
            obs_cls_outs: to carry on instead of the memory's, which are not of these prefixes.
        """
        memory, end = self.memory, self.memory.layout.prefix
        if obs_cls_outs is None:
            obs_cls_outs = self._take_obs_cls_outs()
        return [
            EncodedPrefix(
                memory.kv[:, :, row, :end].clone(),
                memory.cross_kv[:, :, row].clone(),
                memory.visible[row].clone(),
                obs_cls_out,
                memory.layout.cameras,
            )
            for row, obs_cls_out in enumerate(obs_cls_outs)
        ]

    def take_actions(self) -> Tensor:
        """(B, T, max_action_dim) on the host, once the device has come that far."""
        return self._actions.copy_(self.memory.actions, non_blocking=True)

    def _take_obs_cls_outs(self) -> list[Tensor | None]:
        device = self.memory.obs_cls_out
        if device is None:
            return [None] * self.memory.layout.batch_size
        # A new tensor, not a buffer: it lives as long as the prefix does.
        host = self._host_like(device).copy_(device, non_blocking=True)
        return list(host.split(1))

    def _buffers(self, sizes: Sizes) -> list[tuple[Tensor, Tensor]]:
        if sizes not in self._pictures:
            if len(self._pictures) == MAX_PICTURE_SIZES:
                oldest, _ = self._pictures.popitem(last=False)
                self.captured.pop(("pictures", oldest), None)
            batch = self.memory.layout.batch_size
            device = [
                torch.zeros(batch, *shape, dtype=dtype, device=self.memory.noise.device)
                for shape, dtype in sizes
            ]
            self._pictures[sizes] = [(self._host_like(tensor), tensor) for tensor in device]
        self._pictures.move_to_end(sizes)
        return self._pictures[sizes]

    def _upload(self, *names: str) -> None:
        for name in names:
            getattr(self.memory, name).copy_(self._on_host[name], non_blocking=True)

    @staticmethod
    def _host_like(tensor: Tensor) -> Tensor:
        return torch.zeros(
            tensor.shape, dtype=tensor.dtype, pin_memory=tensor.device.type == "cuda"
        )


class Workspaces:
    """A workspace for each batch size and number of pictures, at most MAX_WORKSPACES."""

    def __init__(
        self, config: CLSSmolVLAConfig, weights: Weights, picture: PictureSize, max_tokens: int
    ) -> None:
        """Make none yet.

        Args:
            config: of the policy.
            weights: likewise.
            picture: what the vision model gets.
            max_tokens: of an instruction.
        """
        self._config, self._weights = config, weights
        self._patches = (picture.height // weights.sizes.patch) ** 2
        self._max_tokens = max_tokens
        self._kept: OrderedDict[tuple[int, int], Workspace] = OrderedDict()

    def get(self, batch_size: int, pictures: int) -> Workspace:
        """That of a batch size and of a number of pictures of each sample."""
        key = batch_size, pictures
        if key not in self._kept:
            if len(self._kept) == MAX_WORKSPACES:
                self._kept.popitem(last=False)
            config = self._config
            memory = Memory.allocate(
                self._layout(batch_size, pictures),
                self._weights,
                self._patches,
                config.max_state_dim,
                config.max_action_dim,
            )
            self._kept[key] = Workspace(memory)
        self._kept.move_to_end(key)
        return self._kept[key]

    def _layout(self, batch_size: int, pictures: int) -> Layout:
        config, weights = self._config, self._weights
        around = (weights.picture_start, weights.picture_end)
        special = sum(len(tokens) for tokens in around if tokens is not None)
        num_cls = config.num_cls_prefix if config.use_cls_head else 0
        is_before = config.cls_attention == "bidirectional"
        return Layout(
            batch_size=batch_size,
            cameras=pictures,
            tokens_per_camera=self._patches // weights.sizes.shuffle**2 + special,
            empty_tokens=special * empty_pictures(config, pictures),
            language=self._max_tokens,
            cls_before=num_cls if is_before else 0,
            cls_after=0 if is_before else num_cls,
            chunk_size=config.chunk_size,
        )
