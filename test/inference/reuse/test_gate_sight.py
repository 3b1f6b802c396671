import numpy as np
import pytest

from cls_vla_ros.inference.reuse.gate_sight import RUN, smallest_spread


def test_the_smallest_spread_is_that_of_the_calmest_run():
    random = np.random.default_rng(0)
    values = random.normal(0.9, 0.05, 100)
    values[40:65] = 0.95 + 0.001 * np.resize([1, -1], 25)
    assert smallest_spread(values) == pytest.approx(0.001)
    assert smallest_spread(values[: RUN - 1]) is None
