"""A bag as the node sees it: through its own ObservationBuffer and conversions."""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rosbags.highlevel import AnyReader

from cls_vla_ros.recordings.bag_actions import JOINT_STATE, BagActions
from cls_vla_ros.recordings.episodes import Frame, Pace, Source, events_of, labels_of
from cls_vla_ros.recordings.open_bag import open_bag
from cls_vla_ros.robot.observation.observation_buffer import NotReadyError, ObservationBuffer
from cls_vla_ros.robot.parameters.parameters import Parameters
from cls_vla_ros.robot.stamps import NS, to_ns

IMAGE_TYPES = {"raw": "sensor_msgs/msg/Image", "compressed": "sensor_msgs/msg/CompressedImage"}
STATE_TYPES = {
    "joint_state": JOINT_STATE,
    "float64_multi_array": "std_msgs/msg/Float64MultiArray",
    "odometry": "nav_msgs/msg/Odometry",
    "twist": "geometry_msgs/msg/Twist",
    "twist_stamped": "geometry_msgs/msg/TwistStamped",
    "pose_stamped": "geometry_msgs/msg/PoseStamped",
    "wrench": "geometry_msgs/msg/Wrench",
    "wrench_stamped": "geometry_msgs/msg/WrenchStamped",
}
NUMBER = re.compile(r"(?<!\w)\d[\d.]*")


class BagEpisode:
    """One recording; see `Episode`."""

    def __init__(self, bag: Path, parameters: Parameters, source: Source) -> None:
        """Look at its topics.

        Args:
            bag: a rosbag2 directory (MCAP or SQLite).
            parameters: of the node: topics, joints, units, what an observation may be.
            source: task and action topic.

        Raises:
            FileNotFoundError: there is no such recording.
            ValueError: it cannot be read, or has not the topics that the parameters name.
        """
        self._bag, self._settings = bag, parameters.read()
        self._limits = parameters.observation_limits()
        self.name = bag.name
        labels = labels_of(bag)
        self.events = None if labels is None else events_of(labels)
        of_labels = (labels or {}).get("instruction")
        self.task = source.task or of_labels or parameters.get("task")
        self.skipped: Counter[str] = Counter()
        with self._open() as reader:
            types = {c.topic.lstrip("/"): c.msgtype for c in reader.connections}
        wanted = {c.topic: (IMAGE_TYPES[c.transport],) for c in self._settings.cameras}
        wanted |= {s.topic: (STATE_TYPES[s.type],) for s in self._settings.state.sources}
        self._actions = None
        if source.action_topic:
            self._actions = BagActions(source.action_topic, self._settings)
            wanted |= self._actions.wanted
        self._check_topics(types, {name.lstrip("/"): kinds for name, kinds in wanted.items()})

    @contextmanager
    def _open(self) -> Iterator[AnyReader]:
        reader = open_bag(self._bag)
        try:
            yield reader
        finally:
            reader.close()

    def _check_topics(self, types: dict[str, str], wanted: dict[str, tuple[str, ...]]) -> None:
        if missing := sorted(set(wanted) - set(types)):
            raise ValueError(
                f"{self._bag} lacks the topics {missing}; it has {sorted(types)}. Map the cameras "
                "and the state in the params file, the actions with --action-topic"
            )
        for name, kinds in wanted.items():
            if types[name] not in kinds:
                raise ValueError(
                    f"{self._bag}: the topic {name} is {types[name]}; expected is "
                    f"{' or '.join(kinds)}. See transport and topic in the params file"
                )

    def frames(self, rate_hz: float | None = None) -> Iterator[Frame]:
        """See `Episode.frames`: one for each set of new pictures, as the node infers on them."""
        self.skipped.clear()
        settings = self._settings
        with self._open() as reader:
            if self._actions:
                self._actions.read(reader, self._skip)
            buffer = ObservationBuffer(settings.cameras, settings.state, self._limits)
            cameras = {c.topic.lstrip("/"): c for c in settings.cameras}
            leader = settings.cameras[0].name
            sources = {s.topic.lstrip("/"): [] for s in settings.state.sources}
            for source in settings.state.sources:
                sources[source.topic.lstrip("/")].append(source.name)
            topics = {*cameras, *sources}
            connections = [c for c in reader.connections if c.topic.lstrip("/") in topics]
            pace, at_ns, leader_ns = Pace(rate_hz), None, 0
            for connection, now_ns, raw in reader.messages(connections=connections):
                if at_ns is not None and now_ns > at_ns:
                    yield from self._take(buffer, at_ns, leader_ns)
                    at_ns = None
                message = reader.deserialize(raw, connection.msgtype)
                header = getattr(message, "header", None)
                stamp_ns = to_ns(header.stamp) if header else now_ns
                topic = connection.topic.lstrip("/")
                try:
                    if topic in cameras:
                        buffer.put_frame(cameras[topic].name, message, stamp_ns, now_ns)
                        if cameras[topic].name == leader:
                            leader_ns = stamp_ns or now_ns
                    else:
                        for name in sources[topic]:
                            buffer.put_state(name, message, stamp_ns, now_ns)
                except ValueError as error:
                    self._skip(f"message refused: {topic}: {error}")
                if at_ns is None and buffer.wait_for_new_frames(0):
                    at_ns = max(now_ns, round(pace.next_s(now_ns / NS) * NS))
            if at_ns is not None:
                yield from self._take(buffer, at_ns, leader_ns)

    def _take(self, buffer: ObservationBuffer, at_ns: int, leader_ns: int) -> Iterator:
        try:
            snapshot = buffer.snapshot(self.task, at_ns)
        except NotReadyError as reason:
            self._skip(f"no observation: {reason}")
            return
        for topic, problem in snapshot.problems:
            self._skip(f"message refused: {topic}: {problem}")
        max_skew_ns = self._limits.max_skew_s * NS
        action = self._actions.at(leader_ns, max_skew_ns) if self._actions else None
        yield Frame(snapshot.observation, action)

    def _skip(self, reason: str) -> None:
        self.skipped[NUMBER.sub("…", reason)] += 1  # the same reason with other numbers is one
