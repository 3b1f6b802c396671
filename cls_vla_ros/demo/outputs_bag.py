"""A recording once more, with what the policy node said of it: one file for Foxglove and Rerun."""

from pathlib import Path

from rclpy.serialization import serialize_message
from rosbags.interfaces import Connection
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from cls_vla_ros.console.share import share
from cls_vla_ros.demo.played_topics import why_not_played
from cls_vla_ros.demo.report import Recorded
from cls_vla_ros.node.view.values import TOPIC, to_values
from cls_vla_ros.recordings.open_bag import open_bag
from cls_vla_ros.robot.stamps import to_ns

OUTPUTS = ("SceneChange", "ActionChunk")
TOPICS = {
    "/scene_change": "cls_vla_ros/msg/SceneChange",
    "/action_chunk": "cls_vla_ros/msg/ActionChunk",
    f"/{TOPIC}": "sensor_msgs/msg/JointState",
}


def write_outputs_bag(bag: Path, recorded: Recorded, path: Path) -> None:
    """The inputs as they were recorded, and what the node said at the time it was ready.

    Args:
        bag: the recording.
        recorded: what the node said of it.
        path: of the new rosbag2 directory (MCAP); what was there of an earlier run is replaced.

    Raises:
        ValueError: there is something else at the path.
    """
    _make_room(path)
    store = get_typestore(Stores.ROS2_JAZZY)
    for name in OUTPUTS:
        text = share("msg", f"{name}.msg").read_text()
        store.register(get_types_from_msg(text, f"cls_vla_ros/msg/{name}"))
    ready_ns = {
        m.inference_id: to_ns(m.header.stamp) + round(m.total_ms * 1e6)
        for m in recorded.scene_changes
    }
    outputs = [
        (ready_ns.get(m.inference_id, to_ns(m.header.stamp)), topic, m)
        for topic, messages in (
            ("/scene_change", recorded.scene_changes),
            ("/action_chunk", recorded.chunks),
            (f"/{TOPIC}", recorded.chunks),
        )
        for m in messages
    ]
    reader = open_bag(bag)
    try:
        with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
            inputs = [c for c in reader.connections if not why_not_played(c)]
            known: dict[str, Connection] = {
                c.topic: writer.add_connection(c.topic, c.msgtype, typestore=reader.typestore)
                for c in {c.topic: c for c in inputs}.values()
            }
            made = {
                topic: writer.add_connection(topic, kind, typestore=store)
                for topic, kind in TOPICS.items()
            }
            for connection, stamp_ns, raw in reader.messages(connections=inputs):
                writer.write(known[connection.topic], stamp_ns, raw)
            for stamp_ns, topic, message in sorted(outputs, key=lambda output: output[0]):
                what = to_values(message) if topic == f"/{TOPIC}" else message
                writer.write(made[topic], stamp_ns, serialize_message(what))
    finally:
        reader.close()


def _make_room(path: Path) -> None:
    if not path.exists():
        return
    files = sorted(file.name for file in path.iterdir()) if path.is_dir() else [path.name]
    if [name for name in files if name != "metadata.yaml" and not name.endswith(".mcap")]:
        raise ValueError(f"{path} is there, and is no recording of an earlier run: it has {files}")
    for name in files:
        (path / name).unlink()
    path.rmdir()
