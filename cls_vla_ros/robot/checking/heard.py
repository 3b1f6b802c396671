"""What came on each source while somebody listened, through the node's own buffer."""

from collections import Counter
from dataclasses import dataclass, field

from cls_vla_ros.robot.observation.observation_buffer import (
    NotReadyError,
    ObservationBuffer,
    ObservationLimits,
    Snapshot,
)
from cls_vla_ros.robot.settings import CameraSettings, Settings, SourceSettings
from cls_vla_ros.robot.stamps import NS, to_ns


@dataclass
class Came:
    """Of one source. Times are nanoseconds of ROS time.

    Attributes:
        count: messages.
        first_ns: when the first came.
        last_ns: when the last came.
        stamp_ns: of that one's header; 0 if it has none.
        looks: what it was: size and encoding, or how many joints.
        refused: of those that could not be used, how many for each reason.
    """

    count: int = 0
    first_ns: int = 0
    last_ns: int = 0
    stamp_ns: int = 0
    looks: str = ""
    refused: Counter[str] = field(default_factory=Counter)

    @property
    def rate_hz(self) -> float:
        """From the first to the last; 0 for fewer than two."""
        took_ns = self.last_ns - self.first_ns
        return (self.count - 1) * NS / took_ns if took_ns > 0 else 0.0

    @property
    def age_ms(self) -> float:
        """How old the last was when it came."""
        return (self.last_ns - self.stamp_ns) / 1e6 if self.stamp_ns else 0.0


class Heard:
    """Takes messages as the node does, and tries to make observations of them."""

    def __init__(self, settings: Settings, limits: ObservationLimits, task: str) -> None:
        """Start empty.

        Args:
            settings: which sources.
            limits: what an observation may be.
            task: the instruction.
        """
        self.buffer = ObservationBuffer(settings.cameras, settings.state, limits)
        self.cameras = {camera.name: Came() for camera in settings.cameras}
        self.states = {source.name: Came() for source in settings.state.sources}
        self.snapshot: Snapshot | None = None  # the newest
        self.held: Counter[str] = Counter()  # why there was none, when all had come anew
        self.observations = 0
        self._task = task

    def frame(self, camera: CameraSettings, message, now_ns: int) -> None:
        """A camera's message came, deserialised."""
        came = self.cameras[camera.name]
        self._came(came, message, now_ns)
        if camera.transport == "raw":
            came.looks = f"{message.height} x {message.width} {message.encoding}"
        else:
            came.looks = f"{message.format or 'of no format'}, {len(message.data) / 1024:.0f} KiB"
        self._put(came, self.buffer.put_frame, camera.name, message, now_ns)

    def unreadable(self, camera: CameraSettings, why: str) -> None:
        """A camera's message was none."""
        self.cameras[camera.name].refused[why] += 1

    def state(self, source: SourceSettings, message, now_ns: int) -> None:
        """A message of a source of the state came."""
        came = self.states[source.name]
        self._came(came, message, now_ns)
        came.looks = f"{len(message.name)} joints" if hasattr(message, "name") else source.type
        self._put(came, self.buffer.put_state, source.name, message, now_ns)

    def observe(self, now_ns: int, *, at_the_end: bool = False) -> None:
        """Make an observation if every camera has something new.

        Args:
            now_ns: ROS time.
            at_the_end: with whatever has come; then a reason why there is none is always found.
        """
        if not at_the_end and not self.buffer.wait_for_new_frames(0):
            return
        try:
            snapshot = self.buffer.snapshot(self._task, now_ns)
            if self.snapshot is None:
                self.held.clear()  # at the beginning the sources come one after the other
            self.snapshot = snapshot
            self.observations += 1
        except NotReadyError as reason:
            self.held[str(reason)] += 1

    def _came(self, came: Came, message, now_ns: int) -> None:
        header = getattr(message, "header", None)
        came.first_ns = came.first_ns if came.count else now_ns
        came.last_ns, came.count = now_ns, came.count + 1
        came.stamp_ns = to_ns(header.stamp) if header else 0

    def _put(self, came: Came, put, name: str, message, now_ns: int) -> None:
        has_header = hasattr(message, "header")
        try:
            put(name, message, came.stamp_ns if has_header else now_ns, now_ns)
        except ValueError as error:
            came.refused[str(error)] += 1
