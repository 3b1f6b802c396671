"""Which engine, which operations and which dtype, for a policy on its device."""

import logging

import torch

from cls_vla_ros.engine.cuda_graph_engine import CudaGraphEngine
from cls_vla_ros.engine.engine import Engine
from cls_vla_ros.engine.torch_ops import TorchOps
from cls_vla_ros.policy.modeling_cls_smolvla import CLSSmolVLAPolicy

logger = logging.getLogger(__name__)

ENGINES = ("auto", "eager", "cuda_graph")
DTYPES = ("auto", "float32", "bfloat16")


def make_engine(
    policy: CLSSmolVLAPolicy,
    engine: str = "auto",
    dtype: str = "auto",
    max_tokens: int | None = None,
) -> Engine:
    """Make an engine out of a policy, on the policy's device.

    Args:
        policy: loaded; it may be forgotten afterwards.
        engine: "eager" or "cuda_graph"; "auto" is cuda_graph on CUDA, else eager.
        dtype: "float32" or "bfloat16"; "auto" is bfloat16 on a CUDA device that has it, else
            float32.
        max_tokens: of an instruction.

    Raises:
        ValueError: unknown names, CUDA graphs without CUDA, or a policy that no engine can run.
    """
    for value, allowed in ((engine, ENGINES), (dtype, DTYPES)):
        if value not in allowed:
            raise ValueError(f"unknown {value!r}: expected one of {allowed}")
    device = torch.device(policy.config.device)
    is_cuda = device.type == "cuda"
    if engine == "cuda_graph" and not is_cuda:
        raise ValueError(
            f"the engine cuda_graph needs CUDA, and the policy is on {device}: use the engine "
            "'auto' or 'eager', or the device 'cuda'"
        )
    if dtype == "auto":
        dtype = "bfloat16" if is_cuda and torch.cuda.is_bf16_supported() else "float32"
    kind = Engine if engine == "eager" or not is_cuda else CudaGraphEngine
    torch_dtype = getattr(torch, dtype)
    return kind(policy, device, torch_dtype, TorchOps(), max_tokens)
