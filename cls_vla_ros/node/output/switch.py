"""One output's commands: to its controller, or, until the node may command it, to look at."""

from sensor_msgs.msg import JointState

from cls_vla_ros.node.output.outlet import Sender
from cls_vla_ros.robot.action.outputs import GRIPPERS
from cls_vla_ros.robot.settings import OutputSettings


class Switch:
    """A Sender. The preview of a gripper's goal is a JointState, since an action has no topic."""

    def __init__(self, real: Sender, preview: Sender, output: OutputSettings) -> None:
        """Start with the preview.

        Args:
            real: to the controller.
            preview: of what is only to look at.
            output: from the parameters.
        """
        self._real, self._preview, self._output = real, preview, output
        self.is_real = False

    def publish(self, message) -> None:
        """Send it."""
        if self.is_real:
            self._real.publish(message)
        else:
            self._preview.publish(self._shown(message))

    def _shown(self, message):
        if self._output.type not in GRIPPERS:
            return message
        position = message.command.position
        if isinstance(position, float):
            return JointState(name=self._output.rename, position=[position])
        return message.command
