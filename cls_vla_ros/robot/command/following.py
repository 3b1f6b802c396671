"""Do the joints follow what they are told? One that does not is blocked, or not ours."""

import numpy as np


class Following:
    """A joint may lag, lean on something for a moment, or hold it; it may not stay behind."""

    def __init__(self, names: list[str], limits: np.ndarray, for_s: float) -> None:
        """Take the limits.

        Args:
            names: of the action values.
            limits: (A,) how far a joint may be from what it is told, rad or m; infinity for any.
            for_s: for how long it may be farther.
        """
        self._names, self._limits, self._for_s = names, limits, for_s
        self._since_s = np.full(len(names), np.nan)  # when each was seen to be too far

    def look(self, told: np.ndarray, measured: np.ndarray, now_s: float) -> str:
        """Compare.

        Args:
            told: (A,) what each is told now; NaN where nothing.
            measured: (A,) where it is; NaN where unknown.
            now_s: a clock that does not jump.

        Returns:
            Which joint does not follow, in words; empty if all do.
        """
        error = np.abs(told - measured)
        is_far = error > self._limits  # NaN is not
        begins = is_far & np.isnan(self._since_s)
        self._since_s = np.where(is_far, np.where(begins, now_s, self._since_s), np.nan)
        for_s = now_s - self._since_s
        if not (late := for_s > self._for_s).any():
            return ""
        worst = int(np.argmax(np.where(late, error - self._limits, -np.inf)))
        return (
            f"{self._names[worst]!r} does not follow: it is told {told[worst]:.4g} and is at "
            f"{measured[worst]:.4g}, for {for_s[worst]:.1f} s by now; at most "
            f"{self._limits[worst]:g} (limits.following_error) may be between them. Is it "
            "blocked, does another command it, or does no controller take what it is told?"
        )
