"""A policy in simulated time: it takes as long as it is told, and says what a policy may say."""

import math
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np

from cls_vla_ros.inference import Handover, Inference, Observation, Reason

CHUNK_SIZE = 30
HELD_STEPS = 6  # real-time chunking: so many more steps lead from the old chunk to the new one


class Policy:
    """What the InferenceLoop needs of a PolicyServer and its session."""

    def __init__(self, dt_s: float, infers: Callable[[], None]) -> None:
        """In episode 1.

        Args:
            dt_s: time between two steps.
            infers: is called while an inference is under way; time goes on in it.
        """
        self.episode = 1
        self.makes: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
        self._dt_s, self._infers = dt_s, infers
        self._last: tuple[np.ndarray, float] | None = None

    def session(self) -> "Policy":
        """Itself."""
        return self

    def reset(self) -> tuple[int, SimpleNamespace]:
        """A new episode."""
        self.episode, self._last = self.episode + 1, None
        return self.episode, SimpleNamespace(summary=lambda: "")

    def infer(
        self, observation: Observation, *, episode: int, handover: Handover | None
    ) -> Inference:
        """One inference.

        Args:
            observation: what it sees; of that only the joints count.
            episode: in which it begins.
            handover: of real-time chunking.
        """
        times_s = observation.stamp_s + np.arange(CHUNK_SIZE) * self._dt_s
        actions = self.makes(observation.state.astype(np.float64), times_s)
        if handover is not None and self._last is not None:
            actions = self._held_to_last(actions, observation.stamp_s, handover)
        self._last = actions, observation.stamp_s
        self._infers()
        return Inference(
            episode=episode,
            actions=actions.copy(),
            decision=None,
            obs_cls_out=None,
            reason=Reason.GATE_OFF,
            cache_length=0,
            cache_age_s=0.0,
            motion=math.nan,
            glance_score=math.nan,
            consecutive_reuses=0,
            hit_rate=math.nan,
            reuse_rate=0.0,
            prefix_ms=0.0,
            refresh_ms=0.0,
            denoise_ms=0.0,
            total_ms=0.0,
        )

    def _held_to_last(self, actions: np.ndarray, stamp_s: float, handover: Handover) -> np.ndarray:
        last, last_stamp_s = self._last
        done = round((stamp_s - last_stamp_s) / self._dt_s)
        left = last[done:]
        if not 0 <= done < len(last) or not np.isfinite(left).all():
            return actions
        delay = math.ceil(handover.delay_s / self._dt_s)
        weights = np.clip((delay + HELD_STEPS - np.arange(len(left))) / HELD_STEPS, 0, 1)[:, None]
        actions = actions.copy()
        actions[: len(left)] = weights * left + (1 - weights) * actions[: len(left)]
        return actions
