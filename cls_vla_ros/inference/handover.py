"""From one chunk to the next without a jump: what the next one is held to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from cls_vla_ros.engine import Guide


@dataclass(frozen=True)
class Handover:
    """How chunks are executed, for real-time chunking.

    Attributes:
        dt_s: time between two steps of a chunk.
        delay_s: from an observation to the moment when its chunk takes over, as measured: until
            then the old chunk is executed.
    """

    dt_s: float
    delay_s: float


@dataclass(frozen=True)
class Chunk:
    """The last chunk of an episode.

    Attributes:
        actions: (T, A) float32, normalised, on the host.
        stamp_s: of its observation: step k is commanded at stamp_s + k * dt_s.
    """

    actions: Tensor
    stamp_s: float

    def guide(self, stamp_s: float, handover: Handover) -> Guide | None:
        """What the chunk of an observation at that time is held to; None without overlap."""
        from cls_vla_ros.engine import Guide  # not where `Handover` alone is used: it needs torch

        done = round((stamp_s - self.stamp_s) / handover.dt_s)  # steps before the new one begins
        if not 0 <= done < len(self.actions):
            return None
        return Guide(self.actions[done:], math.ceil(handover.delay_s / handover.dt_s))
