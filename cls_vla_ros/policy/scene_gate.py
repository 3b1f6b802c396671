"""The gate: is the scene as the previous full inference predicted?

Token 0 of the CLS head is what is seen now, token 1 is a prediction. The gate takes the cosine of
token 0 now and token 1 of the previous full inference, and compares it with a threshold: a single
one, or the one that calibration found for the time between the two and the robot's motion.
"""

import math
from collections.abc import Sequence

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from cls_vla_ros.policy.thresholds import (
    THRESHOLD_PRESETS,
    GateDecision,
    Row,
    parse_rows,
    parse_threshold,
    row_at,
)

SEEN, PREDICTED = 0, 1


class SceneGate:
    """Holds the CLS history of one robot's episode and decides by it.

    `evaluate` only looks; `commit` makes an inference the history. They are two calls because an
    inference that fails after its prefix must not become the history. Not thread-safe: its owner
    locks.
    """

    def __init__(
        self,
        threshold: float | str = THRESHOLD_PRESETS["balanced"],
        by_interval: Sequence[Sequence[float]] = (),
    ) -> None:
        """Start without history.

        Args:
            threshold: a number in [-1, 1], or the name of a preset.
            by_interval: see `use`.

        Raises:
            ValueError: they are not as they should be.
        """
        self.use(threshold, by_interval)
        self._history: Tensor | None = None  # (B, N, H)

    def use(self, threshold: float | str, by_interval: Sequence[Sequence[float]] = ()) -> None:
        """Set the thresholds.

        Args:
            threshold: where `by_interval` is empty, or the time between two inferences unknown.
            by_interval: rows [interval_s, threshold_moving, threshold_calm, motion], sorted by
                interval: the threshold for the time since the previous full inference, where the
                robot has moved by `motion` or more since, and where it has not; [interval_s,
                threshold] is for both. Between rows all are interpolated, beyond the first and
                the last they are theirs.

        Raises:
            ValueError: a threshold is no number in [-1, 1] (`threshold` may be a preset's name),
                or the rows are not as above. The old thresholds stay.
        """
        rows, single = parse_rows(by_interval), parse_threshold(threshold)
        self._threshold = self._given = single
        self._by_interval = rows

    @property
    def threshold(self) -> float:
        """The single one. Setting it overrides those by interval."""
        return self._threshold

    @threshold.setter
    def threshold(self, value: float | str) -> None:
        self.use(value)

    @property
    def by_interval(self) -> tuple[Row, ...]:
        """Those by interval, as they are now; empty for none."""
        return tuple(row.shifted(self._threshold - self._given) for row in self._by_interval)

    @property
    def lets_all_through(self) -> bool:
        """Whether it has no say: every cosine passes."""
        return self._threshold <= -1.0 and not self._by_interval

    def shift_to(self, threshold: float) -> None:
        """Move the single threshold, and those by interval by as much.

        Raises:
            ValueError: not in [-1, 1].
        """
        self._threshold = parse_threshold(threshold)

    def threshold_at(self, interval_s: float | None, motion: float | None = None) -> float:
        """The threshold for a time since the previous full inference, and a motion.

        Args:
            interval_s: in seconds; None where there is no clock.
            motion: how far the robot has moved since, see `Row`; None where nobody knows.
        """
        if interval_s is None or not self._by_interval:
            return self._threshold
        return row_at(self.by_interval, interval_s).threshold_for(motion)

    @property
    def has_history(self) -> bool:
        return self._history is not None

    @property
    def history(self) -> Tensor | None:
        """obs_cls_out of the previous full inference, (B, N, H); None without one."""
        return self._history

    def reset(self) -> None:
        """Forget the history: the next evaluation has nothing to compare with."""
        self._history = None

    def evaluate(
        self,
        obs_cls_out: Tensor,
        interval_s: float | None = None,
        motion: float | None = None,
    ) -> GateDecision:
        """Compare what is seen now with what the previous full inference predicted.

        Args:
            obs_cls_out: (B, N >= 2, H), the prefix transformer's output at the CLS tokens.
            interval_s: time since that inference's observation, in seconds; None where there is
                no clock.
            motion: how far the robot has moved since, see `Row`; None where nobody knows.

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
        if self._history is None:
            nothing = (math.nan,) * batch_size
            return GateDecision(
                math.nan, nothing, self.threshold, has_history=False, should_cache=True
            )

        seen = obs_cls_out[:, SEEN]  # (B, H)
        predicted = self._history[:, PREDICTED]
        if seen.shape != predicted.shape:
            raise ValueError(
                f"obs_cls_out is {tuple(seen.shape)} (batch, hidden), but the previous full "
                "inference had "
                f"{tuple(predicted.shape)}: call reset() before the batch or the policy "
                "changes"
            )
        similarity = F.cosine_similarity(
            seen.float(), predicted.to(seen.device).float(), dim=-1
        )  # (B,)
        per_sample = tuple(similarity.tolist())
        mean = math.fsum(per_sample) / batch_size
        threshold = self.threshold_at(interval_s, motion)
        return GateDecision(mean, per_sample, threshold, True, should_cache=mean > threshold)

    def commit(self, obs_cls_out: Tensor) -> None:
        """Make this full inference the history that the next one is compared with."""
        self._history = obs_cls_out.detach().clone()
