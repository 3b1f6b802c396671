"""Graphs that are replayed give what the operations give one by one, and no buffer is stale."""

import random

import pytest
import torch

from cls_vla_ros.engine.cuda_graph_engine import CudaGraphEngine
from cls_vla_ros.engine.torch_ops import TorchOps

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
STEPS = ["encode", "refresh", "denoise", "fail in prefix", "fail in denoise"]


@pytest.fixture
def engine(policy):
    return CudaGraphEngine(policy, torch.device("cuda"), torch.float32, TorchOps())


@pytest.mark.parametrize("seed", range(4))
def test_no_order_of_calls_leaves_a_stale_buffer(engine, check_order, seed):
    """With new picture sizes, new batch sizes and exceptions in the middle."""
    choose = random.Random(seed)
    steps = [
        (choose.choice(STEPS), choose.randint(1, 3), choose.randint(0, 20)) for _ in range(25)
    ]
    check_order(steps, engine, atol=1e-4)


def test_the_first_inference_is_like_the_second(engine, policy, make_samples, make_noise):
    """What is run before the capture must not change what is captured."""
    samples, noise = make_samples(1), make_noise(policy, 1)
    first = engine.denoise(engine.encode_prefix(samples), noise)
    assert torch.equal(engine.denoise(engine.encode_prefix(samples), noise), first)


def test_memory_does_not_grow(engine, policy, make_samples, make_noise):
    samples, noise = make_samples(1), make_noise(policy, 1)

    def infer() -> None:
        prefixes = engine.encode_prefix(samples)
        engine.denoise(engine.refresh_state(prefixes, [samples[0].state]), noise)

    for _ in range(3):
        infer()
    before = torch.cuda.memory_allocated()
    for _ in range(200):
        infer()
    assert torch.cuda.memory_allocated() == before


def test_a_graph_is_captured_once_for_each_shape(engine, policy, make_samples, make_noise):
    for _ in range(3):
        engine.denoise(engine.encode_prefix(make_samples(1)), make_noise(policy, 1))
    work = engine._workspaces.get(1, 2)
    assert len(work.captured) == 3  # pictures, prefix, denoising
    engine.denoise(engine.encode_prefix(make_samples(1)), make_noise(policy, 1), num_steps=2)
    assert len(work.captured) == 4
