"""What follows a target no faster, and with no more acceleration, than a joint may have."""

from dataclasses import dataclass, replace

import numpy as np

NEAR = 1e-9  # rad or m: what float64 loses over a chunk


@dataclass(frozen=True)
class MotionLimits:
    """Of each of the A values; infinity where there is none.

    Attributes:
        velocity: (A,) per second.
        acceleration: (A,) per second squared.
        lower: (A,) where its range begins.
        upper: (A,) where it ends.
    """

    velocity: np.ndarray
    acceleration: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    @classmethod
    def none(cls, count: int) -> "MotionLimits":
        """Whatever is asked for is commanded."""
        endless = np.full(count, np.inf)
        return cls(endless, endless, -endless, endless)

    def of(self, which: np.ndarray) -> "MotionLimits":
        """Those of some values; (A,) bool says of which."""
        return MotionLimits(
            np.where(which, self.velocity, np.inf),
            np.where(which, self.acceleration, np.inf),
            np.where(which, self.lower, -np.inf),
            np.where(which, self.upper, np.inf),
        )

    def with_steps(self, dt_s: float) -> "MotionLimits":
        """For motions that are made of steps of constant acceleration, dt apart.

        Where no acceleration is given, but a velocity, it may be turned round within one step.
        """
        usual = np.where(np.isfinite(self.velocity), 2 * self.velocity / dt_s, np.inf)
        return replace(
            self, acceleration=np.where(np.isfinite(self.acceleration), self.acceleration, usual)
        )


def follow(
    position: np.ndarray,
    velocity: np.ndarray,
    target: np.ndarray,
    speed: np.ndarray,
    dt_s: float,
    limits: MotionLimits,
) -> tuple[np.ndarray, np.ndarray]:
    """One step towards a target that moves.

    The acceleration is constant within the step, so that the limits hold between its ends too. It
    is the largest that leaves room to be as fast as the target when it is reached, and at rest
    where the range ends. A value without an acceleration's limit goes there in a straight line.

    Args:
        position: (A,) what is commanded now.
        velocity: (A,) how fast that moves, per second.
        target: (A,) where to be after the step.
        speed: (A,) how fast the target moves then.
        dt_s: length of the step.
        limits: of the A values.

    Returns:
        (A,) position and velocity after the step.
    """
    has_none = ~np.isfinite(limits.acceleration)
    most = np.where(has_none, 1.0, limits.acceleration)
    change = most * dt_s
    halfway = position + velocity * dt_s / 2
    distance = target - halfway - speed * dt_s / 2
    # Far away as fast as it can brake from; near by half of the way, and the other half next.
    closing = np.minimum(np.abs(distance) / dt_s, _brakes_in(np.abs(distance), most, change))
    after = speed + np.sign(distance) * closing
    after = np.minimum(after, _room(limits.upper - position, velocity, most, dt_s))
    after = np.maximum(after, -_room(position - limits.lower, -velocity, most, dt_s))
    after = np.clip(after, -limits.velocity, limits.velocity)
    after = np.clip(after, velocity - change, velocity + change)
    shaped = halfway + after * dt_s / 2

    farthest = limits.velocity * dt_s
    straight = position + np.clip(target - position, -farthest, farthest)
    return (
        np.where(has_none, straight, shaped),
        np.where(has_none, (straight - position) / dt_s, after),
    )


def braking_ends_at(
    position: np.ndarray, velocity: np.ndarray, limits: MotionLimits
) -> np.ndarray:
    """(A,) where it comes to rest if it brakes now; where it is, without an acceleration."""
    way = np.abs(velocity) * velocity / (2 * limits.acceleration)
    return np.clip(position + way, np.minimum(limits.lower, position),
                   np.maximum(limits.upper, position))  # fmt: skip


def _brakes_in(distance: np.ndarray, most: np.ndarray, change: np.ndarray) -> np.ndarray:
    """The highest speed after a step from which the rest of a way is enough to brake.

    Of v² / 2a = d - v dt / 2, where d is what is left of it if the speed were 0 by then.
    """
    return (np.sqrt(change**2 + 8 * most * distance) - change) / 2


def _room(distance: np.ndarray, velocity: np.ndarray, most: np.ndarray, dt_s: float) -> np.ndarray:
    """The highest speed after a step that passes the end of a range neither in it nor later.

    Args:
        distance: (A,) to the end.
        velocity: (A,) towards it.
        most: (A,) acceleration.
        dt_s: length of the step.
    """
    left = distance - velocity * dt_s / 2
    brakes = np.minimum(left / dt_s, _brakes_in(np.maximum(left, 0.0), most, most * dt_s))
    highest = np.where(left < 0, 2 * left / dt_s, brakes)
    # Where it turns within the step, it turns before the end.
    turns = velocity - velocity**2 * dt_s / (2 * np.maximum(distance, NEAR))
    return np.where((velocity > 0) & (turns < 0), np.minimum(highest, turns), highest)
