"""A small readout of the pictures' tokens, for the CLS tokens alone."""

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


class CLSAdapter(nn.Module):
    """What each place of each picture adds to the CLS tokens' output.

    A CLS token attends: it sees averages, and has to learn to tell places apart. Here each place
    has weights of its own, so that something that is elsewhere than before is another vector from
    the first step of training. Every picture token is normalised and made narrow by one matrix for
    all; all of them side by side make the N outputs by another.

        out = W2 concat_m GELU(W1 LayerNorm(x_m) + b1) + b2

    It reads the vision model's tokens, as they enter the language model, and nothing reads it but
    the gate: the layouts "readout" and "bidirectional" stay what they are.
    """

    def __init__(self, hidden: int, places: int, width: int, num_cls: int) -> None:
        """Make one with weights at random.

        Args:
            hidden: H.
            places: M, picture tokens of all cameras.
            width: of a token after W1.
            num_cls: N.
        """
        super().__init__()
        self.norm = nn.LayerNorm(hidden)
        self.narrow = nn.Linear(hidden, width)
        self.mix = nn.Linear(places * width, num_cls * hidden)

    def forward(self, pictures: Tensor, present: Tensor | None = None) -> Tensor:
        """Read pictures' tokens.

        Args:
            pictures: (B, M' <= M, H), camera after camera; fewer where the last ones are absent.
            present: (B, M') bool, False where a camera gives no picture; None if all do.

        Returns:
            (B, N, H) float32, whatever the pictures' dtype.
        """
        hidden = pictures.shape[-1]
        x = F.gelu(self.narrow(self.norm(pictures.float())))  # (B, M', width)
        if present is not None:
            x = x * present[..., None]
        x = x.flatten(1)
        absent = self.mix.in_features - x.shape[1]
        return self.mix(F.pad(x, (0, absent))).unflatten(-1, (-1, hidden))
