import pytest
import torch

from cls_vla_ros.engine import make_engine


def test_on_a_cpu_auto_is_eager_in_float32(policy):
    engine = make_engine(policy)
    assert (engine.name, engine.dtype, engine.device.type) == ("eager", torch.float32, "cpu")


def test_bfloat16_is_close(policy, make_samples, make_noise):
    wide, narrow = make_engine(policy), make_engine(policy, dtype="bfloat16")
    assert narrow.dtype == torch.bfloat16
    samples, noise = make_samples(2), make_noise(policy, 2)
    one, two = (engine.denoise(engine.encode_prefix(samples), noise) for engine in (wide, narrow))
    assert not torch.equal(one, two)
    assert torch.cosine_similarity(one.flatten(), two.flatten(), dim=0) > 0.999


def test_tritons_kernels_need_a_gpu(policy):
    assert make_engine(policy, dtype="bfloat16").ops_name == "TorchOps"
    with pytest.raises(ValueError, match="NVIDIA GPUs, not for cpu"):
        make_engine(policy, dtype="bfloat16", kernels="triton")
    with pytest.raises(ValueError, match="are for bfloat16"):
        make_engine(policy, kernels="triton")


@pytest.mark.parametrize(
    "arguments", [{"engine": "tensorrt"}, {"dtype": "int8"}, {"kernels": "cutlass"}]
)
def test_unknown_names_are_refused(policy, arguments):
    (value,) = arguments.values()
    with pytest.raises(ValueError, match=f"unknown '{value}': expected one of"):
        make_engine(policy, **arguments)


def test_cuda_graphs_need_cuda(policy):
    with pytest.raises(ValueError, match="cuda_graph needs CUDA, and the policy is on cpu"):
        make_engine(policy, "cuda_graph")


def test_the_policy_may_be_forgotten(make_policy):
    """The engine has copies of, or references to, the weights alone."""
    import gc
    import weakref

    policy = make_policy(num_steps=1)
    model = weakref.ref(policy.model)
    engine = make_engine(policy)
    del policy
    gc.collect()
    assert model() is None
    assert engine.config.num_steps == 1
