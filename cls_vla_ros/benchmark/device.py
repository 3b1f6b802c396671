"""What the device says of itself: kernels and memory."""

import gc
import math
from collections.abc import Callable

import torch
from torch.profiler import ProfilerActivity, profile


def count_launches(infer: Callable[[], object]) -> float:
    """Kernels that the device runs in one inference; NaN where the profiler sees none."""
    if not torch.cuda.is_available():
        return math.nan
    with profile(activities=[ProfilerActivity.CUDA]) as recorded:
        infer()
    kernels = [e for e in recorded.events() if e.device_type == torch.autograd.DeviceType.CUDA]
    return len(kernels) or math.nan


def profiled(infer: Callable[[], object], title: str) -> str:
    """A table of the operations, or kernels on CUDA, by the time they take."""
    kinds = [ProfilerActivity.CPU]
    by = "self_cpu_time_total"
    if torch.cuda.is_available():
        kinds, by = [ProfilerActivity.CUDA], "self_cuda_time_total"
    with profile(activities=kinds) as recorded:
        infer()
    table = recorded.key_averages().table(sort_by=by, row_limit=25, max_name_column_width=60)
    return f"{title}\n{table}"


def allocated_mb() -> float:
    """On the device, now."""
    return torch.cuda.memory_allocated() / 1e6 if torch.cuda.is_available() else math.nan


def peak_mb() -> float:
    """On the device, since `reset_peak`."""
    return torch.cuda.max_memory_allocated() / 1e6 if torch.cuda.is_available() else math.nan


def reset_peak() -> None:
    """Begin to look for the peak."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def free() -> None:
    """Give back what nobody uses."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
