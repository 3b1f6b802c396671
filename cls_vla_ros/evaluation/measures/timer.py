"""A refresh that looks at nothing: what a gate is judged against, at equal reuse."""


def is_due(inference: int, share: float, phase: float) -> bool:
    """Whether a periodic refresh computes its prefix.

    Args:
        inference: counted from 0, which always does.
        share: of those after it that do, spread evenly; 0 to 1.
        phase: where between two of them an episode begins, 0 to 1: drawn evenly, short episodes
            have that share too.
    """
    return inference == 0 or int(inference * share + phase) > int((inference - 1) * share + phase)


def computed_share(inferences: int, reused: int, episodes: int = 1) -> float:
    """The share of inferences after an episode's first that computed their prefix.

    A timer of this share reuses as often; 1 where there is none after the first.

    Args:
        inferences: of all episodes.
        reused: of them.
        episodes: how many; each has an inference at least.
    """
    after_first = inferences - episodes
    return 1.0 - reused / after_first if after_first else 1.0
