"""The newest message of each source, and a snapshot of all of them for one inference.

Callbacks store, the inference thread takes. A message that fails a check never replaces one that
was good.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from cls_vla_ros.inference import Observation
from cls_vla_ros.inference.picture_health import look_at
from cls_vla_ros.robot.observation.images import (
    check_compressed_image,
    check_image,
    compressed_image_to_rgb,
    image_to_rgb,
)
from cls_vla_ros.robot.observation.source_health import SourceHealth, SourceLimits, skew_problem
from cls_vla_ros.robot.observation.state_values import StateValues
from cls_vla_ros.robot.settings import CameraSettings, StateSettings
from cls_vla_ros.robot.stamps import NS

CHECKS = {"raw": check_image, "compressed": check_compressed_image}
DECODERS = {"raw": image_to_rgb, "compressed": compressed_image_to_rgb}


class NotReadyError(Exception):
    """There is no observation; the text says which source is missing, old or broken."""


@dataclass(frozen=True)
class ObservationLimits:
    """What the sources of an observation may be.

    Attributes:
        max_age_s: how old each of them.
        max_skew_s: how far apart.
        frozen_s: how long a camera may send the same bytes.
        black_level: mean brightness below which a picture shows nothing, 0 to 255.
    """

    max_age_s: float
    max_skew_s: float
    frozen_s: float
    black_level: float


@dataclass
class _Camera:
    settings: CameraSettings
    health: SourceHealth
    message: object | None = None  # newest that passed its check, not decoded yet
    message_stamp_ns: int = 0
    picture: np.ndarray | None = None  # newest that could be decoded
    stamp_ns: int = 0
    is_new: bool = False  # a message arrived since the last snapshot


@dataclass(frozen=True)
class Snapshot:
    """One observation with its times.

    Attributes:
        observation: for the policy.
        newest_frame_ns: stamp of the newest camera frame in it.
        oldest_source_ns: stamp of its oldest source.
        problems: topic and reason of each message that was not used.
    """

    observation: Observation
    newest_frame_ns: int
    oldest_source_ns: int
    problems: list[tuple[str, str]] = field(default_factory=list)


class ObservationBuffer:
    """Thread-safe. All stamps are nanoseconds of ROS time."""

    def __init__(
        self, cameras: list[CameraSettings], state: StateSettings, limits: ObservationLimits
    ) -> None:
        """Start empty.

        Args:
            cameras: one for each picture that the policy is run on.
            state: the sources of observation.state, and the order of its values.
            limits: what the sources may be.

        Raises:
            ValueError: units or ranges that cannot be.
        """
        of_camera, of_state = _source_limits(limits)
        self._cameras = {
            camera.name: _Camera(camera, SourceHealth(camera.topic, of_camera))
            for camera in cameras
        }
        self._state = StateValues(state, of_state)
        self._changed = threading.Condition()
        self._limits = limits

    @property
    def limits(self) -> ObservationLimits:
        """What the sources may be; may be replaced while it runs."""
        return self._limits

    @limits.setter
    def limits(self, limits: ObservationLimits) -> None:
        self._limits = limits
        of_camera, of_state = _source_limits(limits)
        for camera in self._cameras.values():
            camera.health.limits = of_camera
        for health in self._state.healths:
            health.limits = of_state

    def clear(self) -> None:
        """Forget everything, as if no message had come yet."""
        with self._changed:
            self._cameras = {
                name: _Camera(camera.settings, camera.health)
                for name, camera in self._cameras.items()
            }
            self._state.clear()
            for health in self._healths():
                health.clear()

    def put_frame(self, camera_name: str, message, stamp_ns: int, now_ns: int) -> str:
        """Store a camera message.

        Args:
            camera_name: whose.
            message: sensor_msgs/Image or CompressedImage.
            stamp_ns: of its header; 0 if its driver does not stamp.
            now_ns: when it came.

        Returns:
            Something to log; empty but for the first stamp of zero.

        Raises:
            ImageError: it cannot be a picture. The previous one stays.
            StampError: it is out of order, or stamped too far in the future. Likewise.
        """
        CHECKS[self._cameras[camera_name].settings.transport](message)
        with self._changed:
            camera = self._cameras[camera_name]
            stamp_ns, note = camera.health.arrived(stamp_ns, now_ns)
            camera.message, camera.message_stamp_ns, camera.is_new = message, stamp_ns, True
            self._changed.notify_all()
        return note

    def put_joint_state(self, message, stamp_ns: int, now_ns: int) -> str:
        """`put_state` for the first source: the only one, in the short form."""
        return self.put_state(self._state.first_source, message, stamp_ns, now_ns)

    def put_state(self, source_name: str, message, stamp_ns: int, now_ns: int) -> str:
        """Store a message of a source of the state.

        Args:
            source_name: which.
            message: of its type.
            stamp_ns: of its header; 0 if its driver does not stamp.
            now_ns: when it came.

        Returns:
            Something to log; empty but for the first stamp of zero.

        Raises:
            JointStateError: it cannot be used. The previous values stay.
            StampError: it is out of order, or stamped too far in the future. Likewise.
        """
        found, speeds = self._state.read(source_name, message)
        with self._changed:
            return self._state.put(found, speeds, stamp_ns, now_ns)

    def wait_for_new_frames(self, timeout_s: float) -> bool:
        """Wait until every camera has delivered a frame since the last snapshot.

        Returns:
            Whether that is so; False after the timeout.
        """
        with self._changed:
            return self._changed.wait_for(self._all_new, timeout_s)

    def _all_new(self) -> bool:
        return all(camera.is_new for camera in self._cameras.values())

    def missing(self) -> str:
        """Which cameras have no new frame, in words."""
        with self._changed:
            names = [c.settings.topic for c in self._cameras.values() if not c.is_new]
        return f"no new frame on {', '.join(names)}" if names else ""

    def positions(self, names: list[str]) -> np.ndarray:
        """Where joints are, (A,) rad, m; NaN for one that has not said, or is no position."""
        with self._changed:
            return self._state.positions(names)

    def state_now(self) -> np.ndarray | None:
        """The newest state, (S,) float32 in policy units; None as long as one has not come."""
        with self._changed:
            return self._state.newest()[0] if self._state.has_all else None

    def state_problem(self, now_ns: int) -> str:
        """Why `positions` does not say where the joints are now; empty if it does."""
        with self._changed:
            healths = self._state.healths
            return "; ".join(text for health in healths for text in health.problems(now_ns))

    def velocities(self, names: list[str]) -> np.ndarray:
        """How fast joints move, (A,) per second; NaN for one whose driver does not say."""
        with self._changed:
            return self._state.velocities(names)

    def to_values(self, now_ns: int) -> dict[str, object]:
        """What /diagnostics says of the sources."""
        values = {}
        for health in self._healths():
            values |= health.to_values(now_ns)
        return values

    def snapshot(self, task: str, now_ns: int) -> Snapshot:
        """The newest of everything.

        Args:
            task: the instruction.
            now_ns: ROS time.

        Raises:
            NotReadyError: a source is missing, too old, frozen, black, or has not been readable,
                or the sources are too far apart.
        """
        with self._changed:
            cameras = list(self._cameras.values())
            undecoded = [(camera, camera.message, camera.message_stamp_ns) for camera in cameras]
            for camera in cameras:
                camera.message, camera.is_new = None, False

        # Decoding takes milliseconds, so it is done without the lock; only this thread touches
        # picture and stamp_ns.
        problems = [
            problem
            for c, message, stamp in undecoded
            if message is not None
            for problem in _decode(c, DECODERS[c.settings.transport], message, stamp)
        ]
        with self._changed:
            bad = [text for health in self._healths() for text in health.problems(now_ns)]
            if not bad:  # a reset may have come while a frame was decoded
                bad = [
                    f"no picture yet on {c.settings.topic}" for c in cameras if c.picture is None
                ]
            if not bad:
                state, stamps = self._state.newest()
        if not bad:
            stamps |= {camera.settings.topic: camera.stamp_ns for camera in cameras}
            bad = [text for text in [skew_problem(stamps, self._limits.max_skew_s)] if text]
        if bad:
            raise NotReadyError("; ".join([*bad, *map(": ".join, problems)]))

        newest_ns = max(camera.stamp_ns for camera in cameras)
        observation = Observation(
            images={camera.settings.feature: camera.picture for camera in cameras},
            state=state,
            task=task,
            stamp_s=newest_ns / NS,
        )
        return Snapshot(observation, newest_ns, min(stamps.values()), problems)

    def _healths(self) -> list[SourceHealth]:
        of_cameras = [camera.health for camera in self._cameras.values()]
        return [*of_cameras, *self._state.healths]


def _source_limits(limits: ObservationLimits) -> tuple[SourceLimits, SourceLimits]:
    """Of a camera, and of joints: those of an arm at rest may well say the same."""
    of_camera = SourceLimits(limits.max_age_s, limits.frozen_s, limits.black_level)
    return of_camera, SourceLimits(limits.max_age_s)


def _decode(
    camera: _Camera, decoder: Callable[[object], np.ndarray], message: object, stamp_ns: int
) -> list[tuple[str, str]]:
    """Decode into the camera; where that fails its last picture stays, and grows old."""
    try:
        camera.picture = decoder(message)
    except ValueError as error:
        return [(camera.settings.topic, str(error))]
    camera.stamp_ns = stamp_ns
    checksum, mean = look_at(camera.picture)
    camera.health.usable(stamp_ns, checksum=checksum, mean=mean)
    return []
