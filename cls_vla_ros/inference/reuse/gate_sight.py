"""Whether the gate still sees: a similarity that has stopped to vary says nothing any more.

A steady shift of colour, of a camera's white balance for one, can push what the CLS tokens see so
far from what they were trained on that every two frames look alike: the similarity stays high
whatever happens.
"""

from collections import deque

import numpy as np

from cls_vla_ros.policy.thresholds import GateDecision

RUN = 20  # consecutive evaluations
BLIND = 0.5  # of the smallest spread that calibration saw


class GateSight:
    """Follows the similarities of one session, over episodes: light outlasts them."""

    def __init__(self, min_spread: float | None) -> None:
        """Start with nothing seen.

        Args:
            min_spread: the smallest standard deviation of RUN consecutive similarities that
                calibration saw; None: nobody knows, and the gate is never called blind.
        """
        self._min_spread = min_spread
        self._similarities: deque[float] = deque(maxlen=RUN)

    def add(self, decision: GateDecision) -> None:
        """The gate was evaluated."""
        if decision.has_history:
            self._similarities.append(decision.similarity)

    @property
    def is_blind(self) -> bool:
        """Whether the last RUN similarities vary by less than half of the smallest spread."""
        if self._min_spread is None or len(self._similarities) < RUN:
            return False
        return float(np.std(self._similarities)) < BLIND * self._min_spread


def smallest_spread(similarities: np.ndarray) -> float | None:
    """The smallest standard deviation of RUN consecutive similarities; None for fewer.

    Args:
        similarities: (F,), of one episode, in order.
    """
    if len(similarities) < RUN:
        return None
    runs = np.lib.stride_tricks.sliding_window_view(similarities, RUN)
    return float(runs.std(axis=1).min())
