"""Real-time chunking: a new chunk that goes on where the old one, still being executed, will be.

The first steps of the new chunk are held to what is left of the old one, by a correction of the
flow's velocity in each denoising step. Black, Galliker, Levine: Real-Time Execution of Action
Chunking Flow Policies, arXiv:2506.07339, eq. 2 to 4, in the form of lerobot's RTCProcessor: the
gradient through the network is left out, so that it costs nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from lerobot.policies.rtc.configuration_rtc import RTCConfig
from lerobot.policies.rtc.modeling_rtc import RTCProcessor
from torch import Tensor


@dataclass(frozen=True)
class Guide:
    """What a new chunk is held to.

    Attributes:
        left_over: (T', A) float32, normalised: the old chunk from the step at which the new one
            begins; T' may be anything up to T.
        inference_delay: steps that will have been executed once the new chunk is there: these are
            held fully, those behind them less and less.
    """

    left_over: Tensor
    inference_delay: int


class Guidance:
    """lerobot's weights, for buffers of a fixed shape."""

    def __init__(self, config: RTCConfig | None) -> None:
        """As the checkpoint has it; lerobot's defaults if it has nothing."""
        self.config = config or RTCConfig()
        self._processor = RTCProcessor(self.config)

    def targets(
        self, guides: Sequence[Guide | None], chunk_size: int, action_dim: int
    ) -> tuple[Tensor, Tensor]:
        """What each sample's chunk is held to, and how much at each step.

        Args:
            guides: B of them; None for a sample that is not guided.
            chunk_size: T.
            action_dim: A, of the padded actions.

        Returns:
            (B, T, A) and (B, T, 1), both float32 on the host. As in lerobot, what a shorter left
            over lacks is zero.

        Raises:
            ValueError: a left over is longer or wider than a chunk.
        """
        targets = torch.zeros(len(guides), chunk_size, action_dim)
        weights = torch.zeros(len(guides), chunk_size, 1)
        for target, weight, guide in zip(targets, weights, guides, strict=True):
            if guide is None or len(guide.left_over) == 0:
                continue
            steps, dim = guide.left_over.shape
            if steps > chunk_size or dim > action_dim:
                raise ValueError(
                    f"the left over is {steps} x {dim} (steps, actions), a chunk is at most "
                    f"{chunk_size} x {action_dim}"
                )
            target[:steps, :dim] = guide.left_over
            # Where the delay reaches lerobot's horizon, nothing would hold the hand-over itself.
            horizon = self.config.execution_horizon
            horizon = min(max(horizon, guide.inference_delay + horizon // 2), steps)
            weight[:, 0] = self._processor.get_prefix_weights(
                guide.inference_delay, horizon, chunk_size
            )
        return targets, weights

    def gains(self, num_steps: int) -> list[float]:
        """How strong the correction is at each denoising step; arXiv:2506.07339, eq. 2 and 3.

        Never more than num_steps: a step is 1 / num_steps long, so that more would throw the
        actions beyond the target. (lerobot's default of 10 is meant for ten steps; with two, its
        chunks miss by a multiple of what they shall be held to.)
        """
        most = min(self.config.max_guidance_weight, float(num_steps))
        return [_gain(step / num_steps, most) for step in range(num_steps)]


def _gain(tau: float, most: float) -> float:
    """At the flow's time, from 0 (noise) to 1 (actions)."""
    if tau == 0.0:
        return most
    variance = ((1 - tau) ** 2 + tau**2) / (1 - tau) ** 2  # 1 / r^2
    return min((1 - tau) / tau * variance, most)
