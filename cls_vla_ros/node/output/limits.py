"""The limits in force: the parameters', and those of a robot_description once it has come."""

import numpy as np
from std_msgs.msg import String

from cls_vla_ros.node.health.reporter import Reporter
from cls_vla_ros.robot.action.check_settings import given_limits
from cls_vla_ros.robot.action.joint_limits import JointLimits
from cls_vla_ros.robot.action.outputs import ValueTable
from cls_vla_ros.robot.action.shaping import MotionLimits
from cls_vla_ros.robot.joints import ros_unit
from cls_vla_ros.robot.settings import Settings


class Limits:
    """Of the action values.

    Attributes:
        joints: what a chunk is held against; None until a robot_description has come that is
            waited for.
        motion: what commands follow a chunk within.
    """

    def __init__(self, settings: Settings, table: ValueTable, reporter: Reporter) -> None:
        """From the parameters.

        Args:
            settings: of the actions and their limits.
            table: what the outputs say of each action value.
            reporter: is told of a bad robot_description.

        Raises:
            ValueError: the limits contradict each other.
        """
        self._settings, self._table, self._reporter = settings, table, reporter
        self._given, names = given_limits(settings), settings.action.names
        units = [ros_unit(unit) for unit in settings.action.units]
        turns = settings.limits.continuous
        try:
            given = JointLimits.of(names, units, **self._given, continuous=turns)
        except ValueError as error:
            raise ValueError(f"limits: {error}") from None
        self.joints: JointLimits | None = None
        self.motion = MotionLimits.none(len(names))
        if not settings.limits.from_robot_description:
            self._use(given)

    def take_robot_description(self, message: String) -> bool:
        """Read the limits out of a URDF; a bad one leaves those of a good one.

        Args:
            message: of the topic robot_description.

        Returns:
            Whether there are others now.
        """
        settings = self._settings
        try:
            limits = JointLimits.from_urdf_and_given(
                message.data,
                settings.action.names,
                self._table.urdf_names,
                self._given,
                settings.limits.continuous,
            )
        except ValueError as error:
            self._reporter.refused("robot_description", str(error))
            return False
        self._use(limits)
        return True

    def _use(self, limits: JointLimits) -> None:
        farthest = self._table.step / self._settings.action.dt_s
        velocity = np.minimum(limits.velocity, farthest)
        motion = MotionLimits(velocity, limits.acceleration, limits.lower, limits.upper)
        self.motion = motion.of(self._table.is_position)
        self.joints = limits
