"""PolicyServer: robots touch the policy through two verbs, infer and reset."""

import math
import threading
import time
from collections import deque
from dataclasses import dataclass, field

import numpy as np
import torch
from lerobot.policies.utils import prepare_observation_for_inference
from lerobot.processor import PolicyProcessorPipeline
from lerobot.utils.constants import OBS_STATE
from torch import Tensor

from cls_vla_ros.policy.modeling_cls_smolvla import CLSSmolVLAPolicy
from cls_vla_ros.policy.scene_gate import GateDecision, SceneGate

HIT_RATE_WINDOW = 100  # evaluations; the guide's window_size


@dataclass(frozen=True)
class Observation:
    """What a robot sees and feels at one time.

    Attributes:
        images: the pictures by feature name ("observation.images.front"), each (height, width, 3)
            uint8 RGB.
        state: (S,) float32, in the units that the policy was trained with.
        task: the instruction, in words.
    """

    images: dict[str, np.ndarray]
    state: np.ndarray
    task: str


@dataclass(frozen=True)
class Inference:
    """What one inference made, and how.

    Attributes:
        episode: the episode it began in. If it is no longer the server's, a reset came meanwhile:
            discard it.
        actions: (T, A) float64, in the units that the policy was trained with; may hold NaN if the
            policy made it.
        decision: the gate's; None if the policy has no CLS head.
        obs_cls_out: (1, N, H) float32 on the policy's device; None if the policy has no CLS head.
        hit_rate: share of the last 100 decisions of the episode that said should_cache; NaN if
            there was none.
        prefix_ms: time of the vision-language prefix.
        denoise_ms: time of the denoising loop.
        total_ms: both, and the pre- and post-processing.
    """

    episode: int
    actions: np.ndarray
    decision: GateDecision | None
    obs_cls_out: Tensor | None
    hit_rate: float
    prefix_ms: float
    denoise_ms: float
    total_ms: float


@dataclass
class _Session:
    """One robot's episode: all that a reset forgets."""

    gate: SceneGate
    episode: int
    decisions: deque[bool] = field(default_factory=lambda: deque(maxlen=HIT_RATE_WINDOW))

    @property
    def hit_rate(self) -> float:
        return sum(self.decisions) / len(self.decisions) if self.decisions else math.nan


