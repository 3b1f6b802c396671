"""A robot's part of a session whose model runs elsewhere: its episodes, counts and settings."""

import threading
from collections.abc import Sequence

from cls_vla_ros.inference.remote.protocol import RemoteConfig
from cls_vla_ros.inference.result import Inference
from cls_vla_ros.inference.reuse.reasons import Reason
from cls_vla_ros.inference.reuse.reuse_limits import ReuseLimits
from cls_vla_ros.inference.statistics import Statistics
from cls_vla_ros.policy.thresholds import Row, parse_rows, parse_threshold


class RemoteSession:
    """As a `Session` to those who ask it. Thread-safe.

    Attributes:
        limits: sent with the next request when they have changed.
        total: of all episodes.
        statistics: of this one.
        cache_length: prefixes in the far queue, as of the last answer.
        consecutive_reuses: likewise.
        cache_nbytes: nothing is kept here.
        is_blind: whether the gate was, at the last answer.
    """

    cache_nbytes = 0

    def __init__(self, config: RemoteConfig, episode: int) -> None:
        """Begin an episode.

        Args:
            config: of the policy.
            episode: its number.
        """
        self._lock = threading.Lock()
        self._episode = episode
        self.limits = ReuseLimits.of_checkpoint(config)
        self._threshold = config.cls_similarity_threshold
        self._by_interval = parse_rows(config.cls_thresholds)
        self.statistics, self.total = Statistics(), Statistics()
        self.cache_length = self.consecutive_reuses = 0
        self.is_blind = False

    @property
    def episode(self) -> int:
        return self._episode

    @property
    def threshold(self) -> float:
        return self._threshold

    @threshold.setter
    def threshold(self, value: float | str) -> None:
        self.set_thresholds(value)

    @property
    def thresholds_by_interval(self) -> tuple[Row, ...]:
        return self._by_interval

    def set_thresholds(
        self, threshold: float | str, by_interval: Sequence[Sequence[float]] = ()
    ) -> None:
        """As `Session.set_thresholds`; sent with the next request."""
        rows, single = parse_rows(by_interval), parse_threshold(threshold)
        with self._lock:
            self._threshold, self._by_interval = single, rows

    def in_force(self) -> tuple[ReuseLimits, float, tuple[Row, ...]]:
        """What the other end must know."""
        with self._lock:
            return self.limits, self._threshold, self._by_interval

    def reset(self) -> tuple[int, Statistics]:
        """Begin a new episode; the other end hears of it with the next request.

        Returns:
            Its number, and the statistics of the one that ended.
        """
        with self._lock:
            ended, self.statistics = self.statistics, Statistics()
            self._episode += 1
            self.cache_length = self.consecutive_reuses = 0
            return self._episode, ended

    def counts(self) -> tuple[dict[Reason, int], dict[Reason, int]]:
        """Inferences by reason: of the episode, and in total."""
        with self._lock:
            return dict(self.statistics.reasons), dict(self.total.reasons)

    def inferred(self, inference: Inference) -> None:
        """Count an answer; one of an episode that is over is none."""
        with self._lock:
            if inference.episode != self._episode:
                return
            self.cache_length = inference.cache_length
            self.consecutive_reuses = inference.consecutive_reuses
            self.is_blind = inference.reason is Reason.GATE_BLIND
            for statistics in (self.statistics, self.total):
                statistics.add_inference(inference.reason)
                if inference.decision is not None and not inference.prefix_reused:
                    statistics.add_decision(inference.decision.should_cache)
