"""A simulated arm: joints with inertia that are only so fast, and a gripper that meets things."""

import numpy as np

GAIN_HZ = 25.0  # how stiff a servo is: what is left of an error is gone after 1 / that
DAMPING_HZ = 80.0  # how fast a servo reaches the speed that it wants


class Body:
    """The joints; the last of them is the gripper, which is closed at 0.

    Attributes:
        position: (J,) rad or m.
        velocity: (J,) per second.
        holds: how wide an object between the fingers is; 0 for none.
        blocked: (J,) bool, of joints that lean on something.
    """

    def __init__(
        self,
        position: np.ndarray,
        ends: tuple[np.ndarray, np.ndarray],
        fastest: np.ndarray,
        strongest: np.ndarray,
    ) -> None:
        """At rest.

        Args:
            position: (J,) where.
            ends: (J,) beyond which no joint goes; infinity for one that turns without end.
            fastest: (J,) the most that each joint moves, per second.
            strongest: (J,) the most that it accelerates, per second squared.
        """
        self.position, self.velocity = position.copy(), np.zeros_like(position)
        self.holds, self.blocked = 0.0, np.zeros(len(position), bool)
        self._ends, self._fastest, self._strongest = ends, fastest, strongest

    def step(self, command: np.ndarray, dt_s: float) -> None:
        """Towards a command.

        Args:
            command: (J,) where each servo shall go.
            dt_s: for how long.
        """
        wanted = np.clip((command - self.position) * GAIN_HZ, -self._fastest, self._fastest)
        pull = (wanted - self.velocity) * DAMPING_HZ
        self.velocity += np.clip(pull, -self._strongest, self._strongest) * dt_s
        self.velocity[self.blocked] = 0.0
        self._go(dt_s)

    def move_by_hand(self, velocity: np.ndarray, dt_s: float) -> None:
        """Somebody moves it, whatever is commanded."""
        self.velocity[:] = velocity
        self._go(dt_s)

    def _go(self, dt_s: float) -> None:
        lower, upper = self._ends
        wanted = self.position + self.velocity * dt_s
        self.position = np.clip(wanted, lower, upper)
        self.position[-1] = max(self.position[-1], self.holds)
        self.velocity[self.position != wanted] = 0.0
