"""How few denoising steps do."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cls_vla_ros.evaluation.measures.replays import chunks, deviations, full, replay, spread
from cls_vla_ros.evaluation.measures.traces import Trace
from cls_vla_ros.inference import PolicyServer
from cls_vla_ros.recordings.episodes import Episode

QUANTILES = (0.5, 0.95)  # that must be within those of two noises


@dataclass(frozen=True)
class Steps:
    """Full recomputes with another number of denoising steps.

    Attributes:
        num_steps: that number.
        deviations: (F,) from those with the checkpoint's own number and the same noise, in units
            of two noises.
        full_ms: median time of one, on the machine that calibrated.
    """

    num_steps: int
    deviations: np.ndarray
    full_ms: float


def measure_steps(
    server: PolicyServer,
    episodes: Sequence[Episode],
    traces: Sequence[Trace],
    counts: Sequence[int],
    two_noises: float,
    seed: int,
    on_episode: Callable[[], None] = lambda: None,
) -> list[Steps]:
    """Replay episodes with other numbers of steps.

    Args:
        server: of the policy; its number of steps is as before afterwards.
        episodes: whose frames are recomputed.
        traces: of them, recorded with the same seed and the checkpoint's own number of steps.
        counts: the numbers.
        two_noises: see `Ageing`.
        seed: of the noise.
        on_episode: called after each.
    """
    scale = spread(np.concatenate([trace.actions for trace in traces]))
    own, found = server.config.num_steps, []
    try:
        for count in sorted(counts):
            server.config.num_steps = count
            off, took_ms = [], []
            for episode, trace in zip(episodes, traces, strict=True):
                steps = replay(server, (f.observation for f in episode.frames()), full, seed)
                off.append(deviations(chunks(steps), trace.actions, scale) / two_noises)
                took_ms += [step.inference.total_ms for step in steps]
                on_episode()
            found.append(Steps(count, np.concatenate(off), statistics.median(took_ms)))
    finally:
        server.config.num_steps = own
    return found


def fewest(found: Sequence[Steps], of_noises: np.ndarray) -> int | None:
    """The fewest steps whose actions are within the policy's own noise; None if none are.

    Within: neither the median nor the 95 % quantile of their deviation is above that of two full
    recomputes with different noise.

    Args:
        found: of `measure_steps`.
        of_noises: (F,) deviations of two noises, in units of their mean.
    """
    limits = np.quantile(of_noises, QUANTILES)
    within = [
        steps.num_steps
        for steps in found
        if (np.quantile(steps.deviations, QUANTILES) <= limits).all()
    ]
    return min(within, default=None)


def to_values(found: Sequence[Steps]) -> list[dict[str, float]]:
    """For the report."""
    return [
        {
            "num_steps": steps.num_steps,
            "median": float(np.median(steps.deviations)),
            "p95": float(np.quantile(steps.deviations, 0.95)),
            "full_ms": steps.full_ms,
        }
        for steps in found
    ]
