"""Order and time of what a device does."""

import time
from contextlib import AbstractContextManager, nullcontext

import torch

Mark = torch.cuda.Event | float


class Clock:
    """On CUDA: a stream of its own, and events in it. On a CPU: the wall clock."""

    def __init__(self, device: torch.device) -> None:
        """For one device."""
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def stream(self) -> AbstractContextManager:
        """What is launched inside comes after all that was launched inside before."""
        return torch.cuda.stream(self._stream) if self._stream else nullcontext()

    def mark(self) -> Mark:
        """A point in the order of work. It does not wait."""
        if self._stream is None:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record(self._stream)
        return event

    def elapsed_ms(self, start: Mark, end: Mark) -> float:
        """Time from one mark to another, in milliseconds; the device must have come that far."""
        if self._stream is None:
            return (end - start) * 1e3
        return start.elapsed_time(end)

    def wait(self) -> None:
        """Until the device has done all."""
        if self._stream is not None:
            self._stream.synchronize()
