"""Policies whose actions depend on everything, and samples for them."""

import itertools
from dataclasses import replace

import pytest
import torch
from fixtures.policies import ACTION_DIM, CAMERAS, STATE_DIM

from cls_vla_ros.engine import EncodedPrefix, Engine, Sample
from cls_vla_ros.engine.torch_ops import TorchOps
from cls_vla_ros.policy import CLSSmolVLAConfig, CLSSmolVLAPolicy
from cls_vla_ros.policy.checkpoint.random_checkpoint import random_config


@pytest.fixture(scope="session")
def make_policy(vlm):
    def make(state_dim=STATE_DIM, action_dim=ACTION_DIM, **overrides) -> CLSSmolVLAPolicy:
        torch.manual_seed(0)
        config = random_config(CLSSmolVLAConfig, vlm, CAMERAS, state_dim, action_dim, **overrides)
        policy = CLSSmolVLAPolicy(config).eval()
        for name, parameter in policy.named_parameters():
            if parameter.ndim == 1 and "norm" in name and name.endswith("weight"):
                torch.nn.init.normal_(parameter, 1.0, 0.3)
            elif parameter.ndim > 1 and "embed" not in name:
                # So large that pictures, instruction and state reach the actions.
                parameter.data.mul_(4.0)
        if config.use_cls_head:
            torch.nn.init.normal_(policy.model.pre_cls_param)
        return policy

    return make


@pytest.fixture(scope="session")
def policy(make_policy):
    """The bidirectional layout; read it, do not write to it."""
    return make_policy(num_steps=3)


@pytest.fixture
def make_engine_of():
    def make(policy, ops=None, dtype=torch.float32) -> Engine:
        return Engine(policy, torch.device("cpu"), dtype, ops or TorchOps())

    return make


@pytest.fixture
def make_samples():
    def make(count, seed=0, sizes=None, state_dim=STATE_DIM) -> list[Sample]:
        """Instructions of different lengths."""
        random = torch.Generator().manual_seed(seed)
        lengths = itertools.cycle((7, 5, 2))
        samples = []
        for _, length in zip(range(count), lengths, strict=False):
            mask = torch.arange(8) < length
            samples.append(
                Sample(
                    [
                        torch.randint(0, 256, (*s, 3), dtype=torch.uint8, generator=random)
                        for s in sizes or CAMERAS.values()
                    ],
                    torch.randint(5, 250, (8,), generator=random) * mask,
                    mask,
                    torch.randn(state_dim, generator=random),
                )
            )
        return samples

    return make


@pytest.fixture
def batch_of():
    """The same observations as lerobot's policies take them."""

    def convert(samples: list[Sample]) -> dict[str, torch.Tensor]:
        batch = {
            name: torch.stack([s.pictures[i].permute(2, 0, 1).float() / 255 for s in samples])
            for i, name in enumerate(CAMERAS)
        }
        return batch | {
            "observation.state": torch.stack([s.state for s in samples]),
            "observation.language.tokens": torch.stack([s.tokens for s in samples]),
            "observation.language.attention_mask": torch.stack([s.mask for s in samples]),
        }

    return convert


@pytest.fixture
def make_noise():
    def make(policy, count, seed=0) -> torch.Tensor:
        shape = (count, policy.config.chunk_size, policy.config.max_action_dim)
        return torch.randn(shape, generator=torch.Generator().manual_seed(seed))

    return make


@pytest.fixture
def check_order(policy, make_engine_of, make_samples, make_noise):
    """Do steps (what, batch size, which of the prefixes so far) on an engine, and compare."""
    reference = make_engine_of(policy)

    def alone(sample: Sample, noise: torch.Tensor) -> torch.Tensor:
        return reference.denoise(reference.encode_prefix([sample]), noise)

    def check(steps, engine, atol=1e-5) -> None:
        made: list[tuple[EncodedPrefix, Sample]] = []
        for number, (what, size, which) in enumerate(steps):
            sizes = ((48, 64), (60, 60)) if number % 3 else ((33, 44), (60, 60))
            samples, noise = make_samples(size, number, sizes), make_noise(policy, size, number)
            if what == "encode":
                made += zip(engine.encode_prefix(samples), samples, strict=True)
            elif what.startswith("fail"):
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(engine, "_run", _fail_in(engine, what.split()[-1]))
                    with pytest.raises(ZeroDivisionError):
                        engine.denoise(engine.encode_prefix(samples), noise)
            elif len(made) >= size:
                chosen = [made[(which + i) % len(made)] for i in range(size)]
                if what == "refresh":
                    states = [sample.state for sample in samples]
                    refreshed = engine.refresh_state([prefix for prefix, _ in chosen], states)
                    chosen = [
                        (prefix, replace(sample, state=state))
                        for prefix, (_, sample), state in zip(
                            refreshed, chosen, states, strict=True
                        )
                    ]
                    made += chosen
                actions = engine.denoise([prefix for prefix, _ in chosen], noise)
                expected = [alone(s, noise[i : i + 1]) for i, (_, s) in enumerate(chosen)]
                torch.testing.assert_close(actions, torch.cat(expected), atol=atol, rtol=1e-5)

    return check


def _fail_in(engine: Engine, step: str):
    """`_run`, but one step raises after it has written to the buffers, and spoils them."""
    run = engine._run

    def failing(work, key, function):
        run(work, key, function)
        if step in key:
            work.memory.kv.normal_()
            work.memory.cross_kv.normal_()
            work.memory.actions.normal_()
            raise ZeroDivisionError

    return failing
