"""The gate: is the scene as the previous full inference predicted?

Token 0 of the CLS head is what is seen now, token 1 is a prediction. The gate takes the cosine of
token 0 now and token 1 of the previous full inference, and compares it with a threshold.
"""

import math
from dataclasses import dataclass

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

SEEN, PREDICTED = 0, 1

# A higher threshold is the stricter one, because caching needs similarity > threshold. (The guide
# that this project comes from has the labels the other way round, against its own rule.)
THRESHOLD_PRESETS = {"strict": 0.7, "balanced": 0.5, "relaxed": 0.3}


@dataclass(frozen=True)
class GateDecision:
    """What the gate saw in one full inference, and what it decided.

    Attributes:
        similarity: mean over the batch of `per_sample`, in [-1, 1]; NaN without history.
        per_sample: the cosine of each sample of the batch, B values; NaN without history.
        threshold: the threshold that the similarity was compared with.
        has_history: whether there was a previous full inference to compare with.
        should_cache: similarity > threshold, or no history: this prefix may be kept for reuse.
    """

    similarity: float
    per_sample: tuple[float, ...]
    threshold: float
    has_history: bool
    should_cache: bool

    @property
    def scene_changed(self) -> bool:
        """There was something to compare with, and it was not as predicted."""
        return self.has_history and not self.should_cache


class SceneGate:
    """Holds the CLS history of one robot's episode and decides by it.

    `evaluate` only looks; `commit` makes an inference the history. They are two calls because an
    inference that fails after its prefix must not become the history. Not thread-safe: its owner
    locks.
    """

    def __init__(self, threshold: float = THRESHOLD_PRESETS["balanced"]) -> None:
        """Start without history.

        Args:
            threshold: a number in [-1, 1], or the name of a preset.

        Raises:
            ValueError: neither of the two.
        """
        self.threshold = threshold
        self._predicted: Tensor | None = None  # (B, H)

    @property
    def threshold(self) -> float:
        return self._threshold

    @threshold.setter
    def threshold(self, value: float | str) -> None:
        self._threshold = parse_threshold(value)

    @property
    def has_history(self) -> bool:
        return self._predicted is not None

    def reset(self) -> None:
        """Forget the history: the next evaluation has nothing to compare with."""
        self._predicted = None

    def evaluate(self, obs_cls_out: Tensor) -> GateDecision:
        """Compare what is seen now with what the previous full inference predicted.

        Args:
            obs_cls_out: (B, N >= 2, H), the prefix transformer's output at the CLS tokens.

        Raises:
            ValueError: wrong shape, NaN or infinity, or another batch size or width than the
                history's.
        """
        if obs_cls_out.ndim != 3 or obs_cls_out.shape[1] < 2:
            raise ValueError(
                "obs_cls_out must be (batch, num_cls_prefix >= 2, hidden), got "
                f"{tuple(obs_cls_out.shape)}"
            )
        if not obs_cls_out.isfinite().all():
            raise ValueError("obs_cls_out holds NaN or infinity: the policy's prefix did")
        batch_size = obs_cls_out.shape[0]
        if self._predicted is None:
            nothing = (math.nan,) * batch_size
            return GateDecision(
                math.nan, nothing, self.threshold, has_history=False, should_cache=True
            )

        seen = obs_cls_out[:, SEEN]  # (B, H)
        if seen.shape != self._predicted.shape:
            raise ValueError(
                f"obs_cls_out is {tuple(seen.shape)} (batch, hidden), but the previous full "
                "inference had "
                f"{tuple(self._predicted.shape)}: call reset() before the batch or the policy "
                "changes"
            )
        similarity = F.cosine_similarity(
            seen.float(), self._predicted.to(seen.device).float(), dim=-1
        )  # (B,)
        per_sample = tuple(similarity.tolist())
        mean = math.fsum(per_sample) / batch_size
        return GateDecision(
            mean, per_sample, self.threshold, True, should_cache=mean > self.threshold
        )

    def commit(self, obs_cls_out: Tensor) -> None:
        """Make this full inference the history that the next one is compared with."""
        self._predicted = obs_cls_out[:, PREDICTED].detach().clone()


def parse_threshold(value: float | str) -> float:
    """A threshold from a number or a preset's name.

    Raises:
        ValueError: not a number in [-1, 1] (the range of a cosine) and not a preset.
    """
    if isinstance(value, str):
        if value not in THRESHOLD_PRESETS:
            raise ValueError(
                f"unknown threshold preset {value!r}: expected one of "
                f"{', '.join(THRESHOLD_PRESETS)}, or a number"
            )
        return THRESHOLD_PRESETS[value]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -1.0 <= value <= 1.0:
        raise ValueError(
            f"a similarity threshold is a number in [-1, 1], the range of a cosine; got {value!r}"
        )
    return float(value)
