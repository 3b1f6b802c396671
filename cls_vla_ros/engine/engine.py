"""The engine: from preprocessed observations to normalised actions, with shapes that never change.

As it stands, it calls the model's operations one by one, on any device: the engine "eager".
`CudaGraphEngine` is the same, but replays them.
"""

import logging
import math
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager

import torch
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from torch import Tensor

from cls_vla_ros.engine.clock import Clock, Mark
from cls_vla_ros.engine.failures import device_failures
from cls_vla_ros.engine.guidance import Guidance, Guide
from cls_vla_ros.engine.memory.workspace import Workspace, Workspaces
from cls_vla_ros.engine.model import Model
from cls_vla_ros.engine.pictures import PictureSize
from cls_vla_ros.engine.prefix import EncodedPrefix
from cls_vla_ros.engine.sample import Sample
from cls_vla_ros.engine.torch_ops import TorchOps
from cls_vla_ros.engine.weights.read_weights import WeightReader
from cls_vla_ros.policy.modeling_cls_smolvla import CLSSmolVLAPolicy

logger = logging.getLogger(__name__)


class Engine:
    """Three steps: `encode_prefix` or `refresh_state`, then `denoise`. One caller at a time.

    Attributes:
        took_ms: how long the device was at each step of the inference that the last `denoise`
            ended, by "prefix", "refresh" and "denoise"; 0 for a step that was not there.
    """

    name = "eager"

    def __init__(
        self,
        policy: CLSSmolVLAPolicy,
        device: torch.device,
        dtype: torch.dtype,
        ops: TorchOps,
        max_tokens: int | None = None,
    ) -> None:
        """Take the weights out of a policy, which is not needed afterwards.

        Args:
            policy: loaded.
            device: where to compute.
            dtype: of weights and activations: float32 or bfloat16.
            ops: the operations.
            max_tokens: the longest instruction; the configuration's tokenizer_max_length if None.

        Raises:
            ValueError: the policy has a part that the engine does not know.
        """
        self.config = policy.config
        vlm = policy.model.vlm_with_expert.config
        self.picture_size = PictureSize.of(
            policy.config, vlm.vision_config.patch_size * vlm.scale_factor
        )
        weights = WeightReader(policy, device, dtype).read(self.picture_size.height)
        self.device, self.dtype = device, dtype
        self.clock = Clock(device)
        self._model = Model(weights, ops)
        self._workspaces = Workspaces(
            policy.config,
            weights,
            self.picture_size,
            max_tokens or self.config.tokenizer_max_length,
        )
        self._guidance = Guidance(policy.config.rtc_config)
        self._time_tables: dict[int, Tensor] = {}
        self._marks: list[tuple[str, Mark, Mark]] = []  # of the inference under way
        self.took_ms = {"prefix": 0.0, "refresh": 0.0, "denoise": 0.0}  # of the last one

    @property
    def ops_name(self) -> str:
        """Which operations it runs."""
        return type(self._model.ops).__name__

    def check_pictures(self, sizes: dict[str, tuple[int, int]]) -> None:
        """Can pictures of these heights and widths be used?

        Raises:
            ValueError: one of them cannot.
        """
        for name, size in sizes.items():
            self.picture_size.check(name, *size)

    @property
    def memory_mb(self) -> float:
        """What the process has allocated on the device, in megabytes; NaN on a CPU."""
        if self.device.type != "cuda":
            return math.nan
        return torch.cuda.memory_allocated(self.device) / 1e6

    @torch.no_grad()
    def encode_prefix(self, samples: Sequence[Sample]) -> list[EncodedPrefix]:
        """Run the vision-language model over observations.

        Args:
            samples: B of them, with as many pictures of the same sizes.

        Returns:
            The prefix of each. What it holds on the host is there when the next `denoise` is done.

        Raises:
            ValueError: they differ in their pictures, or an instruction is too long.
        """
        with self._step("prefix"):
            work = self._workspaces.get(len(samples), len(samples[0].pictures))
            work.loaded = None
            work.put_text([sample.tokens for sample in samples], [s.mask for s in samples])
            work.put_states([self._own_state(sample.state) for sample in samples])
            sizes, pictures = work.put_pictures([sample.pictures for sample in samples])
            self._run(work, ("pictures", sizes), lambda: self._cut(work, pictures))
            self._run(work, "prefix", lambda: self._model.encode_prefix(work.memory))
            work.loaded = work.take_prefixes()
            return work.loaded

    @torch.no_grad()
    def refresh_state(
        self, prefixes: Sequence[EncodedPrefix], states: Sequence[Tensor]
    ) -> list[EncodedPrefix]:
        """The prefixes of the same pictures and instructions with other states: one token each.

        Args:
            prefixes: B of them, with as many pictures; they are the same afterwards.
            states: (S,) float32 on the host, normalised.

        Returns:
            A prefix for each, with the obs_cls_out of the given one.
        """
        with self._step("refresh"):
            work = self._workspaces.get(len(prefixes), prefixes[0].pictures)
            work.load(prefixes)
            work.loaded = None
            work.put_states([self._own_state(state) for state in states])
            self._run(work, "refresh", lambda: self._model.refresh_state(work.memory))
            work.loaded = work.take_prefixes([prefix.obs_cls_out for prefix in prefixes])
            return work.loaded

    @torch.no_grad()
    def denoise(
        self,
        prefixes: Sequence[EncodedPrefix],
        noise: Tensor,
        num_steps: int | None = None,
        guides: Sequence[Guide | None] = (),
    ) -> Tensor:
        """Make the actions of computed prefixes. This waits for the device; the others do not.

        Args:
            prefixes: B of them, with as many pictures.
            noise: (B, T, max_action_dim) float32 on the host, standard normal.
            num_steps: of the flow; the configuration's if None.
            guides: for real-time chunking, one for each sample, or none at all.

        Returns:
            Normalised actions, (B, T, A) float32 on the host.
        """
        num_steps = num_steps or self.config.num_steps
        with self._step("denoise"):
            work = self._workspaces.get(len(prefixes), prefixes[0].pictures)
            work.load(prefixes)
            work.put_noise(noise)
            table, gains = self._time_table(num_steps), None
            if any(guides):
                memory = work.memory
                work.put_guides(*self._guidance.targets(guides, *memory.noise.shape[1:]))
                gains = self._guidance.gains(num_steps)
            self._run(
                work,
                ("denoise", num_steps, gains is not None),
                lambda: self._model.denoise(work.memory, table, gains),
            )
            actions = work.take_actions()
        with device_failures(self.device):
            self.clock.wait()
        self._tell_times()
        actions = actions[..., : self.config.action_feature.shape[0]].clone()
        if self.config.adapt_to_pi_aloha:
            actions = SmolVLAPolicy._pi_aloha_encode_actions(None, actions)  # uses no policy
        return actions

    def warm_up(
        self, sizes: Sequence[tuple[int, int]], say: Callable[[str], None] = logger.info
    ) -> float:
        """Run each step once, on noise, so that the first inference is like all others.

        Args:
            sizes: height and width of the pictures, in the order of `Sample.pictures`.
            say: gets a line for each step, before it begins.

        Returns:
            How long it took, in seconds.
        """
        started = time.perf_counter()
        config = self.config
        random = torch.Generator().manual_seed(0)
        sample = Sample(
            [torch.randint(0, 256, (*s, 3), dtype=torch.uint8, generator=random) for s in sizes],
            torch.zeros(1, dtype=torch.int64),
            torch.ones(1, dtype=torch.bool),
            torch.zeros(config.robot_state_feature.shape[0]),
        )
        noise = torch.randn(1, config.chunk_size, config.max_action_dim, generator=random)
        how = f"the engine {self.name} ({self.ops_name}, {self.dtype}) on {self.device}"

        def stage(number: int, name: str) -> None:
            took = time.perf_counter() - started
            say(f"warming up {how}: {number} of 3, {name}; {took:.1f} s so far")

        stage(1, "the prefix")
        prefixes = self.encode_prefix([sample])
        self.clock.wait()
        stage(2, "the state refresh")
        prefixes = self.refresh_state(prefixes, [sample.state])
        self.clock.wait()
        stage(3, "denoising")
        self.denoise(prefixes, noise)
        return time.perf_counter() - started

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        """What is launched inside is part of a step, and comes after what came before."""
        with self.clock.stream():
            start = self.clock.mark()
            try:
                with device_failures(self.device):
                    yield
            except BaseException:
                self._marks.clear()
                raise
            self._marks.append((name, start, self.clock.mark()))

    def _tell_times(self) -> None:
        took = dict.fromkeys(self.took_ms, 0.0)
        for name, start, end in self._marks:
            took[name] += self.clock.elapsed_ms(start, end)
        self.took_ms = took
        self._marks.clear()

    def _run(self, work: Workspace, key: Hashable, function: Callable[[], None]) -> None:
        """Do one step on a workspace."""
        function()

    def _cut(self, work: Workspace, pictures: list[Tensor]) -> None:
        """Pictures of each camera, (B, ...), to patches in the model's memory."""
        patch = self._model.weights.sizes.patch
        for camera, picture in enumerate(pictures):
            out = work.patches_of(camera)
            self._model.ops.to_patches(picture, self.picture_size, patch, out)

    def _own_state(self, state: Tensor) -> Tensor:
        if self.config.adapt_to_pi_aloha:
            return SmolVLAPolicy._pi_aloha_decode_state(None, state[None].clone())[0]
        return state

    def _time_table(self, num_steps: int) -> Tensor:
        if num_steps not in self._time_tables:
            self._time_tables[num_steps] = self._model.weights.time.table(num_steps)
        return self._time_tables[num_steps]
