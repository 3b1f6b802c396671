import pytest
import torch
from torch import nn

from cls_vla_ros.policy.training.trained_parts import TrainedParts


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
