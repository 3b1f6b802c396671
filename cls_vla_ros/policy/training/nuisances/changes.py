"""What changes a scene, for all cameras of a sample: a patch comes or goes, or a camera turns."""

from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Generator, Tensor

from cls_vla_ros.policy.training.nuisances.draw import uniform
from cls_vla_ros.policy.training.nuisances.patches import Patch, cameras_of, draw_patches

TURNED = 0.2  # of the samples: a camera turns; into the others something is pasted
# By how much. A lens that sees 50 degrees turned by 3 moves a picture by 0.06 of its width.
PANNED = (0.03, 0.09)  # of the width, in any direction
ROLLED_RAD = (0.04, 0.14)  # 2.3 to 8 degrees
ZOOMED = (1.05, 1.15)  # or the inverse


class Change(NamedTuple):
    """What happens to one camera's pictures, the same to any number of them.

    Attributes:
        patch: what is pasted; nothing where the camera turns.
        turn: (B, 2, 3), of normalised coordinates in the changed picture those in the one before,
            as `torch.nn.functional.affine_grid` takes it.
    """

    patch: Patch
    turn: Tensor

    def make(self, pictures: Tensor) -> Tensor:
        """The pictures after it, (B, 3, height, width)."""
        rows = (self.turn != _no_turn(self.turn)).flatten(1).any(1).nonzero()[:, 0]
        if len(rows):
            there = pictures[rows]
            grid = F.affine_grid(self.turn[rows], list(there.shape), align_corners=False)
            # What comes into view at an edge is the picture mirrored, which no smear gives away.
            there = F.grid_sample(there, grid, padding_mode="reflection", align_corners=False)
            pictures = pictures.index_copy(0, rows, there)
        return self.patch.paste(pictures)

    def size(self, pictures: Tensor) -> Tensor:
        """How much it changes each picture: mean absolute difference, (B,)."""
        return (self.make(pictures) - pictures).abs().mean(dim=(1, 2, 3))


def draw_changes(pictures: list[Tensor], generator: Generator | None = None) -> list[Change]:
    """One change for each of B samples, seen by some of its cameras.

    Args:
        pictures: of each camera, (B, 3, height, width).
        generator: what to draw from.

    Returns:
        For each camera.
    """
    seen = cameras_of(len(pictures), pictures[0], generator)  # (C, B)
    is_turn = uniform((0.0, 1.0), len(pictures[0]), pictures[0], generator) < TURNED
    changes = []
    for camera, sees in zip(pictures, seen, strict=True):
        patch = draw_patches(camera, generator).only(sees & ~is_turn)
        turn = _draw_turns(camera, generator)
        turned = (sees & is_turn)[:, None, None]
        changes.append(Change(patch, torch.where(turned, turn, _no_turn(turn))))
    return changes


def _draw_turns(pictures: Tensor, generator: Generator | None) -> Tensor:
    """(B, 2, 3): panned or tilted, rolled, or zoomed."""
    size, (height, width) = len(pictures), pictures.shape[-2:]

    def draw(low: float, high: float) -> Tensor:
        return uniform((low, high), size, pictures, generator)

    kind, sign = draw(0.0, 3.0).floor(), torch.where(draw(0.0, 1.0) < 0.5, -1.0, 1.0)
    direction = draw(0.0, 2 * torch.pi)
    far = torch.where(kind == 0, 2 * draw(*PANNED), 0.0)  # normalised coordinates are -1 to 1
    angle = torch.where(kind == 1, draw(*ROLLED_RAD) * sign, 0.0)
    zoom = torch.where(kind == 2, draw(*ZOOMED) ** sign, 1.0)
    cos, sin, aspect = zoom * angle.cos(), zoom * angle.sin(), width / height
    rows = [
        torch.stack([cos, -sin / aspect, far * direction.cos()], dim=1),
        torch.stack([sin * aspect, cos, far * direction.sin() * aspect], dim=1),
    ]
    return torch.stack(rows, dim=1)


def _no_turn(like: Tensor) -> Tensor:
    return torch.eye(2, 3, device=like.device, dtype=like.dtype).expand_as(like)
