import numpy as np
import pytest
from lerobot.processor import NormalizerProcessorStep

from cls_vla_ros.inference.reuse.motion import motion_of, state_std


class Pipeline:
    def __init__(self, stats):
        step = object.__new__(NormalizerProcessorStep)
        step.stats = stats
        self.steps = [object(), step]


def test_motion_is_in_standard_deviations():
    assert motion_of(np.ones(2), np.array([1.3, -39.0]), np.array([0.1, 10])) == pytest.approx(5)


@pytest.mark.parametrize(
    ("stats", "expected"),
    [
        ({"observation.state": {"std": [0.5, 2.0], "mean": [0, 0]}}, [0.5, 2.0]),
        ({"observation.state": {"std": [0.5, 0.0]}}, [0.5, 1.0]),
        ({"observation.state": {"std": [0.5, float("nan")]}}, [0.5, 1.0]),
        ({"observation.state": {"min": [0, 0], "max": [1, 1]}}, [1.0, 1.0]),
        ({"observation.state": {"std": [0.5, 2.0, 3.0]}}, [1.0, 1.0]),
        ({"action": {"std": [0.5, 2.0]}}, [1.0, 1.0]),
        (None, [1.0, 1.0]),
    ],
)
def test_the_standard_deviation_is_the_datasets(stats, expected):
    assert state_std(Pipeline(stats), 2).tolist() == expected
