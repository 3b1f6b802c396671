"""The newest message of each source, and a snapshot of all of them for one inference.

Callbacks store, the inference thread takes. A message that fails a check never replaces one that
was good.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from cls_vla_ros.inference import Observation
from cls_vla_ros.node.images import (
    check_compressed_image,
    check_image,
    compressed_image_to_rgb,
    image_to_rgb,
)
from cls_vla_ros.node.joints import UnitMap, positions_by_name
from cls_vla_ros.node.settings import CameraSettings, StateSettings
from cls_vla_ros.node.stamps import NS

CLOCKS_DIFFER_S = 60.0  # no source is late by that much: it is another clock
CHECKS = {"raw": check_image, "compressed": check_compressed_image}
DECODERS = {"raw": image_to_rgb, "compressed": compressed_image_to_rgb}


class NotReadyError(Exception):
    """There is no observation; the text says which source is missing, old or broken."""


@dataclass
class _Camera:
    settings: CameraSettings
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

    def __init__(self, cameras: list[CameraSettings], state: StateSettings) -> None:
        """Start empty.

        Args:
            cameras: one for each picture that the policy takes.
            state: the joints of observation.state, in its order.
        """
        self._state = state
        self._units = UnitMap.of(state.joints, state.units, state.lower, state.upper)
        self._cameras = {camera.name: _Camera(camera) for camera in cameras}
        self._joints: dict[str, tuple[float, int]] = {}  # position and stamp by name
        self._changed = threading.Condition()

    def clear(self) -> None:
        """Forget everything, as if no message had come yet."""
        with self._changed:
            self._cameras = {
                name: _Camera(camera.settings) for name, camera in self._cameras.items()
            }
            self._joints.clear()

    def put_frame(self, camera_name: str, message, stamp_ns: int) -> None:
        """Store a camera message.

        Raises:
            ImageError: it cannot be a picture. The previous one stays.
        """
        CHECKS[self._cameras[camera_name].settings.transport](message)
        with self._changed:
            camera = self._cameras[camera_name]
            camera.message, camera.message_stamp_ns, camera.is_new = message, stamp_ns, True
            self._changed.notify_all()

    def put_joint_state(self, message, stamp_ns: int) -> None:
        """Store a sensor_msgs/JointState.

        Raises:
            JointStateError: it cannot be used. The previous positions stay.
        """
        found = positions_by_name(
            message, self._state.joints, allow_partial=self._state.allow_partial
        )
        with self._changed:
            for name, position in found.items():
                self._joints[name] = (position, stamp_ns)

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

    def snapshot(self, task: str, now_ns: int, max_age_s: float) -> Snapshot:
        """The newest of everything.

        Args:
            task: the instruction.
            now_ns: ROS time.
            max_age_s: how old each source may be.

        Raises:
            NotReadyError: a source is missing, too old, or has not been readable.
        """
        with self._changed:
            cameras = list(self._cameras.values())
            undecoded = [(camera, camera.message, camera.message_stamp_ns) for camera in cameras]
            joints = dict(self._joints)
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
        try:
            stamps = self._stamps(cameras, joints)
            _check_ages(stamps, now_ns, max_age_s)
        except NotReadyError as error:
            raise NotReadyError("; ".join([str(error), *map(": ".join, problems)])) from None

        positions = np.array([joints[name][0] for name in self._state.joints])  # (S,) rad, m
        observation = Observation(
            images={camera.settings.feature: camera.picture for camera in cameras},
            state=self._units.to_policy(positions).astype(np.float32),
            task=task,
            stamp_s=max(camera.stamp_ns for camera in cameras) / NS,
        )
        return Snapshot(
            observation,
            newest_frame_ns=max(camera.stamp_ns for camera in cameras),
            oldest_source_ns=min(stamps.values()),
            problems=problems,
        )

    def _stamps(
        self, cameras: list[_Camera], joints: dict[str, tuple[float, int]]
    ) -> dict[str, int]:
        """Stamp of each source; the oldest joint's where one message has them all."""
        absent = [camera.settings.topic for camera in cameras if camera.picture is None]
        if absent:
            raise NotReadyError(f"no picture yet on {', '.join(absent)}")
        topic = self._state.topic
        without = [name for name in self._state.joints if name not in joints]
        if without:
            raise NotReadyError(f"no position yet on {topic} for the joints {', '.join(without)}")
        of_joints = {name: joints[name][1] for name in self._state.joints}
        if self._state.allow_partial:
            of_joints = {f"{topic} ({name})": stamp for name, stamp in of_joints.items()}
        else:
            of_joints = {topic: min(of_joints.values())}
        return {camera.settings.topic: camera.stamp_ns for camera in cameras} | of_joints


def _decode(
    camera: _Camera, decoder: Callable[[object], np.ndarray], message: object, stamp_ns: int
) -> list[tuple[str, str]]:
    """Decode into the camera; where that fails its last picture stays, and grows old."""
    try:
        camera.picture = decoder(message)
    except ValueError as error:
        return [(camera.settings.topic, str(error))]
    camera.stamp_ns = stamp_ns
    return []


def _check_ages(stamps: dict[str, int], now_ns: int, max_age_s: float) -> None:
    """Each stamp must be at most max_age_s away from now, on either side."""
    ages_s = {source: (now_ns - stamp) / NS for source, stamp in stamps.items()}
    bad = [f"{s} is {a:.2f} s old" for s, a in ages_s.items() if a > max_age_s]
    bad += [
        f"{s} is stamped {-a:.2f} s in the future" for s, a in ages_s.items() if -a > max_age_s
    ]
    if not bad:
        return
    text = f"{', '.join(bad)}; observation.max_age_s is {max_age_s:g}"
    if max(map(abs, ages_s.values())) > CLOCKS_DIFFER_S:
        text += (
            ". Two clocks differ: a recording needs use_sim_time and /clock, a second computer NTP"
        )
    raise NotReadyError(text)
