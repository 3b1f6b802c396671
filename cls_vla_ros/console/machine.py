"""On what something was measured."""

import os
import platform
from pathlib import Path


def describe_machine() -> str:
    """System, cores that this process may use, and what they are."""
    text = f"{platform.system()} {platform.machine()}, {len(os.sched_getaffinity(0))} cores"
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{text} of {models[0]}" if models else text
