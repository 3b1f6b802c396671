"""PolicyServer: robots touch the policy through two verbs, infer and reset."""

import gc
import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType

import numpy as np
import torch
from lerobot.processor import PolicyProcessorPipeline

from cls_vla_ros.engine import make_engine
from cls_vla_ros.inference.handover import Chunk, Handover
from cls_vla_ros.inference.job import Job, discard_used_prefixes
from cls_vla_ros.inference.noise import Noise
from cls_vla_ros.inference.observation import Observation, check_observation
from cls_vla_ros.inference.preprocessing import Preprocessor
from cls_vla_ros.inference.result import Inference
from cls_vla_ros.inference.reuse.glance_look import GlanceLook
from cls_vla_ros.inference.reuse.motion import state_std
from cls_vla_ros.inference.reuse.reuse_limits import ReuseLimits
from cls_vla_ros.inference.run_jobs import run_jobs
from cls_vla_ros.inference.seen import Seen
from cls_vla_ros.inference.session import Session
from cls_vla_ros.policy.modeling_cls_smolvla import CLSSmolVLAPolicy
from cls_vla_ros.policy.pictures import left_out, picture_names

logger = logging.getLogger(__name__)

DEFAULT = "default"


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
        engine: str = "auto",
        dtype: str = "auto",
        kernels: str = "auto",
        seed: int | None = None,
        episode: int = 0,
        cameras: Collection[str] | None = None,
    ) -> None:
        """Take over a loaded policy: its weights go into an engine, and it may be forgotten.

        Args:
            policy: from `load_policy`.
            preprocessor: likewise.
            postprocessor: likewise.
            engine: "eager", "cuda_graph" or "auto", see `make_engine`.
            dtype: "float32", "bfloat16" or "auto", see `make_engine`.
            kernels: "torch", "triton" or "auto", see `make_engine`.
            seed: of the denoising noise; None draws another one every time.
            episode: number of the episode that sessions begin with.
            cameras: the pictures that every observation must have, of those that the policy
                takes; if None, each may have other ones, at least one.

        Raises:
            ValueError: there is no such engine here, or it cannot run this policy.
        """
        self.config = policy.config
        self._cameras, self._told_left_out = cameras, set()
        if cameras:
            self._tell_left_out(cameras)
        self.preprocess = Preprocessor(preprocessor, policy.config)
        self._postprocessor = postprocessor
        feature = policy.config.robot_state_feature
        self.state_std = state_std(preprocessor, feature.shape[0] if feature else 0)
        self.glance = GlanceLook.of(policy)
        self.engine = make_engine(policy, engine, dtype, self.preprocess.max_tokens, kernels)
        self._noise = Noise((self.config.chunk_size, self.config.max_action_dim))
        self._first_episode = episode
        self._inference_lock = threading.Lock()
        self.seed(seed)
        self._sessions: dict[str, Session] = {}
        self._sessions_lock = threading.Lock()
        self._processors_know: tuple[Session, int] | None = None  # whose episode they have seen

    def session(self, name: str = DEFAULT) -> Session:
        """The session of that name, made at the first call."""
        with self._sessions_lock:
            config = self.config
            if name not in self._sessions:
                session = Session(
                    config.cls_similarity_threshold,
                    self._first_episode,
                    has_gate=config.use_cls_head,
                    is_trained=config.cls_head_trained,
                    by_interval=config.cls_thresholds,
                    state_std=self.state_std,
                    min_spread=config.cls_min_spread,
                    glance=self.glance,
                )
                session.limits = ReuseLimits.of_checkpoint(config)
                self._sessions[name] = session
            return self._sessions[name]

    def seed(self, seed: int | None, session: str | None = None) -> None:
        """Begin the denoising noise anew: the n-th inference after it has the same each time.

        Args:
            seed: of the noise; None draws another one every time.
            session: which has noise of its own from now on; None for all that have none.
        """
        with self._inference_lock:
            self._noise.seed(seed, session)

    def reset(self, session: str = DEFAULT) -> int:
        """Forget a session's episode: CLS history, cached prefixes, its statistics.

        Returns:
            The number of the new episode.
        """
        return self.session(session).reset()[0]

    def infer(
        self,
        observation: Observation,
        session: str = DEFAULT,
        episode: int | None = None,
        handover: Handover | None = None,
    ) -> Inference:
        """Compute a chunk of actions, on a cached prefix where the rules allow it.

        Args:
            observation: with a picture of each camera that it is run on, and a state.
            session: whose.
            episode: the episode that the observation was taken in; the present one if None. If a
                reset has come since, the inference is one of the past: it leaves no trace.
            handover: for real-time chunking: the new chunk goes on where the last one will be. A
                checkpoint with relative actions is left without it, because its chunks are
                relative to different states.

        Raises:
            ValueError: the observation is not what the policy takes. Nothing has changed then.
        """
        given = {session: observation}, {session: episode}, {session: handover}
        return self.infer_batch(*given)[session]

    def infer_batch(
        self,
        observations: dict[str, Observation],
        episodes: Mapping[str, int | None] = MappingProxyType({}),
        handovers: Mapping[str, Handover | None] = MappingProxyType({}),
    ) -> dict[str, Inference]:
        """Infer for several sessions at once; each has its own decision, as in `infer`.

        Prefixes that must be computed share a run of the model where pictures have the same sizes.

        Args:
            observations: by session.
            episodes: by session, see `infer`.
            handovers: likewise.

        Raises:
            ValueError: one of the observations is not what the policy takes. Nothing has changed.
        """
        for observation in observations.values():
            self._check(observation)
        with self._inference_lock:
            started = time.perf_counter()
            jobs = {
                name: self._begin(name, given, episodes.get(name), handovers.get(name))
                for name, given in observations.items()
            }
            run_jobs(self.engine, list(jobs.values()), self._noise.draw(jobs))
            # All before the first is committed: what one robot's fault stops leaves no trace.
            for job in jobs.values():
                if self.preprocess.remembers_state and len(jobs) > 1:
                    self.preprocess(job.observation)  # relative to whose state the actions are
                self._finish(job)
            return {name: self._commit(job, started) for name, job in jobs.items()}

    def warm_up(self, say: Callable[[str], None]) -> float:
        """Make the engine ready for pictures of the checkpoint's sizes; others are slow at first.

        Args:
            say: gets a line before each stage.

        Returns:
            How long it took, in seconds.
        """
        features = self.config.image_features
        cameras = self._cameras or picture_names(self.config)
        sizes = [feature.shape[1:] for name, feature in features.items() if name in cameras]
        with self._inference_lock:
            return self.engine.warm_up(sizes, say)

    def close(self) -> None:
        """Give the device's memory back. Nothing can be inferred afterwards.

        It does not wait: an inference under way keeps what it needs until it ends.
        """
        with self._sessions_lock:
            self._sessions.clear()
        if not self._inference_lock.acquire(blocking=False):
            return
        device, self.engine = self.engine.device, None
        self._inference_lock.release()
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()

    def remove_session(self, session: str) -> None:
        """Forget a session altogether, and free its cached prefixes: a robot that is gone."""
        with self._sessions_lock:
            self._sessions.pop(session, None)
            self._noise.forget(session)

    def _begin(
        self, name: str, observation: Observation, episode: int | None, handover: Handover | None
    ) -> Job:
        session = self.session(name)
        episode = session.episode if episode is None else episode
        if self._processors_know != (session, episode):
            self.preprocess.reset()
            self._postprocessor.reset()
            self._processors_know = (session, episode)
        sample = self.preprocess(observation)
        unguarded = session.limits.unguarded if session.may_reuse else observation.images
        guarded = observation.images.keys() - unguarded
        seen = Seen.of(observation, guarded, self.glance, sample.state)
        motion = session.motion(seen)
        entry, reason = session.choose(seen, episode)
        guide = None
        if not self.preprocess.remembers_state:
            guide = session.guide(observation.stamp_s, handover)
        looked = motion, session.glance_score, entry, reason
        return Job(session, observation, episode, seen, *looked, sample, guide)

    def _finish(self, job: Job) -> None:
        """Actions in the dataset's units, and the last checks that can fail."""
        with discard_used_prefixes([job]):
            job.values = self._postprocessor(job.actions)[0].double().numpy()  # (T, A)
            obs_cls_out = job.prefix.obs_cls_out
            if obs_cls_out is not None and not obs_cls_out.isfinite().all():
                raise ValueError("the policy's prefix holds NaN or infinity")

    def _commit(self, job: Job, started: float) -> Inference:
        """The last step, so that an inference that raised has not become the history."""
        session, entry = job.session, job.entry
        if entry is not None:
            decision = session.reused(entry, job.episode)
        else:
            decision = session.computed(job.prefix, job.seen, job.reason, job.episode)
        if np.isfinite(job.values).all():
            session.made(Chunk(job.actions[0], job.seen.stamp_s), job.episode)
        else:  # nothing good comes of such a prefix
            session.failed(job.episode)
        statistics, took_ms = session.statistics, job.took_ms
        return Inference(
            episode=job.episode,
            actions=job.values,
            decision=decision,
            obs_cls_out=job.prefix.obs_cls_out,
            reason=job.reason,
            cache_length=session.cache_length,
            cache_age_s=job.seen.stamp_s - entry.stamp_s if entry else 0.0,
            motion=job.motion,
            glance_score=job.glance_score,
            consecutive_reuses=session.consecutive_reuses,
            hit_rate=statistics.hit_rate,
            reuse_rate=statistics.reuse_rate,
            prefix_ms=0.0 if entry else took_ms["prefix"],
            refresh_ms=took_ms["refresh"] if entry else 0.0,
            denoise_ms=took_ms["denoise"],
            total_ms=(time.perf_counter() - started) * 1e3,
        )

    def _check(self, observation: Observation) -> None:
        check_observation(observation, self.config, self._cameras)
        self._tell_left_out(observation.images)
        self.engine.check_pictures({n: i.shape[:2] for n, i in observation.images.items()})

    def _tell_left_out(self, given: Collection[str]) -> None:
        """Say once which of the policy's pictures it does without."""
        missing = tuple(left_out(self.config, given))
        if missing and missing not in self._told_left_out:
            self._told_left_out.add(missing)
            logger.warning(
                "the checkpoint's config.json also has the pictures %s, which nobody gives: the "
                "policy is run on %s alone, as lerobot does. That is right if it was trained so",
                list(missing),
                sorted(given),
            )
