"""Moves the similarity threshold so that the gate's hit rate stays in a band."""

BAND = (0.3, 0.8)  # hit rates, as are the three below: the guide's numbers
STEP = 0.05
CLAMP = (0.2, 0.8)
# A rate of fewer decisions is noise: its standard error at 0.5 is 0.11 for 20.
MIN_DECISIONS = 20


class AdaptiveThreshold:
    """Band, step, clamp and window of the guide, with the sign that leads into the band.

    The hit rate is the share of decisions with similarity > threshold. Below the band too little
    is     cached, so the threshold must fall; above it, rise. (The guide does the reverse, which
    drives the hit rate away from the band until the clamp holds it.)
    """

    def __init__(self) -> None:
        self._decisions: list[bool] = []  # since the threshold last moved

    def reset(self) -> None:
        """Forget the decisions; the threshold is its owner's."""
        self._decisions.clear()

    def adjust(self, should_cache: bool, threshold: float) -> float:
        """Take a decision into account.

        Args:
            should_cache: the decision, of an evaluation with history.
            threshold: what it was made with.

        Returns:
            The threshold for the next one, in the clamp. There it moves by one step at most, and
            not before there were 20 decisions with the present one: older ones were measured with
            another ruler.
        """
        clamped = min(max(threshold, CLAMP[0]), CLAMP[1])
        if clamped != threshold:  # where it was set to begin with
            self._decisions.clear()
            return clamped
        self._decisions.append(should_cache)
        if len(self._decisions) < MIN_DECISIONS:
            return threshold
        rate = sum(self._decisions) / len(self._decisions)
        if BAND[0] <= rate <= BAND[1]:
            del self._decisions[:-100]  # the guide's window
            return threshold
        self._decisions.clear()
        moved = threshold - STEP if rate < BAND[0] else threshold + STEP
        return min(max(moved, CLAMP[0]), CLAMP[1])
