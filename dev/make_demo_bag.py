#!/usr/bin/env python3
"""Make bags/demo from a recording: the front camera at half size, all else as it is.

    python dev/make_demo_bag.py RECORDING bags/demo

RECORDING.labels.json lies beside the recording; bags/demo.labels.json gets its events, and the
mean and standard deviation of joint positions and expert actions, with which the demo's policy is
normalised.
"""

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

FRONT, JOINTS, ACTION = "/front_camera/image_raw", "/joint_states", "/expert_action"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recording", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()

    store = get_typestore(Stores.ROS2_JAZZY)
    values: dict[str, list[np.ndarray]] = {JOINTS: [], ACTION: []}
    writer = Writer(args.out, version=9, storage_plugin=StoragePlugin.MCAP)
    writer.set_compression(CompressionMode.MESSAGE, CompressionFormat.ZSTD)
    with AnyReader([args.recording], default_typestore=store) as bag, writer as out:
        topics = {
            c.topic: out.add_connection(c.topic, c.msgtype, typestore=store)
            for c in bag.connections
        }
        for connection, stamp, raw in bag.messages():
            topic = connection.topic
            message = store.deserialize_cdr(raw, connection.msgtype)
            if topic == FRONT:
                message = half_size(message, store)
            elif topic == JOINTS:
                values[JOINTS].append(message.position)
            elif topic == ACTION:
                values[ACTION].append(message.data)
            out.write(topics[topic], stamp, store.serialize_cdr(message, connection.msgtype))

    labels = json.loads(Path(f"{args.recording}.labels.json").read_text())
    labels["stats"] = {
        name: {"mean": np.mean(of, 0).tolist(), "std": np.std(of, 0).tolist()}
        for name, of in (("observation.state", values[JOINTS]), ("action", values[ACTION]))
    }
    Path(f"{args.out}.labels.json").write_text(json.dumps(labels, indent=1) + "\n")


def half_size(message, store):
    picture = message.data.reshape(message.height, message.width, 3)
    smaller = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    height, width = smaller.shape[:2]
    return store.types["sensor_msgs/msg/Image"](
        header=message.header,
        height=height,
        width=width,
        encoding=message.encoding,
        is_bigendian=message.is_bigendian,
        step=width * 3,
        data=smaller.reshape(-1),
    )


if __name__ == "__main__":
    main()
