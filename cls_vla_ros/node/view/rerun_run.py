"""What `rerun_view` does once Rerun is known to be there."""

import argparse
import math
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import rclpy
import rerun as rr
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import String

from cls_vla_ros.msg import ActionChunk, SceneChange
from cls_vla_ros.node.connections import IMAGE_TYPES, LATCHED_QOS, OUTPUT_QOS
from cls_vla_ros.node.input.serialized import read_image
from cls_vla_ros.node.message_types import type_of
from cls_vla_ros.node.signals import ignore_further_signals
from cls_vla_ros.node.view.changed_places import ChangedPlaces, GlanceMaps
from cls_vla_ros.node.view.rerun_layout import layout
from cls_vla_ros.node.view.rerun_log import RerunLog
from cls_vla_ros.node.view.viewer import Viewer
from cls_vla_ros.recordings.open_bag import open_bag
from cls_vla_ros.robot.parameters.params_file import parameters_of
from cls_vla_ros.robot.settings import Settings

APPLICATION = "cls_vla_ros"
SCENE_CHANGE, ACTION_CHUNK = "cls_vla_ros/msg/SceneChange", "cls_vla_ros/msg/ActionChunk"
DESCRIPTION = "robot_description"
# A picture that comes while another is logged is not worth waiting for.
NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
STATE_QOS = QoSProfile(depth=20, reliability=ReliabilityPolicy.BEST_EFFORT)


def view(args: argparse.Namespace) -> None:
    """Show, or save.

    Args:
        args: of `rerun_view.parse_args`.

    Raises:
        OSError: there is no such params file, recording or URDF.
        ValueError: one of them cannot be used.
    """
    overrides = {"policy.path": args.policy} if args.policy else {}
    with parameters_of(args.params_file, overrides) as parameters:
        settings = parameters.read()
        guard_threshold = parameters.get("cache.guard_threshold")
    say = partial(print, "rerun_view:", flush=True)
    if args.urdf and not args.urdf.is_file():
        raise FileNotFoundError(f"there is no URDF {args.urdf}")
    reader = open_bag(args.bag) if args.bag else None
    recording = rr.RecordingStream(APPLICATION)
    _open(recording, args)

    def show(*, has_robot: bool) -> None:
        names = [camera.name for camera in settings.cameras]
        at_end = reader is None or args.seconds is not None
        blueprint = layout(names, settings.action.names, has_robot=has_robot, at_end=at_end)
        recording.send_blueprint(blueprint)

    def add_robot(urdf: str | Path) -> None:
        viewer.description(urdf, recording)
        show(has_robot=True)

    show(has_robot=False)
    viewer = Viewer(settings, RerunLog(recording), None, say, args.tool)

    def add_places() -> None:
        glance = _glance(settings, say)
        viewer.places = ChangedPlaces(settings.cameras, guard_threshold, glance)

    if args.urdf:
        add_robot(args.urdf)
    if reader is None:
        # Beside it: a checkpoint takes seconds to open, and the robot does not wait.
        threading.Thread(target=add_places, daemon=True).start()
        _live(settings, viewer, add_robot)
    else:
        add_places()
        with closing(reader):
            _of_bag(reader, settings, viewer, add_robot, args.seconds)
    recording.flush()
    if args.save:
        say(f"{args.save} is written: `rerun {args.save}` opens it")


def _open(recording: rr.RecordingStream, args: argparse.Namespace) -> None:
    if args.save:
        recording.save(args.save)
    elif args.connect:
        recording.connect_grpc(args.connect)
    else:
        recording.spawn()


def _glance(settings: Settings, say) -> GlanceMaps | None:
    try:
        return GlanceMaps.of_checkpoint(settings.policy_path)
    except (OSError, ValueError) as error:
        say(f"the places are the frame guard's: {error}")
        return None


def _live(settings: Settings, viewer: Viewer, add_robot: Callable[[str], None]) -> None:
    rclpy.init(args=sys.argv)
    node = Node("rerun_view")

    def now_ns() -> int:
        return node.get_clock().now().nanoseconds

    def frame(camera, data: bytes) -> None:
        viewer.frame(camera.name, read_image(data, camera.transport), now_ns())

    for camera in settings.cameras:
        kind = IMAGE_TYPES[camera.transport]
        node.create_subscription(kind, camera.topic, partial(frame, camera), NEWEST, raw=True)
    for source in settings.state.sources:

        def state(message, name: str = source.name) -> None:
            viewer.state(name, message, now_ns())

        node.create_subscription(type_of(source.type), source.topic, state, STATE_QOS)
    node.create_subscription(ActionChunk, "action_chunk", viewer.chunk, OUTPUT_QOS)
    node.create_subscription(SceneChange, "scene_change", viewer.scene_change, OUTPUT_QOS)
    node.create_subscription(String, DESCRIPTION, lambda m: add_robot(m.data), LATCHED_QOS)
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        ignore_further_signals()
        node.destroy_node()
        rclpy.try_shutdown()


def _of_bag(
    reader,
    settings: Settings,
    viewer: Viewer,
    add_robot: Callable[[str], None],
    seconds: float | None,
) -> None:
    cameras = {c.topic.lstrip("/"): c.name for c in settings.cameras}
    sources: dict[str, list[str]] = {}
    for source in settings.state.sources:
        sources.setdefault(source.topic.lstrip("/"), []).append(source.name)
    seen = {c.msgtype for c in reader.connections}
    if SCENE_CHANGE not in seen:
        raise ValueError(
            "the recording has no scene_change of a policy node: `replay BAG --out FOLDER` leaves "
            "one that has, FOLDER/recording"
        )
    end_ns = math.inf if seconds is None else reader.start_time + seconds * 1e9
    for connection, now_ns, raw in reader.messages():
        if now_ns > end_ns:
            return
        topic = connection.topic.lstrip("/")
        if connection.msgtype == SCENE_CHANGE:
            viewer.scene_change(reader.deserialize(raw, connection.msgtype))
        elif connection.msgtype == ACTION_CHUNK:
            viewer.chunk(reader.deserialize(raw, connection.msgtype))
        elif topic in cameras:
            viewer.frame(cameras[topic], reader.deserialize(raw, connection.msgtype), now_ns)
        elif topic in sources:
            for name in sources[topic]:
                viewer.state(name, reader.deserialize(raw, connection.msgtype), now_ns)
        elif topic.rpartition("/")[2] == DESCRIPTION:
            add_robot(reader.deserialize(raw, connection.msgtype).data)
