"""What a device does when it can do no more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


class DeviceFailedError(RuntimeError):
    """The device has no memory left, or does not answer: no further inference can succeed now."""


@contextmanager
def device_failures(device: torch.device) -> Iterator[None]:
    """Give what torch raises in these cases one name, and say what to do.

    Raises:
        DeviceFailedError: instead of torch's OutOfMemoryError or AcceleratorError.
    """
    import torch  # not where the error alone is used

    try:
        yield
    except torch.OutOfMemoryError as error:
        raise DeviceFailedError(
            f"{device} is out of memory: see who uses it with nvidia-smi, end that, and configure "
            f"again ({_first_line(error)})"
        ) from error
    except torch.AcceleratorError as error:
        raise DeviceFailedError(
            f"{device} failed and answers no more ({_first_line(error)}): see `dmesg` and "
            "nvidia-smi. Configure again; if that fails too, restart the process, since CUDA does "
            "not recover within one"
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
