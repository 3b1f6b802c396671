"""What the simulated policy says: good chunks, and those that no policy should make."""

import numpy as np

from cls_vla_ros.endurance.arm.policy import CHUNK_SIZE
from cls_vla_ros.endurance.arm.scenario import DT_S, HOME, Scenario

CALM_SPEED = 0.1
CLOSES = 0.15  # m/s
OPEN, CLOSED = 0.08, 0.0


def says(
    scenario: Scenario,
    state: np.ndarray,
    times_s: np.ndarray,
    phase: float,
    faults: dict[str, float],
    rng: np.random.Generator,
    is_calm: bool,
) -> np.ndarray:
    """(T, A): from where the joints are seen, or by the time, whatever is the matter.

    Args:
        scenario: says which.
        state: (3,) the joints as the policy sees them.
        times_s: (T,) of the steps.
        phase: of what goes by the time.
        faults: what is wrong with it, by name, and how much.
        rng: of the faults.
        is_calm: whether it shall do nothing that could be refused.
    """
    s, steps = scenario, np.arange(CHUNK_SIZE)[:, None] * DT_S
    if is_calm:
        actions = state + CALM_SPEED * steps * np.array([1.0, -1.0, 0.0])
    elif s.seed % 2:
        actions = state + s.speed * steps * np.array([1.0, -0.5, 0.0])
    else:
        angle = times_s[:, None] * 2.0 + phase
        actions = HOME + s.speed / 2.0 * np.sin(angle) * np.array([1.0, 0.7, 0.0])
    if not is_calm:
        target = np.where(np.sin(times_s * 1.5 + phase) > 0, CLOSED, OPEN)
        goes = np.clip(target - state[2], -CLOSES * steps[:, 0], CLOSES * steps[:, 0])
        actions[:, 2] = state[2] + goes if s.seed % 3 else target
        actions[:, :3] += rng.normal(0, s.noise, 3) * np.array([1, 1, 0.1])
    if s.turns:
        actions[:, 0] = np.angle(np.exp(1j * actions[:, 0]))
    if lower := s.parameters.get("limits.lower"):  # it was trained within them
        actions = np.clip(actions, lower[:3], s.parameters["limits.upper"][:3])
    if "NaN" in faults:
        actions[int(rng.integers(CHUNK_SIZE)), int(rng.integers(3))] = np.nan
    if "leap" in faults:
        actions[int(rng.integers(1, CHUNK_SIZE)) :, int(rng.integers(3))] += 2.0
    if "far" in faults:
        actions[:, int(rng.integers(3))] += 2 * faults["far"] - 1
    drive = 0.3 * np.sin(times_s)[:, None]
    return np.hstack([actions, drive])[:, : len(s.names)]
