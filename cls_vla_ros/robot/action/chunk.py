"""A chunk of actions, and what is commanded of it at a time."""

import math
from dataclasses import dataclass

import numpy as np

from cls_vla_ros.robot.stamps import NS


@dataclass(frozen=True)
class Chunk:
    """The actions of one inference. Step k is commanded at stamp_ns + k dt.

    Attributes:
        actions: (T, A) float64, rad or m, as `action_limits.check_chunk` let them through.
        stamp_ns: time of the observation.
        dt_s: time between two steps.
    """

    actions: np.ndarray
    stamp_ns: int
    dt_s: float

    def __post_init__(self) -> None:
        if self.actions.ndim != 2 or not self.actions.size:
            raise ValueError(f"expected actions of (T, A), got {self.actions.shape}")
        if not np.isfinite(self.actions).all():
            raise ValueError("the chunk has NaN or infinity: let check_chunk look at it first")
        if not 0 < self.dt_s < math.inf:
            raise ValueError(f"dt_s must be above 0, got {self.dt_s}")

    @property
    def end_ns(self) -> int:
        """When its last step is commanded."""
        return self.stamp_ns + round((len(self.actions) - 1) * self.dt_s * NS)

    def step_at(self, now_ns: int) -> float:
        """How many steps have passed, in [0, T - 1]."""
        return min(max((now_ns - self.stamp_ns) / NS / self.dt_s, 0.0), len(self.actions) - 1.0)

    def at(self, now_ns: int) -> np.ndarray:
        """(A,) between its steps; its first before it begins, its last after it ends."""
        step = self.step_at(now_ns)
        index = min(int(step), len(self.actions) - 1)
        after = min(index + 1, len(self.actions) - 1)
        weight = step - index
        return (1 - weight) * self.actions[index] + weight * self.actions[after]


@dataclass(frozen=True)
class Command:
    """What to command now.

    Attributes:
        values: (A,) rad or m.
        target: (A,) what they follow: the chunks, without the limits.
        step_fraction: of the newest chunk, in [0, T - 1]: 2.5 is midway from step 2 to step 3.
        blending: whether the one before it still has a share.
    """

    values: np.ndarray
    target: np.ndarray
    step_fraction: float
    blending: bool


@dataclass(frozen=True)
class Hold:
    """There is nothing to play.

    Attributes:
        reason: why, in words.
        values: (A,) the last command, to publish once more; None: publish nothing.
        brakes: whether they are the next ones on the way to rest.
    """

    reason: str
    values: np.ndarray | None = None
    brakes: bool = False


def next_index(stamp_ns: int, dt_s: float, now_ns: int) -> int:
    """The first step of a chunk whose time is not past, for `check_chunk`'s first_index.

    Args:
        stamp_ns: when step 0 is due: the observation's stamp for a ChunkPlayer; one dt later for
            the points of a JointTrajectory, which say when the arm is there.
        dt_s: time between two steps.
        now_ns: ROS time.

    Returns:
        Its number; as large as the chunk's length, or larger, where the whole chunk is past.
    """
    return max(0, math.ceil((now_ns - stamp_ns) / NS / dt_s))
