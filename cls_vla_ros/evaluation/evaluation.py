"""The replays of an evaluation: the reference, the node's way, parts of it, and timers."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from cls_vla_ros.evaluation.measures.detection import Pairs
from cls_vla_ros.evaluation.measures.replays import (
    Step,
    Way,
    chunks,
    deviations,
    full,
    periodic,
    periodic_and_eye,
    replay,
    spread,
)
from cls_vla_ros.evaluation.measures.reuse_measures import Played, played
from cls_vla_ros.evaluation.measures.timer import computed_share
from cls_vla_ros.evaluation.pairs import GATE, UnderNuisance, eye_of
from cls_vla_ros.inference import Observation, PolicyServer, Session
from cls_vla_ros.inference.observation import picture_names
from cls_vla_ros.recordings.episodes import Episode, Event, Pace
from cls_vla_ros.robot.parameters.parameters import Parameters

PERIODIC = "periodic"


@dataclass(frozen=True)
class Replays:
    """All replays of an episode that begin at one frame.

    Attributes:
        episode: its name.
        events: its labels; None if it has none.
        reference: actions of the full recomputes, (F, T, A).
        other: with another noise; None where the replays begin later.
        steps: by way, see `Ways.names`.
    """

    episode: str
    events: list[Event] | None
    reference: np.ndarray
    other: np.ndarray | None
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
        nuisances: the pairs of each of these under each nuisance, by its name.
        replays: of each episode, from each frame that they begin at.
    """

    pairs: list[Pairs] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    nuisances: list[dict[str, UnderNuisance]] = field(default_factory=list)
    replays: list[Replays] = field(default_factory=list)

    def played(self) -> tuple[float, dict[str, dict[str, list[Played]]]]:
        """The replays by group of episodes and way, and the mean deviation of two noises.

        Raises:
            ValueError: two noises make the same actions: nothing to divide by.
        """
        scale = spread(np.concatenate([of.reference for of in self.replays]))
        noises = np.concatenate(
            [
                deviations(of.other, of.reference, scale)
                for of in self.replays
                if of.other is not None
            ]
        )
        if not (two_noises := float(noises.mean())):
            raise ValueError("two noises make the same actions: there is nothing to compare with")
        groups: dict[str, dict[str, list[Played]]] = {}
        for of in self.replays:
            ways = groups.setdefault(of.group, {way: [] for way in of.steps})
            for way, steps in of.steps.items():
                found = deviations(chunks(steps), of.reference, scale) / two_noises
                ways[way].append(played(steps, found, of.events or [], of.episode))
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

    @property
    def names(self) -> tuple[str, ...]:
        """The node's way, gate and eye alone, a timer that has the eye, a timer."""
        eye = eye_of(self._server, self.limits)
        return (f"{GATE}_and_{eye}", GATE, eye, f"timer_and_{eye}", PERIODIC)

    def play_gated(self, episode: Episode) -> list[Step]:
        """The node's way alone."""
        return self._replay(episode, self._gated(self.limits), self._seed)

    def phases(self, frames: int, period_s: float, most: int) -> list[int]:
        """The frames that replays begin at: every one of a refresh cycle, if it has not too many.

        Where a prefix is renewed after so many reuses, an event's place in that cycle decides how
        early it is seen; where an episode begins is chance.

        Args:
            frames: of the episode; half of them are left for the last replay.
            period_s: of a frame.
            most: so many, evenly.
        """
        apart = max(1, round(1 / self._rate_hz / period_s))  # frames from an inference to the next
        cycle = min(apart * (self.limits.max_reuses + 1), max(1, frames // 2))
        return (
            sorted({k * cycle // most for k in range(most)}) if cycle > most else [*range(cycle)]
        )

    def play(self, episode: Episode, first: int = 0) -> Replays:
        """All replays of an episode.

        Args:
            episode: recorded.
            first: the frame that they begin at.
        """
        everything = frozenset(picture_names(self._server.config))
        unguarded = replace(self.limits, unguarded=everything)
        both, gate, eye, timer_and_eye, timer = self.names

        def play(way: Way, seed: int = self._seed) -> list[Step]:
            return self._replay(episode, way, seed, first)

        steps = {
            both: play(self._gated(self.limits)),
            gate: play(self._gated(unguarded)),
            eye: play(self._eye_alone),
        }
        reused = sum(step.inference.prefix_reused for step in steps[both])
        random = np.random.default_rng([self._seed, first, zlib.crc32(episode.name.encode())])
        share, phase = computed_share(len(steps[both]), reused), random.uniform()
        steps[timer_and_eye] = play(periodic_and_eye(share, everything, phase, self.limits))
        steps[timer] = play(periodic(share, everything, phase))
        other = None if first else chunks(play(full, self._seed + 1))
        return Replays(episode.name, episode.events, chunks(play(full)), other, steps)

    def _replay(self, episode: Episode, way: Way, seed: int, first: int = 0) -> list[Step]:
        return replay(self._server, self._observations(episode, first), way, seed)

    def _observations(self, episode: Episode, first: int) -> Iterator[Observation]:
        if not first:
            yield from (frame.observation for frame in episode.frames(self._rate_hz))
            return
        pace = Pace(self._rate_hz)
        for number, frame in enumerate(episode.frames()):
            if number >= first and pace.takes(frame.observation.stamp_s):
                yield frame.observation

    def _gated(self, limits) -> Way:
        def way(session: Session):
            self._parameters.set_thresholds(session, self._server.config)
            return lambda n: limits

        return way

    def _eye_alone(self, session: Session):
        session.threshold = -1.0  # a cosine is above it: the gate has no say
        limits = replace(self.limits, allow_untrained=True, adaptive=False)
        return lambda n: limits
