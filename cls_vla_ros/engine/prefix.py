"""A computed prefix of one robot, as a cache keeps it."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)  # two prefixes are the same only if they are one object
class EncodedPrefix:
    """A copy of what the engine's memory held for one sample: nothing else writes to it.

    Attributes:
        kv: (layers, 2, P, Hkv, D), the language model's K and V.
        cross_kv: (2, X, P, Hkv, D), the expert's of it.
        visible: (P,) bool.
        obs_cls_out: (1, N, H) float32 in the host's memory, filled once a `denoise` that came
            after it has returned; None without CLS head.
        pictures: C, how many are in it: prefixes of other numbers have other shapes.
    """

    kv: Tensor
    cross_kv: Tensor
    visible: Tensor
    obs_cls_out: Tensor | None
    pictures: int

    @property
    def nbytes(self) -> int:
        """Memory on the engine's device, in bytes."""
        return self.kv.nbytes + self.cross_kv.nbytes + self.visible.nbytes
