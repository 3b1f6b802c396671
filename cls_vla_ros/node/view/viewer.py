"""Messages in, what they show into a RerunLog: the same live and from a recording."""

from collections import deque
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cls_vla_ros.inference import Observation
from cls_vla_ros.node.view.changed_places import ChangedPlaces
from cls_vla_ros.node.view.rerun_log import RerunLog
from cls_vla_ros.node.view.tool_path import RobotModel
from cls_vla_ros.robot.observation.images import compressed_image_to_rgb, image_to_rgb
from cls_vla_ros.robot.observation.state_fields import is_position, read_fields
from cls_vla_ros.robot.observation.state_values import units_of_state
from cls_vla_ros.robot.settings import Settings
from cls_vla_ros.robot.stamps import to_ns

DECODERS = {"raw": image_to_rgb, "compressed": compressed_image_to_rgb}
KEPT = 64  # pictures and states, to find those of an inference


class Viewer:
    """Not thread-safe. What it cannot read it says once, and leaves out.

    Attributes:
        places: may be set while it runs.
    """

    def __init__(
        self,
        settings: Settings,
        log: RerunLog,
        places: ChangedPlaces | None,
        say: Callable[[str], None],
        tool: str = "",
    ) -> None:
        """Connect.

        Args:
            settings: the node's.
            log: where it goes.
            places: what compares pictures; None until it is there, see the attribute.
            say: gets what could not be shown.
            tool: see `RobotModel`.
        """
        self._settings, self._log, self.places = settings, log, places
        self._say, self._tool, self._said = say, tool, set()
        self._units = units_of_state(settings.state)
        self._cameras = {camera.name: camera for camera in settings.cameras}
        self._pictures: dict[str, deque] = {n: deque(maxlen=KEPT) for n in self._cameras}
        self._states: deque[tuple[int, np.ndarray]] = deque(maxlen=KEPT)
        self._values: dict[str, float] = {}  # of the state, ROS units
        self._robot: RobotModel | None = None
        self._joints: dict[str, float] = {}  # as JointStates have them

    def description(self, urdf: str | Path, recording) -> None:
        """A robot_description came, as text or as a file."""
        moved = [n for o in self._settings.action.outputs for n in o.rename or o.names]
        try:
            self._robot = RobotModel(urdf, recording, moved, self._tool)
        except ValueError as error:
            self._once(str(error))

    def frame(self, camera_name: str, message, now_ns: int) -> None:
        """A camera's message came."""
        try:
            picture = DECODERS[self._cameras[camera_name].transport](message)
        except ValueError as error:
            self._once(f"{camera_name}: {error}")
            return
        stamp_ns = to_ns(message.header.stamp) or now_ns
        self._pictures[camera_name].append((stamp_ns, picture))
        self._log.frame(camera_name, stamp_ns, picture)

    def state(self, source_name: str, message, now_ns: int) -> None:
        """A message of a source of the state came."""
        source = next(s for s in self._settings.state.sources if s.name == source_name)
        header = getattr(message, "header", None)
        stamp_ns = (to_ns(header.stamp) if header else 0) or now_ns
        try:
            found, _ = read_fields(source, message)
        except ValueError as error:
            self._once(f"{source.topic}: {error}")
            return
        self._values |= found
        fields = dict(zip(source.names, source.fields, strict=True))
        positions = {name: v for name, v in found.items() if is_position(fields[name])}
        self._log.measured(stamp_ns, positions)
        if set(self._settings.state.joints) <= set(self._values):
            state = np.array([self._values[name] for name in self._settings.state.joints])
            self._states.append((stamp_ns, state))
        if self._robot and source.type == "joint_state":
            self._joints |= dict(zip(message.name, message.position, strict=False))
            self._log.robot(stamp_ns, self._robot, self._joints)

    def chunk(self, message) -> None:
        """An ActionChunk came."""
        self._log.chunk(message)
        if self._robot and self._robot.moves(list(message.names)):
            self._log.tool_path(message, self._robot, self._joints)

    def scene_change(self, message) -> None:
        """A SceneChange came: its pictures are those that were newest at its stamp."""
        self._log.scene_change(message)
        stamp_ns = to_ns(message.header.stamp)
        found = {name: _newest(kept, stamp_ns) for name, kept in self._pictures.items()}
        state = _newest(self._states, stamp_ns)
        places = self.places
        if places is None or state is None or any(picture is None for picture in found.values()):
            return
        pictures = {self._cameras[name].feature: picture for name, picture in found.items()}
        values = self._units.to_policy(state).astype(np.float32)
        observation = Observation(pictures, values, "", stamp_ns / 1e9)
        for name, seen in places.look(observation, message).items():
            self._log.places(name, stamp_ns, seen, found[name])

    def _once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._say(text)


def _newest(kept: deque, stamp_ns: int):
    """What was there at a time; None if nothing was."""
    return next((what for at_ns, what in reversed(kept) if at_ns <= stamp_ns), None)
