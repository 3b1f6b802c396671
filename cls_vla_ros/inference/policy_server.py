"""PolicyServer: robots touch the policy through two verbs, infer and reset."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from lerobot.policies.utils import prepare_observation_for_inference
from lerobot.processor import PolicyProcessorPipeline, RelativeActionsProcessorStep
from lerobot.utils.constants import OBS_STATE
from torch import Tensor

from cls_vla_ros.inference.batching import collate, split_prefix
from cls_vla_ros.inference.frame_guard import Thumbnail
from cls_vla_ros.inference.observation import Observation, check_observation
from cls_vla_ros.inference.prefix_cache import PrefixCache
from cls_vla_ros.inference.reasons import Reason
from cls_vla_ros.inference.result import Inference
from cls_vla_ros.inference.session import Seen, Session
from cls_vla_ros.policy.modeling_cls_smolvla import CLSSmolVLAPolicy
from cls_vla_ros.policy.prefix import Prefix

DEFAULT = "default"


@dataclass
class _Job:
    """One session's part of an inference, on its way."""

    session: Session
    observation: Observation
    episode: int
    seen: Seen
    entry: PrefixCache | None
    reason: Reason
    batch: dict[str, Tensor]
    prefix: Prefix | None = None
    actions: Tensor | None = None  # (1, T, A), normalised
    values: np.ndarray | None = None  # (T, A), in the dataset's units
    prefix_ms: float = 0.0
    refresh_ms: float = 0.0
    denoise_ms: float = 0.0


