"""Replays of a recorded episode through PolicyServer, each with its own way to reuse prefixes.

The n-th inference of each replay of an episode has the same noise (`PolicyServer.seed`), so that
two of them differ by what was reused alone.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from cls_vla_ros.evaluation.measures.timer import is_due
from cls_vla_ros.inference import (
    Inference,
    Observation,
    PolicyServer,
    Reason,
    ReuseLimits,
    Session,
)

SESSION = "replay"
NEVER = ReuseLimits(enabled=False)


@dataclass(frozen=True)
class Step:
    """One inference of a replay.

    Attributes:
        stamp_s: of its observation.
        inference: what it made.
    """

    stamp_s: float
    inference: Inference


# Prepares the session of a replay, and says the limits of its n-th inference.
Way = Callable[[Session], Callable[[int], ReuseLimits]]


def full(session: Session) -> Callable[[int], ReuseLimits]:
    """Every prefix is computed."""
    return lambda n: NEVER


def periodic(share: float, cameras: Iterable[str], phase: float) -> Way:
    """A prefix is computed at a share of the inferences after the first; see `is_due`.

    As evenly as that goes; gate and guard have no say.

    Args:
        share: in [0, 1].
        cameras: features of all pictures.
        phase: in [0, 1).
    """

    def way(session: Session) -> Callable[[int], ReuseLimits]:
        session.threshold = -1.0
        always = ReuseLimits.always(cameras)
        never = replace(always, max_reuses=0)  # but what it computes is kept
        return lambda n: never if is_due(n, share, phase) else always

    return way


def periodic_and_eye(
    share: float, cameras: Iterable[str], phase: float, limits: ReuseLimits
) -> Way:
    """As `periodic`, and guard or glance, whichever a policy has, may ask for a prefix as well.

    What these ask for is taken from the timer's share, so that as much is reused, unless they ask
    for more than that.

    Args:
        share: in [0, 1], of the inferences after the first.
        cameras: features of all pictures.
        phase: in [0, 1).
        limits: the node's, for guard and glance.
    """

    def way(session: Session) -> Callable[[int], ReuseLimits]:
        session.threshold = -1.0
        always = ReuseLimits.always(cameras)
        never = replace(always, max_reuses=0)
        looking = replace(
            always,
            guard_threshold=limits.guard_threshold,
            glance_threshold=limits.glance_threshold,
            guard_frozen=limits.guard_frozen,
            unguarded=limits.unguarded,
        )

        def of(n: int) -> ReuseLimits:
            reasons = session.counts()[0]
            computed = sum(reasons.values()) - reasons.get(Reason.REUSED, 0)
            # What is kept must have been looked at, also where the timer is due.
            return (
                looking
                if computed > int(n * share + phase)
                else replace(never, unguarded=limits.unguarded)
            )

        return of

    return way


def blocks(period: int, phase: int, cameras: Iterable[str]) -> Way:
    """A prefix is computed at every `period`-th inference, and lives until the next.

    Args:
        period: in inferences.
        phase: how many of the first period are left out.
        cameras: features of all pictures.
    """

    def way(session: Session) -> Callable[[int], ReuseLimits]:
        session.threshold = -1.0
        always = ReuseLimits.always(cameras)
        never = replace(always, max_reuses=0)
        return lambda n: never if n == 0 or (n + phase) % period == 0 else always

    return way


def replay(
    server: PolicyServer, observations: Iterable[Observation], way: Way, seed: int
) -> list[Step]:
    """Infer on each observation, in an episode of its own.

    Args:
        server: of the policy.
        observations: of one episode, in order.
        way: how prefixes are reused.
        seed: of the noise.
    """
    server.remove_session(SESSION)
    session = server.session(SESSION)
    limits = way(session)
    server.seed(seed)
    steps = []
    for n, observation in enumerate(observations):
        session.limits = limits(n)
        steps.append(Step(observation.stamp_s, server.infer(observation, SESSION)))
    return steps


def chunks(steps: list[Step]) -> np.ndarray:
    """The actions of each inference, (F, T, A), in the policy's units."""
    return np.array([step.inference.actions for step in steps])


def spread(actions: np.ndarray) -> np.ndarray:
    """Standard deviation of each action value, (A,), of any (..., A); 1 where it is constant."""
    found = actions.reshape(-1, actions.shape[-1]).std(0)
    return np.where(found > 1e-6, found, 1.0)


def deviations(actions: np.ndarray, reference: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """How far chunks are from others: root mean square over steps and values, (F,).

    Args:
        actions: (F, T, A).
        reference: likewise.
        scale: (A,), what one is for each action value.
    """
    return np.sqrt((((actions - reference) / scale) ** 2).mean((1, 2)))
