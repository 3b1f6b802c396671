"""From chunk to chunk at 10 Hz, by a trajectory controller: what a review found at 8.3 rad/s."""

import numpy as np
import pytest

from cls_vla_ros.endurance.arm.controllers import TrajectoryController
from cls_vla_ros.node.output.messages import to_joint_trajectory
from cls_vla_ros.robot.action.chunk import Chunk
from cls_vla_ros.robot.action.planner import Planner
from cls_vla_ros.robot.action.shaping import MotionLimits
from cls_vla_ros.robot.action.standing import Standing

NS, DT_S, CYCLE_S = 10**9, 1 / 30, 0.01
VELOCITY = 1.0
LATENCY_S, LAG_S = 0.07, 0.08  # of an inference; of the arm


def wave(time_s):
    """At most 0.63 rad/s."""
    return 0.25 * np.sin(2 * np.pi * 0.4 * time_s)


def setpoints(noise: float, acceleration: float, *, jitter: bool, seconds=6.0) -> np.ndarray:
    """Of each cycle, while the policy follows a wave and each chunk is a little elsewhere."""
    rng = np.random.default_rng(0)
    standing = Standing(np.array([0.2]))
    standing.is_followed = True
    planner = Planner(standing, np.ones(1, bool), DT_S)
    endless = np.array([np.inf])
    planner.limits = MotionLimits(
        np.array([VELOCITY]), np.array([acceleration]), -endless, endless
    )
    controller = TrajectoryController(["j"], np.zeros(1), CYCLE_S, from_desired=True)
    found, made, position = [], [], np.zeros(1)
    for cycle in range(round(seconds / CYCLE_S)):
        time_s, now_ns = cycle * CYCLE_S, 100 * NS + round(cycle * CYCLE_S * NS)
        if cycle % 10 == 0:
            values = wave(time_s + np.arange(50) * DT_S) + rng.normal(0, noise)
            late_s = LATENCY_S + (0.01 * rng.integers(0, 4) if jitter else 0.0)
            early_ns = round(rng.uniform(0, 0.009) * NS) if jitter else 0
            made.append((time_s + late_s, Chunk(values[:, None], now_ns - early_ns, DT_S)))
        while made and made[0][0] <= time_s + 1e-9:
            _, chunk = made.pop(0)
            due = Chunk(chunk.actions, chunk.stamp_ns + round(DT_S * NS), DT_S)
            points = planner.to_chunk(
                due, standing.start(position, now_ns), position, now_ns
            ).points
            columns = points.times_ns, points.positions, points.velocities
            controller.take(to_joint_trajectory(chunk.stamp_ns, ["j"], *columns), now_ns)
        controller.update(now_ns, position, np.zeros(1))
        position = position + (controller.command - position) * CYCLE_S / LAG_S
        found.append(controller.command[0])
    assert controller.refused == []
    return np.array(found)


@pytest.mark.parametrize("jitter", [False, True], ids=["", "jitter"])
@pytest.mark.parametrize("noise", [0.0, 0.03])
@pytest.mark.parametrize("acceleration", [np.inf, 8.0], ids=["velocity", "acceleration"])
def test_a_hand_over_obeys_the_limits(noise, acceleration, jitter):
    found = setpoints(noise, acceleration, jitter=jitter)
    speeds = np.diff(found) / CYCLE_S
    assert np.abs(speeds).max() <= VELOCITY + 1e-6
    assert np.abs(np.diff(speeds)).max() / CYCLE_S <= acceleration + 1e-4
    if not noise:  # and it is where the policy wants it, not somewhere slow
        times_s = (np.arange(len(found)) + 1) * CYCLE_S
        assert np.abs(found - wave(times_s - DT_S))[100:].max() < 0.01
