"""How the actions on a reused prefix drift from those of a full recompute as it grows old."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cls_vla_ros.evaluation.calibration.motion import Drift
from cls_vla_ros.evaluation.measures.replays import (
    blocks,
    chunks,
    deviations,
    full,
    replay,
    spread,
)
from cls_vla_ros.evaluation.measures.traces import Trace
from cls_vla_ros.inference import PolicyServer
from cls_vla_ros.inference.observation import picture_names
from cls_vla_ros.recordings.episodes import Episode, events_between, frame_period_s

PHASES = 2  # replays of each episode, whose prefixes are computed at other frames


@dataclass(frozen=True)
class Ageing:
    """Deviations by age.

    Attributes:
        by_frames: of prefixes of that age, in frames: root mean square difference of the steps
            that are executed until the next inference from those of the full recompute with the
            same noise, divided by `two_noises`.
        two_noises: root mean square difference of two full recomputes with different noise, mean
            over all frames, in standard deviations of the actions.
        of_noises: (F,) that difference of each frame, divided by the mean.
        drift: the same chunks by age and motion.
    """

    by_frames: dict[int, np.ndarray]
    two_noises: float
    of_noises: np.ndarray
    drift: Drift

    def to_values(self) -> list[dict[str, float]]:
        """For the report: quantiles by age."""
        return [
            {
                "frames": frames,
                "samples": len(values),
                **{
                    name: float(np.quantile(values, q))
                    for name, q in (("median", 0.5), ("p95", 0.95), ("p99", 0.99))
                },
            }
            for frames, values in sorted(self.by_frames.items())
        ]


def measure_ageing(
    server: PolicyServer,
    episodes: Sequence[Episode],
    traces: Sequence[Trace],
    oldest: int,
    executed: int,
    seed: int,
    on_episode: Callable[[], None] = lambda: None,
) -> Ageing:
    """Replay episodes with prefixes of every age.

    Args:
        server: of the policy.
        episodes: where one has labels, chunks on a prefix from before an event do not count: that
            is the gate's business.
        traces: of them, recorded with the same seed: the full recomputes.
        oldest: age in frames.
        executed: steps of a chunk that are executed until the next inference.
        seed: of the noise.
        on_episode: called after each.

    Raises:
        ValueError: two noises make the same actions, so that there is nothing to compare with.
    """
    cameras = picture_names(server.config)
    scale = spread(np.concatenate([trace.actions for trace in traces]))
    of_noise: list[np.ndarray] = []
    drift: list[tuple[float, float, float]] = []  # age, motion, deviation of what is executed
    by_frames: dict[int, list[float]] = {frames: [] for frames in range(1, oldest + 1)}
    for episode, trace in zip(episodes, traces, strict=True):
        period_s = frame_period_s(trace.stamps_s)
        for way, its_seed in (
            (full, seed + 1),
            *(
                (blocks(oldest + 1, p * (oldest + 1) // PHASES, cameras), seed)
                for p in range(PHASES)
            ),
        ):
            # Decoded anew for each replay: an episode may not fit into memory.
            steps = replay(server, (f.observation for f in episode.frames()), way, its_seed)
            made = chunks(steps)
            if way is full:
                of_noise.append(deviations(made, trace.actions, scale))
                continue
            found = deviations(made[:, :executed], trace.actions[:, :executed], scale)
            for step, deviation in zip(steps, found, strict=True):
                age_s = step.inference.cache_age_s
                frames, began_s = round(age_s / period_s), step.stamp_s - age_s
                if frames in by_frames and not events_between(
                    episode.events or [], began_s, step.stamp_s
                ):
                    by_frames[frames].append(float(deviation))
                    drift.append((age_s, step.inference.motion, float(deviation)))
        on_episode()
    of_noises = np.concatenate(of_noise)
    two_noises = float(of_noises.mean())
    if two_noises == 0:
        raise ValueError("two noises make the same actions: there is nothing to compare with")
    known = {frames: np.array(v) / two_noises for frames, v in by_frames.items() if v}
    ages_s, motions, off = np.array(drift).reshape(-1, 3).T
    return Ageing(
        known, two_noises, of_noises / two_noises, Drift(ages_s, motions, off / two_noises)
    )
