"""What a chunk may ask of the joints, and what happens to one that asks for more."""

import math
from dataclasses import dataclass

import numpy as np

from cls_vla_ros.robot.action.joint_limits import JointLimits

MODES = ("refuse", "clamp")
# Violations, worst first. The first line leaves nothing to clamp.
NOT_FINITE, LATE, NO_POSITION, OUTSIDE = "not_finite", "late", "no_position", "outside"
FIRST_STEP, LOWER, UPPER = "first_step", "lower", "upper"
STEP, VELOCITY = "step", "velocity"
HOPELESS = (NOT_FINITE, LATE, NO_POSITION, OUTSIDE)
KINDS = (*HOPELESS, FIRST_STEP, LOWER, UPPER, STEP, VELOCITY)
# What float64 loses when a clamped step is subtracted from the one before it: a nanometre.
TOLERANCE = 1e-9
MOST_IN_TEXT = 4


@dataclass(frozen=True)
class Violation:
    """The worst that a chunk does to one limit of one joint.

    Attributes:
        kind: one of KINDS.
        joint: its name; "" for LATE.
        step: of the chunk.
        value: rad or m: what is commanded; for OUTSIDE where the joint is; for FIRST_STEP and
            STEP the distance; for VELOCITY per second; for LATE the step that would come next.
        limit: in the same unit; NaN where there is none.
        text: the same in words.
    """

    kind: str
    joint: str
    step: int
    value: float
    limit: float
    text: str


@dataclass(frozen=True)
class CheckedChunk:
    """What came of the check.

    Attributes:
        actions: (T, A) to send, rad or m; None if the chunk is refused.
        violations: what was wrong with it before anything was clamped, worst first, at most one
            for each joint and kind; empty if nothing.
    """

    actions: np.ndarray | None
    violations: tuple[Violation, ...] = ()

    @property
    def text(self) -> str:
        """What was done and why, for the log and /diagnostics; empty if nothing was wrong."""
        if not self.violations:
            return ""
        done = "the chunk is refused" if self.actions is None else "the chunk was clamped"
        said = "; ".join(violation.text for violation in self.violations[:MOST_IN_TEXT])
        more = len(self.violations) - MOST_IN_TEXT
        return f"{done}: {said}" + (f"; and {more} more" if more > 0 else "")


def check_chunk(
    actions: np.ndarray,
    dt_s: float,
    limits: JointLimits,
    *,
    mode: str = "refuse",
    first_index: int = 0,
    positions_now: np.ndarray | None = None,
    measured: np.ndarray | None = None,
    first_step: float | np.ndarray | None = None,
    step: float | np.ndarray | None = None,
) -> CheckedChunk:
    """Hold a chunk against the limits.

    Every step is checked, those in the past too: whoever subscribes to a chunk may play all of it.

    Args:
        actions: (T, A) float64 joint positions, rad or m.
        dt_s: time between two steps.
        limits: of the A joints.
        mode: "refuse": any violation refuses the whole chunk. "clamp": positions are moved into
            their limits, the first step to at most `first_step` from where the joint is, and each
            other step to at most `step` and velocity x dt from its neighbour. What cannot be
            mended so refuses in both modes: values that are not finite, a chunk that came too
            late, a joint whose position is unknown, or one that is further outside its limits
            than `first_step` reaches.
        first_index: the step that comes next; see `chunk_player.next_index`.
        positions_now: (A,) where the joints are, or what is commanded at present, rad or m; NaN
            where unknown, None if all are. Needed with `first_step` alone.
        measured: (A,) where the joints are, if `positions_now` is what is commanded: a grip may be
            opened from there, or from what was commanded, or from between. NaN where unknown.
        first_step: how far step `first_index` may be from there, rad or m: one number or (A,).
            None: as far as it likes.
        step: how far any step may be from the one before it, likewise.

    Raises:
        ValueError: shapes that do not fit, dt_s, first_step or step not above 0, or an unknown
            mode.
    """
    names = limits.names
    if actions.ndim != 2 or not len(actions) or actions.shape[1] != len(names):
        raise ValueError(
            f"expected actions of (T, {len(names)}) for the joints {list(names)}, "
            f"got {actions.shape}"
        )
    if mode not in MODES:
        raise ValueError(f"unknown mode {mode!r}: expected one of {', '.join(map(repr, MODES))}")
    if not 0 < dt_s < math.inf:
        raise ValueError(f"dt_s must be above 0, got {dt_s}")
    if first_index < 0:
        raise ValueError(f"first_index must not be negative, got {first_index}")
    reach = np.full(len(names), math.inf)
    start = np.zeros(len(names))
    if first_step is not None:
        reach[:] = first_step
        if not (reach > 0).all():
            raise ValueError(f"first_step must be above 0 for each joint, got {first_step}")
        start[:] = math.nan if positions_now is None else positions_now
    steps = np.full(len(names), math.inf)
    if step is not None:
        steps[:] = step
        if not (steps > 0).all():
            raise ValueError(f"step must be above 0 for each joint, got {step}")
    also = start if measured is None else np.where(np.isfinite(measured), measured, start)
    ends = np.minimum(start, also) - reach, np.maximum(start, also) + reach
    rules = _Rules(limits, dt_s, first_index, start, *ends, reach, steps)

    violations = _hopeless(actions, rules) or _violations(actions, rules)
    if not violations:
        return CheckedChunk(actions)
    if mode == "refuse" or violations[0].kind in HOPELESS:
        return CheckedChunk(None, violations)
    clamped = _clamp(actions, rules)
    if remaining := _violations(clamped, rules):
        return CheckedChunk(None, remaining)
    return CheckedChunk(clamped, violations)


