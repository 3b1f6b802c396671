"""Which episodes a policy was trained on: calibrated or judged on them, it would look too good."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
import torch.distributed
from lerobot.utils.constants import ACTION, OBS_STATE
from torch import Tensor

RESOLUTION = 1e-4  # of the policy's units: what is closer is the same
EPISODE, FRAME = "episode_index", "frame_index"


def fingerprint(states: np.ndarray, actions: np.ndarray) -> str:
    """What tells an episode from all others, whatever file it is in.

    Pictures are left out: a dataset may hold them smaller, or as a video.

    Args:
        states: (F, S), observation.state of its frames, in the policy's units.
        actions: (F, A), likewise.

    Returns:
        SHA-256 of both, rounded to 1e-4, as 64 hexadecimal digits.

    Raises:
        ValueError: no frames, or not one action for each state.
    """
    if states.ndim != 2 or actions.ndim != 2 or len(states) != len(actions) or not len(states):
        raise ValueError(
            "expected states (frames, S) and as many actions (frames, A), got "
            f"{states.shape} and {actions.shape}"
        )
    digest = hashlib.sha256()
    for values in (states, actions):
        # Of float32, which datasets hold; the sum makes one zero of two.
        steps = np.rint(values.astype(np.float32).astype(np.float64) / RESOLUTION) + 0.0
        digest.update(repr(steps.shape).encode() + steps.astype("<f4").tobytes())
    return digest.hexdigest()


def dataset_fingerprints(root: str | Path, episodes: Iterable[int] | None = None) -> list[str]:
    """The fingerprint of each episode of a LeRobotDataset v3 on this machine.

    Args:
        root: its folder.
        episodes: which; all if None.

    Returns:
        In the order of the episodes.

    Raises:
        FileNotFoundError: no data there.
        ValueError: the data has no states or no actions.
    """
    # Here, because only lerobot's datasets bring it: a robot that runs the policy has none.
    import pyarrow.compute
    import pyarrow.dataset

    data = Path(root) / "data"
    if not any(data.rglob("*.parquet")):
        raise FileNotFoundError(f"{root} is no LeRobotDataset v3: there is no data/**/*.parquet")
    table = pyarrow.dataset.dataset(data, format="parquet")
    columns = [EPISODE, FRAME, OBS_STATE, ACTION]
    if missing := set(columns) - set(table.schema.names):
        raise ValueError(f"the dataset {root} lacks {sorted(missing)}")
    wanted = None if episodes is None else pyarrow.compute.field(EPISODE).isin(list(episodes))
    rows = table.to_table(columns, filter=wanted).sort_by(
        [(EPISODE, "ascending"), (FRAME, "ascending")]
    )
    numbers = rows[EPISODE].to_numpy()
    states, actions = (
        # lerobot stores a feature of one value without its dimension.
        np.array(rows[name].to_pylist(), np.float32).reshape(len(numbers), -1)
        for name in (OBS_STATE, ACTION)
    )
    starts = np.flatnonzero(np.diff(numbers, prepend=-1))
    return [
        fingerprint(s, a)
        for s, a in zip(np.split(states, starts[1:]), np.split(actions, starts[1:]), strict=True)
    ]


def seen_by_all_processes(episodes: Tensor, count: int) -> set[int]:
    """The episodes of a batch, and of the batches that other processes train on now.

    Only the first process saves, and it alone does not see all of them. Each process must call
    this as often as the others.

    Args:
        episodes: (B,) int, numbers of this process's.
        count: of episodes in the dataset.
    """
    several = torch.distributed.is_available() and torch.distributed.is_initialized()
    if not several or torch.distributed.get_world_size() == 1:
        return set(episodes.tolist())
    seen = torch.zeros(count, dtype=torch.uint8, device=episodes.device)
    seen[episodes] = 1
    torch.distributed.all_reduce(seen, op=torch.distributed.ReduceOp.MAX)
    return set(seen.nonzero()[:, 0].tolist())
