"""Small recordings, and the params file that maps them to the tiny checkpoint."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

STORE = get_typestore(Stores.ROS2_JAZZY)
JOINTS = ["shoulder", "elbow", "gripper"]
ACTIONS = ["dx", "dy", "dz"]
START_NS, PERIOD_NS = 1_700_000_000 * 10**9, 50_000_000
PARAMETERS = {
    "policy": {"path": "given on the command line", "device": "cpu", "seed": 0},
    "task": "open the drawer",
    "rate_hz": 20.0,
    "cache": {"guard_frozen": False},
    "cameras": ["front", "wrist"],
    "camera": {
        "front": {"topic": "front"},
        "wrist": {"topic": "wrist", "transport": "compressed", "guard": False},
    },
    "state": {"joints": JOINTS, "units": ["deg", "rad", "rad"]},
    "action": {"names": ACTIONS, "units": ["", "deg", ""]},
}


@pytest.fixture
def params_file(tmp_path) -> Path:
    path = tmp_path / "robot.yaml"
    path.write_text(yaml.dump({"/**": {"ros__parameters": PARAMETERS}}))
    return path


def message(kind: str, ns: int | None = None, **fields):
    types = STORE.types
    if ns is not None:
        time = types["builtin_interfaces/msg/Time"](sec=ns // 10**9, nanosec=ns % 10**9)
        fields["header"] = types["std_msgs/msg/Header"](stamp=time, frame_id="")
    return types[kind](**fields)


@dataclass
class Recorded:
    """What is in a bag, by frame; three actions for each."""

    path: Path
    fronts: list = field(default_factory=list)
    positions: list = field(default_factory=list)
    actions: list = field(default_factory=list)


@pytest.fixture
def make_bag(tmp_path):
    def make(
        name="bag",
        frames=12,
        seed=0,
        events=None,
        occluded=(),
        joints_from=0,
        actions_until=None,
        action_kind="std_msgs/msg/Float64MultiArray",
        more_labels=(),
    ) -> Recorded:
        """events: (frame, kind, scene_change), or None for no labels."""
        random = np.random.default_rng(seed)
        made = Recorded(tmp_path / name)
        scene = random.integers(60, 200, (48, 64, 3), dtype=np.uint8)
        kinds = {
            "/front": "sensor_msgs/msg/Image",
            "/wrist": "sensor_msgs/msg/CompressedImage",
            "/joint_states": "sensor_msgs/msg/JointState",
            "/command": action_kind,
        }
        writer = Writer(made.path, version=9, storage_plugin=StoragePlugin.MCAP)
        with writer:
            topics = {t: writer.add_connection(t, k, typestore=STORE) for t, k in kinds.items()}

            def put(topic, ns, what):
                raw = STORE.serialize_cdr(what, kinds[topic])
                writer.write(topics[topic], ns, raw)

            for f in range(frames):
                ns = START_NS + f * PERIOD_NS
                front = np.clip(scene + random.integers(-3, 4, scene.shape), 0, 255).astype("u1")
                if f in occluded:
                    front[10:40, 20:50] = (250, 20, 20)
                made.fronts.append(front)
                put(
                    "/front",
                    ns,
                    message(
                        kinds["/front"],
                        ns,
                        height=48,
                        width=64,
                        encoding="rgb8",
                        is_bigendian=0,
                        step=192,
                        data=front.reshape(-1),
                    ),
                )
                for step in range(3):
                    t = ns + 1_000_000 + step * PERIOD_NS // 3
                    position, action = random.normal(size=3), random.normal(size=3)
                    if step == 0:
                        made.positions.append(position)
                        made.actions.append(action)
                    if f >= joints_from:
                        put(
                            "/joint_states",
                            t,
                            message(
                                kinds["/joint_states"],
                                t,
                                name=JOINTS,
                                position=position,
                                velocity=np.zeros(0),
                                effort=np.zeros(0),
                            ),
                        )
                    if actions_until is None or f < actions_until:
                        put("/command", t, _action(action_kind, t, action))
                jpeg = cv2.imencode(".jpg", np.full((60, 60, 3), 90 + f, np.uint8))[1].reshape(-1)
                put(
                    "/wrist",
                    ns + 2_000_000,
                    message(kinds["/wrist"], ns + 2_000_000, format="jpeg", data=jpeg),
                )
        if events is not None:
            labels = [
                {"frame": f, "stamp_ns": START_NS + f * PERIOD_NS, "kind": k, "scene_change": c}
                for f, k, c in events
            ]
            text = json.dumps({"events": labels, **dict(more_labels)})
            Path(f"{made.path}.labels.json").write_text(text)
        return made

    return make


def _action(kind: str, ns: int, values: np.ndarray):
    backwards, names = values[::-1].copy(), ACTIONS[::-1]
    nothing = np.zeros(0)
    if kind.endswith("JointState"):
        return message(kind, ns, name=names, position=backwards, velocity=nothing, effort=nothing)
    if kind.endswith("JointTrajectory"):
        duration = STORE.types["builtin_interfaces/msg/Duration"](sec=0, nanosec=0)
        point = STORE.types["trajectory_msgs/msg/JointTrajectoryPoint"](
            backwards, nothing, nothing, nothing, duration
        )
        return message(kind, ns, joint_names=names, points=[point])
    layout = STORE.types["std_msgs/msg/MultiArrayLayout"](dim=[], data_offset=0)
    return message(kind, layout=layout, data=values)


@pytest.fixture
def run(monkeypatch, params_file):
    """A tool's main, as from the command line."""

    def call(main, *arguments):
        line = ["tool", "--params-file", params_file, *arguments]
        monkeypatch.setattr("sys.argv", [str(part) for part in line])
        main()

    return call