@dataclass(frozen=True)
class _Rules:
    limits: JointLimits
    dt_s: float
    first_index: int
    start: np.ndarray  # (A,) NaN where unknown
    lowest: np.ndarray  # (A,) where the first step may be; infinity for anywhere
    highest: np.ndarray
    reach: np.ndarray  # (A,) infinity where the first step may go anywhere
    step: np.ndarray  # (A,) likewise


def _hopeless(actions: np.ndarray, rules: _Rules) -> tuple[Violation, ...]:
    """What no clamping can mend, of the worst kind that there is."""
    names, first, found = rules.limits.names, rules.first_index, []
    for j in np.flatnonzero(~np.isfinite(actions).all(axis=0)):
        step = int(np.argmin(np.isfinite(actions[:, j])))
        value = float(actions[step, j])
        text = f"{names[j]!r} at step {step}: {value} is not finite"
        found.append(Violation(NOT_FINITE, names[j], step, value, math.nan, text))
    last = len(actions) - 1
    if not found and first > last:
        text = f"it came too late: its last step, {last}, is in the past"
        found.append(Violation(LATE, "", last, float(first), float(last), text))
    if not found:
        for j in np.flatnonzero(~np.isfinite(rules.start)):
            text = f"{names[j]!r}: its position is unknown, so its first step cannot be checked"
            found.append(Violation(NO_POSITION, names[j], first, math.nan, math.nan, text))
    if not found:
        found += _outside(rules)
    return tuple(found)


def _outside(rules: _Rules) -> list[Violation]:
    """Joints that one first step does not bring back into their limits."""
    limits, found = rules.limits, []
    below = limits.lower - rules.highest > TOLERANCE
    above = rules.lowest - limits.upper > TOLERANCE
    for j in np.flatnonzero(below | above):
        name, value, reach = limits.names[j], float(rules.start[j]), rules.reach[j]
        limit = float(limits.lower[j] if below[j] else limits.upper[j])
        text = (
            f"{name!r} is at {value:.6g}, beyond its limit {limit:.6g} by more than its first "
            f"step may be, {reach:.6g}: move it back by hand"
        )
        found.append(Violation(OUTSIDE, name, rules.first_index, value, limit, text))
    return found


