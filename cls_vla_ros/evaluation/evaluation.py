"""The replays of an evaluation: the reference, the node's way, parts of it, and a timer."""

import zlib
from dataclasses import dataclass, replace

import numpy as np

from cls_vla_ros.evaluation.measures.detection import Pairs
from cls_vla_ros.evaluation.measures.replays import (
    Step,
    Way,
    chunks,
    deviations,
    full,
    periodic,
    replay,
    spread,
)
from cls_vla_ros.evaluation.measures.reuse_measures import Played, played
from cls_vla_ros.evaluation.measures.timer import computed_share
from cls_vla_ros.inference import PolicyServer, Session
from cls_vla_ros.inference.observation import picture_names
from cls_vla_ros.policy.scene_gate import SceneGate
from cls_vla_ros.recordings.episodes import Episode, Event
from cls_vla_ros.robot.parameters.parameters import Parameters

BOTH, GATE, GUARD_ALONE, PERIODIC = "gate_and_guard", "gate", "guard", "periodic"
REPLAYS = (BOTH, GATE, GUARD_ALONE, PERIODIC)


@dataclass(frozen=True)
class Replays:
    """All replays of an episode.

    Attributes:
        events: its labels; None if it has none.
        reference: actions of the full recomputes, (F, T, A).
        other: with another noise.
        steps: by way, see REPLAYS.
    """

    events: list[Event] | None
    reference: np.ndarray
    other: np.ndarray
    steps: dict[str, list[Step]]

    @property
    def group(self) -> str:
        """Whether the scene changes in it."""
        if self.events is None:
            return "unlabelled"
        return "disturbed" if any(e.scene_change for e in self.events) else "undisturbed"


@dataclass(frozen=True)
class Evaluated:
    """What `evaluate` measured.

    Attributes:
        pairs: of each labelled episode.
        names: of these.
        replays: by the episode's name.
    """

    pairs: list[Pairs]
    names: list[str]
    replays: dict[str, Replays]

    def played(self) -> tuple[float, dict[str, dict[str, list[Played]]]]:
        """The replays by group of episodes and way, and the mean deviation of two noises.

        Raises:
            ValueError: two noises make the same actions: nothing to divide by.
        """
        all_of = list(self.replays.values())
        scale = spread(np.concatenate([r.reference for r in all_of]))
        noises = np.concatenate([deviations(r.other, r.reference, scale) for r in all_of])
        if not (two_noises := float(noises.mean())):
            raise ValueError("two noises make the same actions: there is nothing to compare with")
        groups: dict[str, dict[str, list[Played]]] = {}
        for of in all_of:
            ways = groups.setdefault(of.group, {way: [] for way in of.steps})
            for way, steps in of.steps.items():
                found = deviations(chunks(steps), of.reference, scale) / two_noises
                ways[way].append(played(steps, found, of.events or []))
        return two_noises, groups


class Ways:
    """Plays episodes in each way, as the node's parameters say."""

    def __init__(self, server: PolicyServer, parameters: Parameters, seed: int) -> None:
        """Read the parameters.

        Args:
            server: of the policy.
            parameters: the node's.
            seed: of the noise.
        """
        self._server, self._parameters, self._seed = server, parameters, seed
        self._rate_hz = parameters.get("rate_hz")
        cameras = parameters.read().cameras
        self.limits = parameters.reuse_limits(cameras, server.config)

    def threshold_at(self, interval_s: float) -> float:
        """The gate's threshold for a time between two full inferences."""
        session = Session(0.5, 0, has_gate=True, is_trained=True)
        self._parameters.set_thresholds(session, self._server.config)
        gate = SceneGate(session.threshold, session.thresholds_by_interval)
        return gate.threshold_at(interval_s)

    def play_gated(self, episode: Episode) -> list[Step]:
        """The node's way alone."""
        return self._replay(episode, self._gated(self.limits), self._seed)

    def play(self, episode: Episode) -> Replays:
        """All replays of an episode."""
        everything = frozenset(picture_names(self._server.config))
        unguarded = replace(self.limits, unguarded=everything)
        steps = {
            BOTH: self.play_gated(episode),
            GATE: self._replay(episode, self._gated(unguarded), self._seed),
            GUARD_ALONE: self._replay(episode, self._guarded, self._seed),
        }
        reused = sum(step.inference.prefix_reused for step in steps[BOTH])
        random = np.random.default_rng([self._seed, zlib.crc32(episode.name.encode())])
        share = computed_share(len(steps[BOTH]), reused)
        timer = periodic(share, everything, random.uniform())
        steps[PERIODIC] = self._replay(episode, timer, self._seed)
        reference, other = (
            chunks(self._replay(episode, full, self._seed + more)) for more in (0, 1)
        )
        return Replays(episode.events, reference, other, steps)

    def _replay(self, episode: Episode, way: Way, seed: int) -> list[Step]:
        observations = (frame.observation for frame in episode.frames(self._rate_hz))
        return replay(self._server, observations, way, seed)

    def _gated(self, limits) -> Way:
        def way(session: Session):
            self._parameters.set_thresholds(session, self._server.config)
            return lambda n: limits

        return way

    def _guarded(self, session: Session):
        session.threshold = -1.0  # a cosine is above it: the gate has no say
        limits = replace(self.limits, allow_untrained=True, adaptive=False)
        return lambda n: limits
