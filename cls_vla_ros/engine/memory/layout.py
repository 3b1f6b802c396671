"""Where the tokens of a prefix stand, in an inference whose shapes never change.

    [CLS (bidirectional)] [picture] ... [picture] [around empty ones] [language, padded] [state]
    [CLS (readout)]

The language is always padded to the tokenizer's maximum, so that another instruction is no other
shape: nothing attends to padding. Of an empty camera only the special tokens around its picture
are there, if the policy has these. Behind the prefix there is room for the KV of the actions,
which denoising writes anew in every step; the CLS tokens of the readout layout use it before.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    """Lengths, in tokens. Legend: B batch, P prefix, R rows of KV, L language, N CLS, T chunk.

    Attributes:
        batch_size: B.
        cameras: how many pictures.
        tokens_per_camera: of a picture with its special tokens, if the policy has them.
        empty_tokens: the special tokens around the pictures of empty cameras.
        language: L.
        cls_before: N in the layout "bidirectional", else 0.
        cls_after: N in the layout "readout", else 0.
        chunk_size: T.
    """

    batch_size: int
    cameras: int
    tokens_per_camera: int
    empty_tokens: int
    language: int
    cls_before: int
    cls_after: int
    chunk_size: int

    @property
    def language_start(self) -> int:
        return self.cls_before + self.cameras * self.tokens_per_camera + self.empty_tokens

    @property
    def state(self) -> int:
        """Which token is the state: the prefix's last."""
        return self.language_start + self.language

    @property
    def prefix(self) -> int:
        """P, without the CLS tokens of the readout layout, which nobody attends to."""
        return self.state + 1

    @property
    def rows(self) -> int:
        """R."""
        return self.prefix + max(self.chunk_size, self.cls_after)
