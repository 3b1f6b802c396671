"""The newest value of each field of the state, from all of its sources."""

import numpy as np

from cls_vla_ros.robot.joints import UnitMap
from cls_vla_ros.robot.observation.source_health import SourceHealth, SourceLimits
from cls_vla_ros.robot.observation.state_fields import is_position, read_fields
from cls_vla_ros.robot.settings import StateSettings


class StateValues:
    """Not thread-safe: the ObservationBuffer holds its lock. Times are nanoseconds of ROS time."""

    def __init__(self, state: StateSettings, limits: SourceLimits) -> None:
        """Start empty.

        Args:
            state: the sources, and the order of their values.
            limits: of each source.

        Raises:
            ValueError: units or ranges that cannot be.
        """
        self._names = state.joints
        self._sources = {source.name: source for source in state.sources}
        self.first_source = state.sources[0].name
        self._units = units_of_state(state)
        self._health: dict[str, SourceHealth] = {}  # by value
        self._positions: set[str] = set()
        for source in state.sources:
            whole = SourceHealth(source.topic, limits)
            for name, field in zip(source.names, source.fields, strict=True):
                # Several drivers on one topic are several sources, whose stamps have no common
                # order.
                partial = SourceHealth(f"{source.topic} ({name})", limits)
                self._health[name] = partial if source.allow_partial else whole
                self._positions |= {name} if is_position(field) else set()
        self._values: dict[str, tuple[float, int]] = {}  # ROS units, and stamp
        self._speeds: dict[str, float] = {}  # of joints, per second

    @property
    def healths(self) -> list[SourceHealth]:
        """Of each source once; of each value where a message may lack some."""
        return list(dict.fromkeys(self._health.values()))

    def clear(self) -> None:
        """Forget everything."""
        self._values.clear()
        self._speeds.clear()

    def read(self, source_name: str, message) -> tuple[dict[str, float], dict[str, float]]:
        """See `read_fields`; needs no lock."""
        return read_fields(self._sources[source_name], message)

    def put(
        self, found: dict[str, float], speeds: dict[str, float], stamp_ns: int, now_ns: int
    ) -> str:
        """Store what was read.

        Args:
            found: values by name.
            speeds: velocities of joints, likewise.
            stamp_ns: 0 if the driver does not stamp.
            now_ns: when it came.

        Returns:
            Something to log; empty but for the first stamp of zero.

        Raises:
            StampError: it is out of order, or stamped too far in the future. Nothing is stored.
        """
        note, used_ns = "", stamp_ns
        for health in dict.fromkeys(map(self._health.get, found)):
            used_ns, said = health.arrived(stamp_ns, now_ns)
            health.usable(used_ns)
            note = note or said
        self._values |= {name: (value, used_ns) for name, value in found.items()}
        for name in found:
            self._speeds.pop(name, None)
        self._speeds |= speeds
        return note

    def positions(self, names: list[str]) -> np.ndarray:
        """(A,) in ROS units; NaN for one that has not come, or that is no position."""
        found = {name: self._values[name][0] for name in self._positions & set(self._values)}
        return np.array([found.get(name, np.nan) for name in names])

    def velocities(self, names: list[str]) -> np.ndarray:
        """(A,) of joints, per second; NaN where the driver does not say."""
        return np.array([self._speeds.get(name, np.nan) for name in names])

    @property
    def has_all(self) -> bool:
        """Whether each value has come."""
        return self._values.keys() >= set(self._names)

    def newest(self) -> tuple[np.ndarray, dict[str, int]]:
        """The state, (S,) float32 in policy units, and the stamps by source; all must be there."""
        stamps = {self._health[name].name: self._values[name][1] for name in self._names}
        values = np.array([self._values[name][0] for name in self._names])  # (S,) ROS units
        return self._units.to_policy(values).astype(np.float32), stamps


def units_of_state(state: StateSettings) -> UnitMap:
    """Of the values in the policy's order, which need not be that of the sources."""
    of_names: dict[str, tuple[float, float]] = {}
    for source in state.sources:
        units = UnitMap.of_settings(source)
        both = zip(units.scale, units.offset, strict=True)
        of_names |= dict(zip(source.names, both, strict=True))
    scale, offset = np.array([of_names[name] for name in state.joints]).reshape(-1, 2).T
    return UnitMap(scale, offset)
