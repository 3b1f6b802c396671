import pytest
import torch
from torch import nn

from cls_vla_ros.policy import CLSSmolVLAConfig
from cls_vla_ros.policy.training.trained_parts import (
    CALIBRATED,
    TrainedParts,
    forget_calibration,
)


@pytest.fixture
def model():
    model = nn.Module()
    model.pre_cls_param = nn.Parameter(torch.ones(1, 2, 4))
    model.glance = nn.Linear(3, 3)
    model.other = nn.Linear(2, 2)
    return model


def test_nothing_is_said_before_a_weight_has_changed(model):
    parts = TrainedParts(model)
    assert [parts.look() for _ in range(2)] == [set(), set()]
    model.other.weight.data.add_(1.0)
    assert parts.look() == set()
    model.pre_cls_param.data[0, 1, 3] += 1e-3
    assert parts.look() == {"cls_head_trained"}
    model.glance.bias.data.sub_(0.5)
    assert parts.look() == {"cls_head_trained", "glance_trained"}


def test_what_is_frozen_is_not_trained_whatever_else_changes_it(model):
    model.pre_cls_param.requires_grad_(False)
    parts = TrainedParts(model)
    parts.look()
    model.pre_cls_param.data.zero_()
    assert parts.look() == set()


def test_what_was_calibrated_is_not_said_of_other_weights(caplog):
    config = CLSSmolVLAConfig(
        cls_thresholds=[[0.1, 0.8]],
        cls_max_age_s=0.9,
        cls_max_reuses=12,
        cls_max_motion=3.0,
        cls_min_spread=0.01,
        glance_threshold=0.2,
        cls_episodes_calibrated_on=["x"],
        cls_episodes_trained_on=["y"],
        cls_head_trained=True,
    )
    forget_calibration(config)
    fresh = CLSSmolVLAConfig()
    assert [getattr(config, name) for name in CALIBRATED] == [
        getattr(fresh, name) for name in CALIBRATED
    ]
    assert config.cls_episodes_trained_on == ["y"]
    assert config.cls_head_trained
    assert "cls_thresholds" in caplog.text
    caplog.clear()
    forget_calibration(config)
    assert not caplog.text