def _violations(actions: np.ndarray, rules: _Rules) -> tuple[Violation, ...]:
    """All that is beyond a limit, worst first."""
    limits, first = rules.limits, rules.first_index
    with np.errstate(over="ignore", invalid="ignore"):  # infinity is beyond every limit
        steps = np.abs(np.diff(actions, axis=0))  # (T-1, A)
        # As distances, so that they are compared with the same tolerance whatever dt is.
        per_step, too_far = steps - limits.velocity * rules.dt_s, steps - rules.step
        speeds = steps / rules.dt_s
        beyond = np.maximum(rules.lowest - actions[first], actions[first] - rules.highest)
        jump = beyond[None] + rules.reach  # (1, A)
    checks = (
        (FIRST_STEP, first, jump, rules.reach, beyond[None]),
        (LOWER, 0, actions, limits.lower, limits.lower - actions),
        (UPPER, 0, actions, limits.upper, actions - limits.upper),
        (STEP, 1, steps, rules.step, too_far),
        (VELOCITY, 1, speeds, limits.velocity, per_step),
    )
    found: list[tuple[float, Violation]] = []
    for kind, begin, values, limit, excess in checks:
        # NaN is infinity - infinity: there is no limit to exceed
        for j in np.flatnonzero((excess > TOLERANCE).any(axis=0)):
            row = int(np.nanargmax(excess[:, j]))
            violation = _say(limits, kind, int(j), begin + row, values[row, j], limit[j])
            found.append((float(excess[row, j]), violation))
    found.sort(key=lambda item: (KINDS.index(item[1].kind), -item[0]))
    return tuple(violation for _, violation in found)


def _say(
    limits: JointLimits, kind: str, j: int, step: int, value: float, limit: float
) -> Violation:
    name, unit = limits.names[j], limits.units[j]
    per_second = f"{unit}/s" if unit else "per second"
    wrong = {
        FIRST_STEP: f"{value:.6g} {unit} from where it is; its first step may be {limit:.6g}",
        LOWER: f"{value:.6g} {unit} is below its lower limit {limit:.6g}",
        UPPER: f"{value:.6g} {unit} is above its upper limit {limit:.6g}",
        STEP: f"{value:.6g} {unit} from the step before it; limits.step allows {limit:.6g}",
        VELOCITY: f"{value:.6g} {per_second} is faster than its limit {limit:.6g}",
    }[kind].replace("  ", " ")
    return Violation(
        kind, name, step, float(value), float(limit), f"{name!r} at step {step}: {wrong}"
    )


def _clamp(actions: np.ndarray, rules: _Rules) -> np.ndarray:
    """Into the limits.

    Once the positions are, a step towards its neighbour stays in them; and so does the first one
    towards the joint, which is not OUTSIDE.
    """
    limits, first = rules.limits, rules.first_index
    clamped = np.clip(actions, limits.lower, limits.upper)
    clamped[first] = np.clip(clamped[first], rules.lowest, rules.highest)
    most = np.minimum(limits.velocity * rules.dt_s, rules.step)
    for step in range(first + 1, len(clamped)):
        before = clamped[step - 1]
        clamped[step] = np.clip(clamped[step], before - most, before + most)
    for step in range(first - 1, -1, -1):  # in the past: so that they lead to where it begins
        after = clamped[step + 1]
        clamped[step] = np.clip(clamped[step], after - most, after + most)
    return clamped


def leap_problem(
    names: list[str],
    values: np.ndarray,
    last: np.ndarray,
    first_step: np.ndarray,
    apart_s: float,
) -> str:
    """Why a command does not follow the last one; empty if it does.

    A chunk is continuous, but time is not: it may jump, or the ticks may stall.

    Args:
        names: of the A values.
        values: (A,) what would be commanded.
        last: (A,) what was commanded before it.
        first_step: (A,) how far they may be apart; infinity for any.
        apart_s: how long ago that was.
    """
    distances = np.abs(values - last)
    worst = int(np.argmax(distances - first_step))
    if distances[worst] <= first_step[worst]:
        return ""
    return (
        f"the next command would be a leap of {distances[worst]:.3g} for {names[worst]!r}, at "
        f"most {first_step[worst]:g} (first_step) may be: {apart_s:.2f} s have passed at once, "
        "because the clock jumped or the node was held up"
    )
