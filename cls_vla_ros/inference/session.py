"""One robot's episode: CLS history, cached prefixes, statistics, and the rules of reuse."""

import math
import threading
from collections.abc import Sequence

import numpy as np

from cls_vla_ros.engine import EncodedPrefix, Guide
from cls_vla_ros.inference.handover import Chunk, Handover
from cls_vla_ros.inference.picture_health import is_frozen
from cls_vla_ros.inference.reuse.adaptive_threshold import AdaptiveThreshold
from cls_vla_ros.inference.reuse.frame_guard import look
from cls_vla_ros.inference.reuse.gate_sight import GateSight
from cls_vla_ros.inference.reuse.glance_look import GlanceLook
from cls_vla_ros.inference.reuse.motion import motion_of
from cls_vla_ros.inference.reuse.period import Period
from cls_vla_ros.inference.reuse.prefix_cache import PrefixCache, PrefixCacheQueue
from cls_vla_ros.inference.reuse.reasons import Reason
from cls_vla_ros.inference.reuse.reuse_limits import ReuseLimits
from cls_vla_ros.inference.seen import Seen
from cls_vla_ros.inference.statistics import Statistics
from cls_vla_ros.policy.scene_gate import GateDecision, SceneGate
from cls_vla_ros.policy.thresholds import Row


