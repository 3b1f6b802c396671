"""What comes in is stored, or refused with a reason; the executor's thread does no more."""

from collections.abc import Callable

from cls_vla_ros.node.health.reporter import Reporter
from cls_vla_ros.node.input.serialized import read_image
from cls_vla_ros.robot.observation.images import ImageError
from cls_vla_ros.robot.observation.observation_buffer import ObservationBuffer
from cls_vla_ros.robot.settings import CameraSettings, SourceSettings
from cls_vla_ros.robot.stamps import to_ns


class Inputs:
    """Callbacks of the sources' subscriptions."""

    def __init__(
        self,
        buffer: ObservationBuffer,
        reporter: Reporter,
        now_ns: Callable[[], int],
    ) -> None:
        """Store into a buffer.

        Args:
            buffer: of the observations.
            reporter: is told what was refused.
            now_ns: ROS time.
        """
        self._buffer, self._reporter = buffer, reporter
        self._now_ns = now_ns

    def frame(self, camera: CameraSettings, data: bytes) -> None:
        """A camera's message came, serialised."""
        try:
            message = read_image(data, camera.transport)
        except ImageError as error:
            self._reporter.refused(camera.topic, str(error))
        else:
            self._store(camera.topic, message, self._buffer.put_frame, camera.name)

    def state(self, source: SourceSettings, message) -> None:
        """A message of a source of the state came."""
        self._store(source.topic, message, self._buffer.put_state, source.name)

    def _store(self, topic: str, message, put: Callable, *first) -> None:
        now_ns = self._now_ns()
        header = getattr(message, "header", None)  # a Twist has none, and is as old as it looks
        try:
            note = put(*first, message, to_ns(header.stamp) if header else now_ns, now_ns)
        except ValueError as error:
            self._reporter.refused(topic, str(error))
        else:
            if note:
                self._reporter.note(topic, note)
