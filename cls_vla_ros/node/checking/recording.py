"""Hears the beginning of a recording in place of a robot."""

from pathlib import Path

from cls_vla_ros.node.checking.robot import Ends
from cls_vla_ros.recordings.bag_episodes import IMAGE_TYPES, STATE_TYPES
from cls_vla_ros.recordings.open_bag import open_bag
from cls_vla_ros.robot.checking.findings import Findings
from cls_vla_ros.robot.checking.heard import Heard
from cls_vla_ros.robot.settings import Settings
from cls_vla_ros.robot.stamps import NS


def listen_to_bag(
    bag: Path, settings: Settings, heard: Heard, findings: Findings, seconds: float
) -> Ends:
    """Hear the first seconds of a recording.

    Args:
        bag: a rosbag2 directory.
        settings: from the parameters.
        heard: gets what was recorded.
        findings: get what it lacks.
        seconds: how long from its start.

    Raises:
        FileNotFoundError: there is no such recording.
        ValueError: it cannot be read.
    """
    ends, now_ns = Ends(), 0
    takers = {c.topic.lstrip("/"): (IMAGE_TYPES[c.transport], c) for c in settings.cameras}
    states = [(s.topic.lstrip("/"), STATE_TYPES[s.type], s) for s in settings.state.sources]
    wanted = {topic: kind for topic, (kind, _) in takers.items()}
    wanted |= {topic: kind for topic, kind, _ in states}
    reader = open_bag(bag)
    try:
        types = {c.topic.lstrip("/"): c.msgtype for c in reader.connections}
        for topic, kind in wanted.items():
            if topic not in types:
                findings.bad.append(
                    f"{bag} has no topic {topic}: it has {', '.join(sorted(types))}"
                )
            elif types[topic] != kind:
                findings.bad.append(
                    f"{topic} is recorded as {types[topic]}, and here it is {kind}: see its "
                    "transport or type in the params file"
                )
        usable = [c for c in reader.connections if wanted.get(c.topic.lstrip("/")) == c.msgtype]
        for connection in usable:
            offered = connection.ext.offered_qos_profiles
            said = offered[0].reliability.name.lower() if offered else "recorded"
            ends.publishers[connection.topic.lstrip("/")] = f"recorded ({said})"
        end_ns = reader.start_time + round(seconds * NS)
        for connection, now_ns, raw in reader.messages(connections=usable, stop=end_ns):
            message = reader.deserialize(raw, connection.msgtype)
            topic = connection.topic.lstrip("/")
            if topic in takers:
                heard.frame(takers[topic][1], message, now_ns)
            else:
                for _, _, source in (s for s in states if s[0] == topic):
                    heard.state(source, message, now_ns)
            heard.observe(now_ns)
    finally:
        reader.close()
    if heard.snapshot is None:
        heard.observe(now_ns, at_the_end=True)
    return ends
