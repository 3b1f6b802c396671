"""A stock SmolVLA of lerobot's and batches for it, in small."""

import pytest
import torch
from fixtures.policies import ACTION_DIM, CAMERAS, STATE_DIM
from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy

from cls_vla_ros.policy import CLSSmolVLAConfig, CLSSmolVLAPolicy
from cls_vla_ros.policy.checkpoint.random_checkpoint import random_config


@pytest.fixture
def make_config(vlm):
    def make(
        config_class=CLSSmolVLAConfig, state_dim=STATE_DIM, action_dim=ACTION_DIM, **overrides
    ):
        return random_config(config_class, vlm, CAMERAS, state_dim, action_dim, **overrides)

    return make


@pytest.fixture
def stock(make_config) -> SmolVLAPolicy:
    torch.manual_seed(0)
    return SmolVLAPolicy(make_config(SmolVLAConfig)).eval()


@pytest.fixture
def with_stock_weights(make_config, stock):
    """Our policy with the stock policy's weights, and random CLS tokens."""

    def make(**overrides) -> CLSSmolVLAPolicy:
        torch.manual_seed(1)
        policy = CLSSmolVLAPolicy(make_config(**overrides)).eval()
        missing, unexpected = policy.load_state_dict(stock.state_dict(), strict=False)
        assert not unexpected
        assert all(name.startswith(("model.pre_cls_param", "model.cls_")) for name in missing)
        if policy.config.use_cls_head:
            torch.nn.init.normal_(policy.model.pre_cls_param)  # large enough to matter where seen
        return policy

    return make


@pytest.fixture
def make_batch():
    def make(seed=0, batch_size=2) -> dict[str, torch.Tensor]:
        """The second sample's instruction is padded."""
        random = torch.Generator().manual_seed(seed)
        mask = torch.ones(batch_size, 7, dtype=torch.bool)
        mask[1:, 5:] = False
        batch = {
            name: torch.rand(batch_size, 3, *size, generator=random)
            for name, size in CAMERAS.items()
        }
        return batch | {
            "observation.state": torch.randn(batch_size, STATE_DIM, generator=random),
            "observation.language.tokens": torch.randint(
                5, 250, (batch_size, 7), generator=random
            ),
            "observation.language.attention_mask": mask,
        }

    return make


@pytest.fixture
def noise():
    return torch.randn(2, 50, 32, generator=torch.Generator().manual_seed(5))
