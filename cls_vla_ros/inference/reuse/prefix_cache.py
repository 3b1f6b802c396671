"""The cached prefixes of one episode, the newest of which may be reused."""

from collections import deque
from dataclasses import dataclass

import numpy as np

from cls_vla_ros.engine import EncodedPrefix
from cls_vla_ros.inference.reuse.frame_guard import Thumbnail
from cls_vla_ros.inference.reuse.glance_look import Look
from cls_vla_ros.inference.reuse.reasons import Reason
from cls_vla_ros.inference.seen import Seen

MAX_ENTRIES = 10  # the guide's max_queue_size


@dataclass(eq=False)  # two entries are the same only if they are one object
class PrefixCache:
    """A prefix, and what must still hold for it to be used again.

    Attributes:
        prefix: KV, pad masks and obs_cls_out.
        stamp_s: of the observation it was computed from, in seconds of ROS time.
        task: the instruction in it.
        thumbnails: of the pictures in it, by feature name: those that the frame guard looks at.
        cameras: all pictures in it, by feature name.
        state: (S,) the robot's, in the policy's units.
        look: the glance's, if there is one.
        reuses: how often it was used again.
    """

    prefix: EncodedPrefix
    stamp_s: float
    task: str
    thumbnails: dict[str, Thumbnail]
    cameras: frozenset[str]
    state: np.ndarray
    look: Look | None = None
    reuses: int = 0

    @classmethod
    def of(cls, prefix: EncodedPrefix, seen: Seen) -> "PrefixCache":
        """A prefix that was computed from an observation."""
        return cls(
            prefix, seen.stamp_s, seen.task, seen.thumbnails, seen.cameras, seen.state, seen.look
        )

    def why_useless(self, seen: Seen) -> Reason | None:
        """Why no observation from now on can use it; None if one may."""
        if seen.task != self.task:
            return Reason.TASK_CHANGED
        if seen.cameras != self.cameras or seen.thumbnails.keys() != self.thumbnails.keys():
            return Reason.CAMERAS_CHANGED
        return Reason.CLOCK_JUMPED if seen.stamp_s < self.stamp_s else None


class PrefixCacheQueue:
    """At most ten entries; a further one pushes the oldest out. Its owner locks.

    Ten is the guide's number. Only the newest is ever reused: of the same scene the newest is the
    nearest to what is seen now in time, and hardly ever is an older one nearer in motion and still
    young enough. The others say how long the scene has been as predicted (`cache_length`).
    """

    def __init__(self, max_entries: int = MAX_ENTRIES) -> None:
        """Start empty.

        Args:
            max_entries: 1 to 10.

        Raises:
            ValueError: another number.
        """
        if not 1 <= max_entries <= MAX_ENTRIES:
            raise ValueError(
                f"the cache queue holds 1 to {MAX_ENTRIES} prefixes, not {max_entries}"
            )
        self._entries: deque[PrefixCache] = deque(maxlen=max_entries)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def newest(self) -> PrefixCache | None:
        """The entry that may be reused; None if there is none."""
        return self._entries[-1] if self._entries else None

    @property
    def nbytes(self) -> int:
        """Memory of all prefixes in it, in bytes."""
        return sum(entry.prefix.nbytes for entry in self._entries)

    def push(self, entry: PrefixCache) -> None:
        """Make an entry the newest."""
        self._entries.append(entry)

    def discard(self, entry: PrefixCache) -> None:
        """Take an entry out, if it is still there."""
        if entry in self._entries:
            self._entries.remove(entry)

    def clear(self) -> None:
        """Empty it."""
        self._entries.clear()
