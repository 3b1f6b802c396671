"""The denoising noise: one stream for all, or one of its own for a session."""

from collections.abc import Iterable

import torch
from torch import Tensor


class Noise:
    """Draws on the CPU, so that a seed means the same everywhere. Not thread-safe."""

    def __init__(self, shape: tuple[int, int]) -> None:
        """Begin with a seed that nobody knows.

        Args:
            shape: (T, max_action_dim) of a chunk.
        """
        self._shape = (1, *shape)
        self._common = torch.Generator()
        self._own: dict[str, torch.Generator] = {}
        self.seed(None)

    def seed(self, seed: int | None, session: str | None = None) -> None:
        """Begin a stream anew.

        Args:
            seed: of it; None for one that nobody knows.
            session: which has a stream of its own from now on; None for all that have none.
        """
        stream = self._common if session is None else torch.Generator()
        stream.manual_seed(torch.Generator().seed() if seed is None else seed)
        if session is not None:
            self._own[session] = stream

    def forget(self, session: str) -> None:
        """A session is gone, and its stream with it."""
        self._own.pop(session, None)

    def draw(self, sessions: Iterable[str]) -> Tensor:
        """(B, T, max_action_dim) float32, standard normal, in the order of the sessions."""
        streams = [self._own.get(name, self._common) for name in sessions]
        return torch.cat([torch.randn(self._shape, generator=stream) for stream in streams])
