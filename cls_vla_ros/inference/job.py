"""One session's part of an inference, on its way through the server."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from cls_vla_ros.engine import EncodedPrefix, Guide, Sample
from cls_vla_ros.inference.observation import Observation
from cls_vla_ros.inference.reuse.prefix_cache import PrefixCache
from cls_vla_ros.inference.reuse.reasons import Reason
from cls_vla_ros.inference.seen import Seen
from cls_vla_ros.inference.session import Session


@dataclass
class Job:
    """What is known of it, and what was made so far.

    Attributes:
        session: whose.
        observation: what was seen.
        episode: the episode it began in.
        seen: what the rules of reuse look at.
        motion: how far the robot has moved since the newest cached prefix; NaN without one.
        glance_score: of the glance, likewise.
        entry: the cached prefix to use, if one may be.
        reason: why that one, or why none.
        sample: the observation, preprocessed.
        guide: what the chunk is held to, if anything.
        prefix: computed, or refreshed.
        actions: (1, T, A), normalised.
        values: (T, A), in the dataset's units.
        took_ms: how long the device was at each step, see `Engine.took_ms`.
    """

    session: Session
    observation: Observation
    episode: int
    seen: Seen
    motion: float
    glance_score: float
    entry: PrefixCache | None
    reason: Reason
    sample: Sample
    guide: Guide | None
    prefix: EncodedPrefix | None = None
    actions: Tensor | None = None
    values: np.ndarray | None = None
    took_ms: dict[str, float] = field(default_factory=dict)


@contextmanager
def discard_used_prefixes(jobs: list[Job]) -> Iterator[None]:
    """Where an inference raises, the cached prefix that it used is not used again."""
    try:
        yield
    except Exception:
        for job in jobs:
            if job.entry is not None:
                job.session.failed(job.episode)
        raise
