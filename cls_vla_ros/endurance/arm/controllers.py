"""Controllers of ros2_control in simulated time, by what the real ones are known to do.

No DDS: whoever sends calls `take`. Times are nanoseconds of the simulated ROS time.
"""

from itertools import pairwise

import numpy as np

from cls_vla_ros.robot.stamps import NS, to_ns

Knot = tuple[int, list[np.ndarray]]  # when; position, and velocity and acceleration if given


class PositionController:
    """forward_command_controller: what came last is what the joints get."""

    def __init__(self, joints: list[str], position: np.ndarray) -> None:
        """Active, and holding.

        Args:
            joints: its own, in its order.
            position: (J,) where they are.
        """
        self.joints, self.command = joints, position.copy()
        self.is_active = True

    def activate(self, position: np.ndarray) -> None:
        """Begin where the joints are."""
        self.command, self.is_active = position.copy(), True

    def take(self, message, now_ns: int) -> None:
        """A Float64MultiArray, or a JointState, by name."""
        if self.is_active:
            self.command = values_of(message, self.joints)

    def update(self, now_ns: int, position: np.ndarray, velocity: np.ndarray) -> None:
        """A cycle: nothing is due."""


class TrajectoryController:
    """joint_trajectory_controller of Jazzy, with position commands.

    Attributes:
        command: (J,) for the end of this cycle.
        refused: why it did not take each of the trajectories that it did not take.
        refuses: whether it takes none at present, as one whose tolerances are violated.
    """

    def __init__(
        self, joints: list[str], position: np.ndarray, period_s: float, *, from_desired: bool
    ) -> None:
        """Active, and holding.

        Args:
            joints: its own, in its order.
            position: (J,) where they are.
            period_s: of a cycle.
            from_desired: interpolate_from_desired_state: whether a new trajectory begins where
                the old one was, and not where the joints are.
        """
        self.joints, self.refused, self.refuses = joints, [], False
        self._period_ns, self._from_desired = round(period_s * NS), from_desired
        self.activate(position)

    def activate(self, position: np.ndarray) -> None:
        """Hold where the joints are."""
        self.is_active, self.command = True, position.copy()
        self._desired = [position.copy(), np.zeros_like(position), np.zeros_like(position)]
        self._knots: list[Knot] = []
        self._is_new = False

    def take(self, message, now_ns: int) -> None:
        """A JointTrajectory; it takes the place of the last one at the next cycle."""
        if not self.is_active:
            return
        problem = self._problem(message, now_ns)
        if problem or self.refuses:
            self.refused.append(problem)
            return
        stamp_ns = to_ns(message.header.stamp) or now_ns
        order = [list(message.joint_names).index(joint) for joint in self.joints]
        self._knots = [
            (
                stamp_ns + _duration_ns(point),
                [
                    np.array(values)[order]
                    for values in (point.positions, point.velocities, point.accelerations)
                    if len(values)
                ],
            )
            for point in message.points
        ]
        self._is_new = True

    def _problem(self, message, now_ns: int) -> str:
        names, points = list(message.joint_names), message.points
        if set(names) != set(self.joints) or len(names) != len(self.joints) or not points:
            return f"joints {names}, {len(points)} points"
        times = [_duration_ns(point) for point in points]
        if any(after <= before for before, after in pairwise(times)):
            return "its times do not rise"
        stamp_ns = to_ns(message.header.stamp)
        if stamp_ns and stamp_ns + times[-1] < now_ns:
            return "it ends in the past"
        if any(abs(v) > 1e-9 for v in points[-1].velocities):
            return "it ends in motion"
        numbers = [v for p in points for v in (*p.positions, *p.velocities)]
        return "" if np.isfinite(numbers).all() else "it has NaN"

    def update(self, now_ns: int, position: np.ndarray, velocity: np.ndarray) -> None:
        """A cycle.

        Args:
            now_ns: when it begins.
            position: (J,) measured.
            velocity: (J,) likewise.
        """
        if self._is_new:
            measured = [position.copy(), velocity.copy()]
            self._knots.insert(0, (now_ns, self._desired if self._from_desired else measured))
            # A trajectory that began in the past goes on from where it would be by now.
            past = [k for k in self._knots[1:] if k[0] <= now_ns]
            if past:
                del self._knots[: len(past)]
            self._is_new = False
        if self._knots:
            self._desired = _sample(self._knots, now_ns + self._period_ns)
            self.command = self._desired[0]


def values_of(message, joints: list[str]) -> np.ndarray:
    """(J,) positions of a command."""
    if not hasattr(message, "name"):
        return np.array(message.data)
    return np.array([message.position[list(message.name).index(joint)] for joint in joints])


def _duration_ns(point) -> int:
    return point.time_from_start.sec * NS + point.time_from_start.nanosec


def _sample(knots: list[Knot], at_ns: int) -> list[np.ndarray]:
    """Position, velocity and acceleration at a time: a spline of what both its ends have."""
    if at_ns >= knots[-1][0]:
        position = knots[-1][1][0]
        return [position, np.zeros_like(position), np.zeros_like(position)]
    before, after = next((a, b) for a, b in pairwise(knots) if at_ns < b[0])
    span_s, t = (after[0] - before[0]) / NS, max(0, at_ns - before[0]) / NS
    order = min(len(before[1]), len(after[1]))
    if order == 1:
        speed = (after[1][0] - before[1][0]) / span_s
        return [before[1][0] + speed * t, speed, np.zeros_like(speed)]
    # The polynomial of least degree with these values and derivatives at both ends.
    rows, values = [], []
    for time_s, (_, state) in ((0.0, before), (span_s, after)):
        for derivative in range(order):
            rows.append(_powers(time_s, 2 * order, derivative))
            values.append(state[derivative])
    coefficients = np.linalg.solve(np.array(rows), np.array(values))  # (2 order, J)
    return [_powers(t, 2 * order, derivative) @ coefficients for derivative in range(3)]


def _powers(t: float, count: int, derivative: int) -> np.ndarray:
    """Of each power of t its derivative: the row of a polynomial's coefficients."""
    row = np.zeros(count)
    for power in range(derivative, count):
        factor = np.prod([power - n for n in range(derivative)]) if derivative else 1.0
        row[power] = factor * t ** (power - derivative)
    return row
