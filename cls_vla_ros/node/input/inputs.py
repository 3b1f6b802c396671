"""What comes in is stored, or refused with a reason; the executor's thread does no more."""

from collections.abc import Callable

from sensor_msgs.msg import JointState

from cls_vla_ros.node.health.reporter import Reporter
from cls_vla_ros.node.input.serialized import read_image
from cls_vla_ros.robot.observation.images import ImageError
from cls_vla_ros.robot.observation.observation_buffer import ObservationBuffer
from cls_vla_ros.robot.settings import CameraSettings
from cls_vla_ros.robot.stamps import to_ns


class Inputs:
    """Callbacks of the sources' subscriptions."""

    def __init__(
        self,
        buffer: ObservationBuffer,
        reporter: Reporter,
        state_topic: str,
        now_ns: Callable[[], int],
    ) -> None:
        """Store into a buffer.

        Args:
            buffer: of the observations.
            reporter: is told what was refused.
            state_topic: for its texts.
            now_ns: ROS time.
        """
        self._buffer, self._reporter = buffer, reporter
        self._state_topic, self._now_ns = state_topic, now_ns

    def frame(self, camera: CameraSettings, data: bytes) -> None:
        """A camera's message came, serialised."""
        try:
            message = read_image(data, camera.transport)
        except ImageError as error:
            self._reporter.refused(camera.topic, str(error))
        else:
            self._store(camera.topic, message, self._buffer.put_frame, camera.name)

    def joint_state(self, message: JointState) -> None:
        """The joints' message came."""
        self._store(self._state_topic, message, self._buffer.put_joint_state)

    def _store(self, topic: str, message, put: Callable, *first) -> None:
        try:
            note = put(*first, message, to_ns(message.header.stamp), self._now_ns())
        except ValueError as error:
            self._reporter.refused(topic, str(error))
        else:
            if note:
                self._reporter.note(topic, note)