class Session:
    """Thread-safe: each method holds the session's lock for a moment."""

    def __init__(
        self,
        threshold: float,
        episode: int,
        *,
        has_gate: bool,
        is_trained: bool,
        by_interval: Sequence[Sequence[float]] = (),
        state_std: np.ndarray | float = 1.0,
        min_spread: float | None = None,
        glance: GlanceLook | None = None,
    ) -> None:
        """Start an episode without history.

        Args:
            threshold: of the gate.
            episode: its number.
            has_gate: whether the policy has a CLS head.
            is_trained: whether that was trained.
            by_interval: thresholds by the time since the previous full inference, see `SceneGate`.
            state_std: what one is for each value of the state, see `motion_of`.
            min_spread: of the similarity, see `GateSight`.
            glance: the policy's, if it has one.
        """
        self.limits = ReuseLimits()
        self.total = Statistics()
        self._lock = threading.Lock()
        self._gate = SceneGate(threshold, by_interval)
        self._adaptive = AdaptiveThreshold()
        self._sight = GateSight(min_spread)
        self._period = Period()
        self._state_std, self._glance = state_std, glance
        self._has_gate, self._is_trained = has_gate, is_trained
        self._begin(episode)

    def _begin(self, episode: int) -> None:
        self._episode = episode
        self._gate.reset()
        self._computed: Seen | None = None  # the observation that is the history
        self._period.reset()
        self._queue = PrefixCacheQueue()
        self._why_empty = Reason.NO_HISTORY
        self._in_a_row = 0
        self._previous: dict[str, np.ndarray] = {}  # pictures of the previous observation
        self._glanced = math.nan
        self._last_decision: GateDecision | None = None
        self._last_chunk: Chunk | None = None
        self.statistics = Statistics()

    @property
    def episode(self) -> int:
        return self._episode

    @property
    def threshold(self) -> float:
        """The gate's single one; a decision has the one that was in force."""
        return self._gate.threshold

    @threshold.setter
    def threshold(self, value: float | str) -> None:
        self.set_thresholds(value)

    @property
    def thresholds_by_interval(self) -> tuple[Row, ...]:
        """The gate's, see `SceneGate.by_interval`."""
        return self._gate.by_interval

    def set_thresholds(
        self, threshold: float | str, by_interval: Sequence[Sequence[float]] = ()
    ) -> None:
        """Set the gate's thresholds, see `SceneGate.use`; what was adapted is forgotten."""
        with self._lock:
            self._gate.use(threshold, by_interval)
            self._adaptive.reset()

    @property
    def may_reuse(self) -> bool:
        """Whether its gate can open at all."""
        return self._has_gate and self.limits.enabled and self._can_open

    @property
    def _can_open(self) -> bool:
        return self._is_trained or self.limits.allow_untrained

    @property
    def cache_length(self) -> int:
        return len(self._queue)

    @property
    def cache_nbytes(self) -> int:
        with self._lock:
            return self._queue.nbytes

    def reset(self) -> tuple[int, Statistics]:
        """Begin a new episode: forget history, cached prefixes and the episode's statistics.

        Returns:
            Its number, and the statistics of the one that ended.
        """
        with self._lock:
            ended = self.statistics
            self._begin(self._episode + 1)
            return self._episode, ended

    @property
    def is_blind(self) -> bool:
        """Whether the gate's similarity has stopped to vary; then nothing is reused."""
        return self._sight.is_blind

    @property
    def glance_score(self) -> float:
        """What the glance said of the last observation that was chosen for, NaN if nothing."""
        return self._glanced

    def motion(self, seen: Seen) -> float:
        """How far the robot has moved since the newest cached prefix; NaN without one."""
        with self._lock:
            entry = self._queue.newest
            return math.nan if entry is None else self._motion(entry, seen)

    def _motion(self, entry: PrefixCache | Seen, seen: Seen) -> float:
        return motion_of(entry.state, seen.state, self._state_std)

    def choose(self, seen: Seen, episode: int) -> tuple[PrefixCache | None, Reason]:
        """The cached prefix to use, or None and why not.

        What makes the cached prefixes useless for good empties the queue.
        """
        with self._lock:
            if episode != self._episode:
                return None, Reason.NO_HISTORY
            self._period.add(seen.stamp_s)
            newest = self._queue.newest
            if newest is not None and (useless := newest.why_useless(seen)) is not None:
                self._empty(useless)
            self._glanced = self._score(seen)
            reason = self._why_not(seen)
            self._previous = seen.pictures
            return (self._queue.newest, reason) if reason is Reason.REUSED else (None, reason)

    def _score(self, seen: Seen) -> float:
        entry = self._queue.newest
        if self._glance is None or entry is None or not (entry.look and seen.look):
            return math.nan
        return self._glance.score(entry.look, seen.look)

    def _why_not(self, seen: Seen) -> Reason:
        limits, entry = self.limits, self._queue.newest
        if not self._has_gate:
            return Reason.GATE_OFF
        if not limits.enabled:
            return Reason.REUSE_OFF
        if entry is None and self._why_empty is Reason.NO_HISTORY:
            return Reason.NO_HISTORY
        if not self._can_open:
            return Reason.GATE_UNTRAINED
        if entry is None:
            return self._why_empty
        if self._sight.is_blind and not self._gate.lets_all_through:
            return Reason.GATE_BLIND
        age_s = seen.stamp_s - entry.stamp_s
        if age_s > limits.max_age_s + self._period.tolerance_s(limits.max_age_s):
            return Reason.PREFIX_TOO_OLD
        if self._in_a_row >= limits.max_reuses:
            return Reason.MAX_REUSES
        if self._motion(entry, seen) > limits.max_motion:
            return Reason.MOTION
        pictures = seen.pictures.items() if limits.guard_frozen else ()
        frozen = {name for name, p in pictures if is_frozen(p, self._previous.get(name))}
        has_glanced = not math.isnan(self._glanced) and limits.glance_threshold < 1
        guard = math.inf if has_glanced else limits.guard_threshold
        reason = look(seen.thumbnails, entry.thumbnails, guard, frozen)
        if reason is Reason.REUSED and self._glanced > limits.glance_threshold:
            return Reason.GLANCE
        return reason

    def _empty(self, why: Reason) -> None:
        self._queue.clear()
        self._why_empty = why

    def guide(self, stamp_s: float, handover: Handover | None) -> Guide | None:
        """What the next chunk is held to; None if nothing."""
        with self._lock:
            if handover is None or self._last_chunk is None:
                return None
            return self._last_chunk.guide(stamp_s, handover)

    def made(self, chunk: Chunk, episode: int) -> None:
        """A chunk is complete: the next one may go on from it."""
        with self._lock:
            if episode == self._episode:
                self._last_chunk = chunk

    def failed(self, episode: int) -> None:
        """An inference on a cached prefix raised: none of them is used again."""
        with self._lock:
            if episode == self._episode:
                self._empty(Reason.PREVIOUS_ERROR)

    def reused(self, entry: PrefixCache, episode: int) -> GateDecision | None:
        """An inference on a cached prefix is complete.

        Returns:
            The last decision of the gate, which did not run.
        """
        with self._lock:
            if episode == self._episode:
                entry.reuses += 1
                self._in_a_row += 1
                self._count(Reason.REUSED)
            return self._last_decision

    def computed(
        self, prefix: EncodedPrefix, seen: Seen, reason: Reason, episode: int
    ) -> GateDecision | None:
        """A full inference is complete: the gate decides, and it becomes the history.

        If a reset came meanwhile, the gate only looks, and nothing is kept.

        Returns:
            The decision; None without CLS head.

        Raises:
            ValueError: obs_cls_out is not finite. Nothing has changed then.
        """
        with self._lock:
            is_present = episode == self._episode
            if prefix.obs_cls_out is None:
                if is_present:
                    self._count(reason)
                return None
            if (before := self._computed) is not None and before.task != seen.task:
                self._gate.reset()  # it predicted what another task would show
            since = None, None  # seconds, motion
            if before is not None:
                since = seen.stamp_s - before.stamp_s, self._motion(before, seen)
            decision = self._gate.evaluate(prefix.obs_cls_out, *since)
            if is_present:
                self._keep(prefix, seen, decision)
                self._count(reason)
            return decision

    def _keep(self, prefix: EncodedPrefix, seen: Seen, decision: GateDecision) -> None:
        self._gate.commit(prefix.obs_cls_out)
        self._computed = seen
        self._sight.add(decision)
        self._last_decision = decision
        self._in_a_row = 0
        for statistics in (self.statistics, self.total):
            statistics.add_decision(decision.should_cache)
        if not decision.should_cache:
            self._empty(Reason.SCENE_CHANGED)
        elif self.may_reuse:
            self._queue.push(PrefixCache.of(prefix, seen))
        else:  # nobody could use it, and the guard has no pictures of it
            self._empty(Reason.REUSE_OFF if self._can_open else Reason.GATE_UNTRAINED)
        if self.limits.adaptive and decision.has_history:
            self._gate.shift_to(self._adaptive.adjust(decision.should_cache, self._gate.threshold))

    def _count(self, reason: Reason) -> None:
        for statistics in (self.statistics, self.total):
            statistics.add_inference(reason)

    def counts(self) -> tuple[dict[Reason, int], dict[Reason, int]]:
        """Inferences by reason: of the episode, and in total."""
        with self._lock:
            return dict(self.statistics.reasons), dict(self.total.reasons)

    @property
    def consecutive_reuses(self) -> int:
        return self._in_a_row
