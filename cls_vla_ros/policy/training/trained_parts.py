"""Which of the policy's own parts a training has changed: what is said of them rests on that."""

import torch
from torch import Tensor, nn

# By the field of the configuration that says so: names of the parameters.
PARTS = {
    "cls_head_trained": ("pre_cls_param", "cls_adapter."),
    "glance_trained": ("glance.",),
}


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
