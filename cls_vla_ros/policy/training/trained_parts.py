"""Which of the policy's own parts a training has changed: what is said of them rests on that."""

import logging
from dataclasses import MISSING, fields

import torch
from torch import Tensor, nn

from cls_vla_ros.policy.configuration_cls_smolvla import CLSSmolVLAConfig

# By the field of the configuration that says so: names of the parameters.
PARTS = {
    "cls_head_trained": ("pre_cls_param", "cls_adapter."),
    "glance_trained": ("glance.",),
}

logger = logging.getLogger(__name__)

# What `calibrate` says of a policy in its configuration.
CALIBRATED = (
    *("cls_thresholds", "cls_max_age_s", "cls_max_reuses", "cls_max_motion", "cls_min_spread"),
    *("glance_threshold", "cls_episodes_calibrated_on"),
)


def forget_calibration(config: CLSSmolVLAConfig) -> None:
    """Put back what calibration has set, and say so: it is of other weights.

    Whatever is trained, the tokens change: thresholds, spread and glance are measured on them, and
    the limits of reuse on the actions.

    Args:
        config: is changed.
    """
    unset = {field.name: field for field in fields(config)}
    had = []
    for name in CALIBRATED:
        default = unset[name].default
        if default is MISSING:
            default = unset[name].default_factory()
        if getattr(config, name) != default:
            setattr(config, name, default)
            had.append(name)
    if had:
        logger.warning(
            "what `calibrate` found of this policy, %s, is not true of what comes out of this "
            "training, and is left out: calibrate it anew",
            ", ".join(had),
        )


class TrainedParts:
    """Looks at their weights while they are trained.

    A loss that has the CLS objective in it is not enough: peft, for one, freezes all but its
    adapters, and a random head would pass as a trained one.
    """

    def __init__(self, model: nn.Module) -> None:
        """Nothing is known yet.

        Args:
            model: the policy's CLSVLAFlowMatching.
        """
        self._model = model
        self._at_first: dict[str, Tensor] | None = None  # by name
        self._changed: set[str] = set()  # fields

    def look(self) -> set[str]:
        """Which fields of the configuration are true by now; the first look begins.

        What needs no gradient is not trained, whatever else changes it.
        """
        sums = {
            name: _sums(parameter)
            for name, parameter in self._model.named_parameters()
            if parameter.requires_grad
            for field, names in PARTS.items()
            if field not in self._changed and name.startswith(names)
        }
        if self._at_first is None:
            self._at_first = sums
        for name, now in sums.items():
            if not torch.equal(now, self._at_first.get(name, now)):
                self._changed |= {f for f, names in PARTS.items() if name.startswith(names)}
        return set(self._changed)


def _sums(parameter: Tensor) -> Tensor:
    """Two numbers that hardly any change leaves as they are, (2,) float64."""
    values = parameter.detach()
    if hasattr(values, "to_local"):  # sharded (FSDP): this process's part
        values = values.to_local()
    values = values.double()
    return torch.stack([values.sum(), values.square().sum()])
