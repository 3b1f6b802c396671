"""What a bag says was commanded: one topic of all action values, or several of some each.

A topic of the params file's outputs is read as that output writes it: its names, in its order.
Any other is read by the names of action.names that it has; an array has none, so it must have all
of them, in that order.
"""

from collections.abc import Callable
from operator import attrgetter

import numpy as np
from rosbags.highlevel import AnyReader

from cls_vla_ros.robot.action.outputs import TWISTS
from cls_vla_ros.robot.joints import UnitMap
from cls_vla_ros.robot.settings import OutputSettings, Settings
from cls_vla_ros.robot.stamps import to_ns

JOINT_STATE = "sensor_msgs/msg/JointState"
TRAJECTORY = "trajectory_msgs/msg/JointTrajectory"
ARRAY = "std_msgs/msg/Float64MultiArray"
TWIST, TWIST_STAMPED = "geometry_msgs/msg/Twist", "geometry_msgs/msg/TwistStamped"
ACTION_TYPES = (ARRAY, JOINT_STATE, TRAJECTORY)


class BagActions:
    """The commands of one recording."""

    def __init__(self, topics: str, settings: Settings) -> None:
        """Look at the outputs.

        Args:
            topics: one, or several with commas between them.
            settings: the node's.

        Raises:
            ValueError: no topic, or one twice.
        """
        self._names = settings.action.names
        self._units = UnitMap.of_settings(settings.action)
        names = [topic.strip().lstrip("/") for topic in topics.split(",")]
        if not all(names) or len(set(names)) != len(names):
            raise ValueError(f"the action topics {topics!r} are not names with commas between")
        outputs = {output.topic.lstrip("/"): output for output in settings.action.outputs}
        # Alone, a topic that happens to be an output's may still hold all values.
        self._outputs: dict[str, OutputSettings | None] = {
            name: outputs.get(name) if len(names) > 1 else None for name in names
        }
        self._rows: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    @property
    def wanted(self) -> dict[str, tuple[str, ...]]:
        """The types that each topic may have."""
        return {topic: self._types_of(output) for topic, output in self._outputs.items()}

    @staticmethod
    def _types_of(output: OutputSettings | None) -> tuple[str, ...]:
        is_twist = output is not None and output.type in TWISTS
        return (TWIST, TWIST_STAMPED) if is_twist else ACTION_TYPES

    def read(self, reader: AnyReader, skip: Callable[[str], None]) -> None:
        """Read all of them.

        Args:
            reader: of the recording.
            skip: gets the reason for each message that is not used.

        Raises:
            ValueError: there are values that no topic has.
        """
        for topic, output in self._outputs.items():
            stamps, rows = [], []
            connections = [c for c in reader.connections if c.topic.lstrip("/") == topic]
            for connection, now_ns, raw in reader.messages(connections=connections):
                message = reader.deserialize(raw, connection.msgtype)
                try:
                    rows.append(self._row(message, connection.msgtype, output))
                except ValueError as error:
                    skip(f"message refused: {topic}: {error}")
                    continue
                header = getattr(message, "header", None)
                stamps.append((to_ns(header.stamp) if header else 0) or now_ns)
            order = np.argsort(stamps, kind="stable")
            values = np.array(rows, float).reshape(-1, len(self._names))[order]
            self._rows[topic] = np.array(stamps, np.int64)[order], values
        self._check_whole()

    def at(self, stamp_ns: int, max_skew_ns: float) -> np.ndarray | None:
        """What was done upon a picture: of each topic the first command at or after it.

        Args:
            stamp_ns: of the picture.
            max_skew_ns: how much later a command may be.

        Returns:
            (A,) float32 in policy units; None where one of the topics has none.
        """
        action = np.full(len(self._names), np.nan)
        for stamps, values in self._rows.values():
            k = int(np.searchsorted(stamps, stamp_ns))
            if k >= len(stamps) or stamps[k] - stamp_ns > max_skew_ns:
                return None
            action = np.where(np.isnan(values[k]), action, values[k])
        if np.isnan(action).any():
            return None
        return self._units.to_policy(action[None])[0].astype(np.float32)

    def _check_whole(self) -> None:
        if len(self._rows) < 2:
            return
        said = np.zeros(len(self._names), bool)
        for _, values in self._rows.values():
            said |= ~np.isnan(values).all(axis=0) if len(values) else False
        if missing := [n for n, is_said in zip(self._names, said, strict=True) if not is_said]:
            raise ValueError(
                f"none of the action topics {list(self._rows)} says {missing} of action.names: "
                "name another with --action-topic A,B (a leader's JointState has them by name)"
            )

    def _row(self, message, msgtype: str, output: OutputSettings | None) -> np.ndarray:
        """(A,) in ROS units; NaN for what this topic does not say.

        Raises:
            ValueError: it has another number of values, lacks a joint, or is not finite.
        """
        if output is None:
            mine, theirs = self._names, self._names
        else:
            mine, theirs = output.names, output.rename or output.names
        is_part = len(self._outputs) > 1 and output is None
        if msgtype in (TWIST, TWIST_STAMPED):
            twist = message.twist if msgtype == TWIST_STAMPED else message
            found = {name: float(attrgetter(name)(twist)) for name in theirs}
        elif msgtype == ARRAY:
            found = dict(zip(theirs, _array(message, theirs), strict=True))
        else:
            found = _by_name(message, msgtype, theirs, allow_partial=is_part)
        if not np.isfinite(list(found.values())).all():
            raise ValueError("it holds NaN or infinity")
        row = np.full(len(self._names), np.nan)
        for name, other in zip(mine, theirs, strict=True):
            if other in found:
                row[self._names.index(name)] = found[other]
        return row


def _array(message, names: list[str]) -> np.ndarray:
    values = np.array(message.data, float)
    if values.shape != (len(names),):
        raise ValueError(f"it has {len(values)} values, action.names {len(names)}: {names}")
    return values


def _by_name(message, msgtype: str, names: list[str], *, allow_partial: bool) -> dict[str, float]:
    joints = list(message.name if msgtype == JOINT_STATE else message.joint_names)
    if msgtype == TRAJECTORY and not len(message.points):
        raise ValueError("the trajectory has no points")
    positions = message.position if msgtype == JOINT_STATE else message.points[0].positions
    missing = [name for name in names if name not in joints]
    if missing and (not allow_partial or len(missing) == len(names)):
        raise ValueError(f"it lacks the joints {missing} of action.names; it has {joints}")
    if len(positions) != len(joints):
        raise ValueError(f"it names {len(joints)} joints and has {len(positions)} positions")
    by_name = dict(zip(joints, positions, strict=True))
    return {name: float(by_name[name]) for name in names if name in by_name}