class PolicyServer:
    """Runs one policy for any number of robots, each in a session of its own. Thread-safe.

    Lock order: `_inference_lock` (held for a whole inference), then a session's own (held for
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
            episode: number of the episode that sessions begin with.
        """
        self.policy = policy
        self._preprocessor = preprocessor
        self._postprocessor = postprocessor
        self._noise = torch.Generator()  # on the CPU, so that a seed means the same everywhere
        if seed is None:
            self._noise.seed()
        else:
            self._noise.manual_seed(seed)
        # Such a step keeps the state of the observation that it saw last.
        self._remembers_state = any(
            isinstance(step, RelativeActionsProcessorStep) for step in preprocessor.steps
        )
        self._first_episode = episode
        self._inference_lock = threading.Lock()
        self._sessions: dict[str, Session] = {}
        self._sessions_lock = threading.Lock()
        self._processors_know: tuple[Session, int] | None = None  # whose episode they have seen

    def session(self, name: str = DEFAULT) -> Session:
        """The session of that name, made at the first call: history, cache, limits, statistics."""
        config = self.policy.config
        with self._sessions_lock:
            if name not in self._sessions:
                self._sessions[name] = Session(
                    config.cls_similarity_threshold,
                    self._first_episode,
                    has_gate=config.use_cls_head,
                    is_trained=config.cls_head_trained,
                )
            return self._sessions[name]

    def reset(self, session: str = DEFAULT) -> int:
        """Forget a session's episode: CLS history, cached prefixes, its statistics.

        Returns:
            The number of the new episode.
        """
        return self.session(session).reset()[0]

    def infer(
        self, observation: Observation, session: str = DEFAULT, episode: int | None = None
    ) -> Inference:
        """Compute a chunk of actions, on a cached prefix where the rules allow it.

        Args:
            observation: with a picture for each camera of the policy, and a state of its size.
            session: whose.
            episode: the episode that the observation was taken in; the present one if None. If a
                reset has come since, the inference is one of the past: it leaves no trace.

        Raises:
            ValueError: the observation is not what the policy takes. Nothing has changed then.
        """
        check_observation(observation, self.policy.config)
        with self._inference_lock:
            started = time.perf_counter()
            job = self._begin(self.session(session), observation, episode)
            self._run([job])
            self._finish(job)
            return self._commit(job, started)

    def infer_batch(self, observations: dict[str, Observation]) -> dict[str, Inference]:
        """Infer for several sessions at once; each has its own decision, as in `infer`.

        Sessions whose prefix must be computed share one run of the model where their pictures have
        the same sizes.

        Args:
            observations: by session.

        Raises:
            ValueError: one of the observations is not what the policy takes. Nothing has changed.
        """
        for observation in observations.values():
            check_observation(observation, self.policy.config)
        with self._inference_lock:
            started = time.perf_counter()
            jobs = {
                name: self._begin(self.session(name), observation, None)
                for name, observation in observations.items()
            }
            together: dict[object, list[_Job]] = {}
            for job in jobs.values():
                sizes = tuple(sorted((n, i.shape) for n, i in job.observation.images.items()))
                together.setdefault(id(job) if job.entry else sizes, []).append(job)
            for group in together.values():
                self._run(group)
            # All before the first is committed: what one robot's fault stops leaves no trace.
            for job in jobs.values():
                if self._remembers_state and len(jobs) > 1:
                    self._preprocess(job.observation)  # for relative actions: whose state it is
                self._finish(job)
            return {name: self._commit(job, started) for name, job in jobs.items()}

    def remove_session(self, session: str) -> None:
        """Forget a session altogether, and free its cached prefixes: a robot that is gone."""
        with self._sessions_lock:
            self._sessions.pop(session, None)

    def _begin(self, session: Session, observation: Observation, episode: int | None) -> _Job:
        episode = session.episode if episode is None else episode
        seen = Seen(
            observation.stamp_s,
            observation.task,
            frozenset(observation.images),
            {
                name: Thumbnail.of(image)
                for name, image in observation.images.items()
                if name not in session.limits.unguarded
            },
        )
        entry, reason = session.choose(seen, episode)
        if self._processors_know != (session, episode):
            self._preprocessor.reset()
            self._postprocessor.reset()
            self._processors_know = (session, episode)
        batch = self._preprocess(observation)
        return _Job(session, observation, episode, seen, entry, reason, batch)

    def _run(self, jobs: list[_Job]) -> None:
        """Prefix or state refresh, and denoising: one job with an entry, or any number without."""
        started = self._now()
        entry = jobs[0].entry
        with _failing(jobs):
            if entry is not None:
                prefix = self.policy.refresh_state(entry.prefix, jobs[0].batch)
            else:
                prefix = self.policy.encode_prefix(collate([job.batch for job in jobs]))
            prefix_ended = self._now()
            noise = torch.cat([self._draw_noise() for _ in jobs])
            actions = self.policy.denoise(prefix, noise)
            ended = self._now()
        parts = split_prefix(prefix, len(jobs))
        for job, part, of_job in zip(jobs, parts, actions.split(1), strict=True):
            job.prefix, job.actions = part, of_job
            took_ms = (prefix_ended - started) * 1e3
            job.prefix_ms, job.refresh_ms = (0.0, took_ms) if job.entry else (took_ms, 0.0)
            job.denoise_ms = (ended - prefix_ended) * 1e3

    def _finish(self, job: _Job) -> None:
        """Actions in the dataset's units, and the last checks that can fail."""
        with _failing([job]):
            job.values = self._postprocessor(job.actions)[0].double().cpu().numpy()  # (T, A)
            obs_cls_out = job.prefix.obs_cls_out
            if obs_cls_out is not None and not obs_cls_out.isfinite().all():
                raise ValueError("the policy's prefix holds NaN or infinity")

    def _commit(self, job: _Job, started: float) -> Inference:
        """The last step, so that an inference that raised has not become the history."""
        session, entry = job.session, job.entry
        if entry is not None:
            decision = session.reused(entry, job.episode)
        else:
            decision = session.computed(job.prefix, job.seen, job.reason, job.episode)
        if not np.isfinite(job.values).all():  # nothing good comes of such a prefix
            session.failed(job.episode)
        statistics = session.statistics
        return Inference(
            episode=job.episode,
            actions=job.values,
            decision=decision,
            obs_cls_out=job.prefix.obs_cls_out,
            reason=job.reason,
            cache_length=session.cache_length,
            cache_age_s=job.seen.stamp_s - entry.stamp_s if entry else 0.0,
            consecutive_reuses=session.consecutive_reuses,
            hit_rate=statistics.hit_rate,
            reuse_rate=statistics.reuse_rate,
            prefix_ms=job.prefix_ms,
            refresh_ms=job.refresh_ms,
            denoise_ms=job.denoise_ms,
            total_ms=(time.perf_counter() - started) * 1e3,
        )

    def _preprocess(self, observation: Observation) -> dict[str, Tensor]:
        arrays = {OBS_STATE: observation.state, **observation.images}
        device = torch.device(self._device)
        batch = prepare_observation_for_inference(arrays, device, observation.task)
        return self._preprocessor(batch)

    def _draw_noise(self) -> Tensor:
        config = self.policy.config
        shape = (1, config.chunk_size, config.max_action_dim)
        return torch.randn(shape, generator=self._noise).to(self._device)

    @property
    def _device(self) -> str:
        return self.policy.config.device

    def _now(self) -> float:
        """The time when the device has done its work: without that, it would be the launch's."""
        if torch.device(self._device).type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()


@contextmanager
def _failing(jobs: list[_Job]) -> Iterator[None]:
    """Where an inference raises, the cached prefix that it used is not used again."""
    try:
        yield
    except Exception:
        for job in jobs:
            if job.entry is not None:
                job.session.failed(job.episode)
        raise
