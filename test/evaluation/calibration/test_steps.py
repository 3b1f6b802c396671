import numpy as np
import pytest

from cls_vla_ros.evaluation.calibration.steps import Steps, fewest, measure_steps, to_values
from cls_vla_ros.evaluation.measures.replays import Step

NOISES = np.linspace(0.5, 1.5, 101)  # of two noises: median 1, p95 1.45


def steps(num_steps, median, p95) -> Steps:
    off = np.full(100, median)
    off[94:] = p95
    return Steps(num_steps, off, 5.0)


def test_the_fewest_are_within_the_noise_in_the_middle_and_in_the_tail():
    found = [steps(1, 0.9, 1.6), steps(2, 0.9, 1.4), steps(4, 0.1, 0.2)]
    assert fewest(found, NOISES) == 2
    assert fewest([steps(1, 1.1, 1.2)], NOISES) is None
    assert fewest([], NOISES) is None
    assert to_values(found)[1] == {
        **{"num_steps": 2, "median": pytest.approx(0.9), "p95": pytest.approx(1.4)},
        "full_ms": 5.0,
    }


class Server:
    """Its actions are off by one over the number of steps."""

    def __init__(self):
        self.config = type("Config", (), {"num_steps": 10})()


def test_a_count_is_compared_with_the_checkpoints_own_and_the_server_is_as_before(monkeypatch):
    server, seen = Server(), []

    def replay(server, observations, way, seed):
        seen.append((server.config.num_steps, seed))
        values = np.array([[[0.0]], [[2.0]]]) + 1 / server.config.num_steps
        inferences = [type("I", (), {"actions": v, "total_ms": 7.0})() for v in values]
        return [Step(float(n), i) for n, i in enumerate(inferences)]

    monkeypatch.setattr("cls_vla_ros.evaluation.calibration.steps.replay", replay)
    episode = type("Episode", (), {"frames": lambda self: iter(())})()
    trace = type("Trace", (), {"actions": np.array([[[0.0]], [[2.0]]])})()
    found = measure_steps(server, [episode], [trace], [4, 2], two_noises=0.5, seed=3)
    assert seen == [(2, 3), (4, 3)]
    assert [s.num_steps for s in found] == [2, 4]
    assert found[0].deviations == pytest.approx([1.0, 1.0])  # 1/2 of a deviation of 1, in halves
    assert found[1].deviations == pytest.approx([0.5, 0.5])
    assert found[0].full_ms == 7.0
    assert server.config.num_steps == 10
