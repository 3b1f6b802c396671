"""What a process holds in memory, and how much more it may hold after a long run."""

import os
from pathlib import Path

ALLOWED_MB = 20.0
WARM_UP = 0.2  # of a run: allocators, caches and imports fill in that time


def resident_mb(pid: int | str = "self") -> float:
    """What a process holds in memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