class PolicyServer:
    """Runs a policy and keeps the history of the robot that uses it. Thread-safe.

    Lock order: `_inference_lock` (held for a whole inference), then `_session_lock` (held for
    moments). `reset` takes only the second, so it never waits for an inference; one that is under
    way then ends in an old episode.
    """

    def __init__(
        self,
        policy: CLSSmolVLAPolicy,
        preprocessor: PolicyProcessorPipeline,
        postprocessor: PolicyProcessorPipeline,
        *,
        seed: int | None = None,
        episode: int = 0,
    ) -> None:
        """Take over a loaded policy.

        Args:
            policy: from `load_policy`.
            preprocessor: likewise.
            postprocessor: likewise.
            seed: of the denoising noise; None draws another one every time.
            episode: number of the episode to begin with.
        """
        self.policy = policy
        self._preprocessor = preprocessor
        self._postprocessor = postprocessor
        self._noise = (
            torch.Generator()
        )  # on the CPU, so that a seed means the same on every device
        if seed is None:
            self._noise.seed()
        else:
            self._noise.manual_seed(seed)
        self._inference_lock = threading.Lock()
        self._session_lock = threading.Lock()
        self._session = _Session(SceneGate(policy.config.cls_similarity_threshold), episode)
        self._processors_episode = self._session.episode

    @property
    def episode(self) -> int:
        """Number of the episode: it grows by one with each reset."""
        return self._session.episode

    @property
    def threshold(self) -> float:
        """The gate's similarity threshold; a new one holds from the next evaluation on."""
        return self._session.gate.threshold

    @threshold.setter
    def threshold(self, value: float | str) -> None:
        with self._session_lock:
            self._session.gate.threshold = value

    def reset(self) -> int:
        """Forget the episode: CLS history, statistics, and what the processors remember.

        Returns:
            The number of the new episode.
        """
        with self._session_lock:
            self._session.gate.reset()
            self._session.decisions.clear()
            self._session.episode += 1
            return self._session.episode

    def infer(self, observation: Observation, episode: int | None = None) -> Inference:
        """Compute a chunk of actions, and whether the scene is as predicted.

        Args:
            observation: with a picture for each camera of the policy, and a state of its size.
            episode: the episode that the observation was taken in; the present one if None. If a
                reset has come since, the inference is one of the past: it leaves no trace in the
                history.

        Raises:
            ValueError: the observation is not what the policy takes. Nothing has changed then.
        """
        self._check(observation)
        with self._inference_lock:
            return self._infer(observation, self.episode if episode is None else episode)

    def _infer(self, observation: Observation, episode: int) -> Inference:
        started = time.perf_counter()
        if episode != self._processors_episode:
            self._preprocessor.reset()
            self._postprocessor.reset()
            self._processors_episode = episode
        batch = self._preprocess(observation)

        prefix_started = time.perf_counter()
        prefix = self.policy.encode_prefix(batch)
        self._wait_for_device()
        denoise_started = time.perf_counter()
        actions = self.policy.denoise(prefix, self._draw_noise())
        self._wait_for_device()
        denoise_ended = time.perf_counter()

        actions = self._postprocessor(actions)[0].double().cpu().numpy()  # (T, A)
        # The last step, so that an inference that raised has not become the history.
        decision, hit_rate = self._judge(prefix.obs_cls_out, episode)
        return Inference(
            episode=episode,
            actions=actions,
            decision=decision,
            obs_cls_out=prefix.obs_cls_out,
            hit_rate=hit_rate,
            prefix_ms=(denoise_started - prefix_started) * 1e3,
            denoise_ms=(denoise_ended - denoise_started) * 1e3,
            total_ms=(time.perf_counter() - started) * 1e3,
        )

    def _judge(
        self, obs_cls_out: Tensor | None, episode: int
    ) -> tuple[GateDecision | None, float]:
        """Let the gate decide; then this inference is its history, unless a reset came."""
        if obs_cls_out is None:
            return None, math.nan
        with self._session_lock:
            decision = self._session.gate.evaluate(obs_cls_out)
            if episode == self._session.episode:
                self._session.gate.commit(obs_cls_out)
                self._session.decisions.append(decision.should_cache)
            return decision, self._session.hit_rate

    def _preprocess(self, observation: Observation) -> dict[str, Tensor]:
        arrays = {OBS_STATE: observation.state, **observation.images}
        batch = prepare_observation_for_inference(
            arrays, torch.device(self._device), observation.task
        )
        return self._preprocessor(batch)

    def _draw_noise(self) -> Tensor:
        config = self.policy.config
        shape = (1, config.chunk_size, config.max_action_dim)
        return torch.randn(shape, generator=self._noise).to(self._device)

    @property
    def _device(self) -> str:
        return self.policy.config.device

    def _wait_for_device(self) -> None:
        """Without this a CUDA time would be that of the launch, not of the work."""
        if torch.device(self._device).type == "cuda":
            torch.cuda.synchronize(self._device)

    def _check(self, observation: Observation) -> None:
        config = self.policy.config
        wanted = [name for name in config.image_features if ".empty_camera_" not in name]
        if set(observation.images) != set(wanted):
            raise ValueError(
                f"the observation has the pictures {sorted(observation.images)}, the policy takes "
                f"{sorted(wanted)}"
            )
        for name, image in observation.images.items():
            if (
                image.dtype != np.uint8
                or image.ndim != 3
                or image.shape[2] != 3
                or 0 in image.shape
            ):
                raise ValueError(
                    f"{name} must be (height, width, 3) uint8 RGB, got {image.shape} {image.dtype}"
                )
        shape = tuple(config.robot_state_feature.shape)
        if observation.state.shape != shape or observation.state.dtype != np.float32:
            raise ValueError(
                f"the state must be {shape} float32, got {observation.state.shape} "
                f"{observation.state.dtype}"
            )
        if not np.isfinite(observation.state).all():
            raise ValueError(f"the state holds NaN or infinity: {observation.state.tolist()}")
