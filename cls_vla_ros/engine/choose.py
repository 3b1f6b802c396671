"""Which engine, which operations and which dtype, for a policy on its device."""

import logging

import torch

from cls_vla_ros.engine.cuda_graph_engine import CudaGraphEngine
from cls_vla_ros.engine.engine import Engine
from cls_vla_ros.engine.names import DTYPES, ENGINES, KERNELS
from cls_vla_ros.engine.torch_ops import TorchOps
from cls_vla_ros.engine.triton.ops import TritonOps
from cls_vla_ros.engine.weights.read_weights import read_sizes
from cls_vla_ros.engine.weights.weights import Sizes
from cls_vla_ros.policy.modeling_cls_smolvla import CLSSmolVLAPolicy

logger = logging.getLogger(__name__)


def make_engine(
    policy: CLSSmolVLAPolicy,
    engine: str = "auto",
    dtype: str = "auto",
    max_tokens: int | None = None,
    kernels: str = "auto",
) -> Engine:
    """Make an engine out of a policy, on the policy's device.

    Args:
        policy: loaded; it may be forgotten afterwards.
        engine: "eager" or "cuda_graph"; "auto" is cuda_graph on CUDA, else eager.
        dtype: "float32" or "bfloat16"; "auto" is bfloat16 on a CUDA device that has it, else
            float32.
        max_tokens: of an instruction.
        kernels: "torch", or "triton" for fused ones of our own; "auto" is triton where it can be
            used, and says why where it cannot though there is a GPU.

    Raises:
        ValueError: unknown names, what is asked for cannot be used here, or a policy that no
            engine can run.
    """
    for value, allowed in ((engine, ENGINES), (dtype, DTYPES), (kernels, KERNELS)):
        if value not in allowed:
            raise ValueError(f"unknown {value!r}: expected one of {allowed}")
    device = torch.device(policy.config.device)
    is_cuda = device.type == "cuda"
    check_engine(engine, device)
    if dtype == "auto":
        dtype = "bfloat16" if is_cuda and torch.cuda.is_bf16_supported() else "float32"
    kind = Engine if engine == "eager" or not is_cuda else CudaGraphEngine
    torch_dtype = getattr(torch, dtype)
    ops = _choose_ops(kernels, read_sizes(policy), device, torch_dtype)
    return kind(policy, device, torch_dtype, ops, max_tokens)


def check_engine(engine: str, device: str | torch.device) -> None:
    """Can there be such an engine on the device? Asked before weights are loaded, too.

    Raises:
        ValueError: there cannot.
    """
    if engine == "cuda_graph" and torch.device(device).type != "cuda":
        raise ValueError(
            f"the engine cuda_graph needs CUDA, and the policy is on {device}: use the engine "
            "'auto' or 'eager', or the device 'cuda'"
        )


def _choose_ops(kernels: str, sizes: Sizes, device: torch.device, dtype: torch.dtype) -> TorchOps:
    if kernels == "torch":
        return TorchOps()
    problem = TritonOps.problem(sizes, device, dtype) or _first_kernel(device, dtype)
    if not problem:
        return TritonOps()
    if kernels == "triton":
        raise ValueError(f"Triton's kernels cannot be used: {problem}")
    if device.type == "cuda" and dtype == torch.bfloat16:
        logger.warning("an inference takes longer than it could: %s", problem)
    return TorchOps()


def _first_kernel(device: torch.device, dtype: torch.dtype) -> str:
    """Compile one: Triton needs a C compiler and Python's headers on the user's machine."""
    try:
        TritonOps().start(torch.zeros(1, 1, 16, device=device, dtype=dtype))
    except Exception as error:  # of the compiler, of the linker, of the driver
        return (
            f"Triton cannot compile ({type(error).__name__}: {error}). It needs a C compiler and "
            "Python's headers: on Debian and Ubuntu, apt install build-essential python3-dev"
        )
    return ""
