"""Cameras and joints of a robot that is not there.

A process of its own, as drivers are. It publishes messages that are serialised already, so that
it takes as little of the machine as a driver in C++, until SIGINT or SIGTERM; then it writes how
many there were, and when.
"""

import argparse
import array
import json
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import rclpy
from rclpy.qos import QoSProfile, qos_profile_sensor_data
from rclpy.serialization import serialize_message
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image, JointState

from cls_vla_ros.robot.stamps import NS

PICTURES = 4  # different ones, so that no camera looks frozen
STAMP = slice(4, 12)  # of a serialised message: sec and nanosec, behind the encapsulation
WAIT_FOR_NODE_S = 60.0
STOP_TIMEOUT_S = 10.0


def main() -> None:
    """Publish until the end."""
    parser = argparse.ArgumentParser(prog="robot_sources", description=__doc__.split("\n")[0])
    parser.add_argument("--cameras", type=int, default=3)
    parser.add_argument("--rate", type=float, default=30.0, help="of each camera, in Hz")
    parser.add_argument("--size", type=int, nargs=2, default=(480, 640), help="height, width")
    parser.add_argument("--joints", nargs="+", required=True, help="their names")
    parser.add_argument("--joint-rate", type=float, default=100.0, help="in Hz")
    parser.add_argument(
        "--joints-ahead-ms",
        type=float,
        default=0.0,
        help="stamp the joint states so far ahead: then the oldest source is a camera",
    )
    parser.add_argument("--out", type=Path, required=True, help="JSON: stamps of the frames")
    args = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    published = publish(rclpy.create_node("robot_sources"), args, stop)
    args.out.write_text(json.dumps(published))
    rclpy.try_shutdown()


@contextmanager
def robot_sources(out: Path, *options: str):
    """The sources as a process; SIGINT at the end, and then `out` is there.

    Args:
        out: JSON: "frames", the stamps of the cameras' frames in ns, (ticks, C), and
            "joint_states", how many.
        options: of its command line.
    """
    command = [sys.executable, "-m", "cls_vla_ros.endurance.robot_sources", "--out", str(out)]
    process = subprocess.Popen([*command, *options], process_group=0)  # Ctrl-C is ours
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def publish(node, args: argparse.Namespace, stop: threading.Event) -> dict:
    """All cameras at once, one after another, as triggered ones do; and the joints."""
    height, width = args.size
    random = np.random.default_rng(0)
    pictures = [
        serialized(
            Image(
                height=height,
                width=width,
                encoding="rgb8",
                step=3 * width,
                data=_array(random.integers(0, 256, height * width * 3, dtype=np.uint8)),
            )
        )
        for _ in range(PICTURES)
    ]
    zeros = [0.0] * len(args.joints)
    state = serialized(JointState(name=args.joints, position=zeros, velocity=zeros))
    reliable = QoSProfile(depth=5)
    cameras = [
        node.create_publisher(Image, f"camera{n}/image", reliable) for n in range(args.cameras)
    ]
    joints = node.create_publisher(JointState, "joint_states", qos_profile_sensor_data)
    deadline = time.monotonic() + WAIT_FOR_NODE_S
    while not all(p.get_subscription_count() for p in (*cameras, joints)):
        if time.monotonic() > deadline or stop.wait(0.05):
            return {"frames": [], "joint_states": 0}
    frames, joint_states = [], 0
    next_frames = next_joints = time.monotonic()
    while not stop.is_set():
        if stop.wait(max(0.0, min(next_frames, next_joints) - time.monotonic())):
            break
        if time.monotonic() >= next_joints:
            joints.publish(stamped(state, time.time_ns() + int(args.joints_ahead_ms * 1e6)))
            joint_states += 1
            next_joints += 1 / args.joint_rate
        if time.monotonic() >= next_frames:
            stamps = []
            for number, camera in enumerate(cameras):
                picture = pictures[(len(frames) + number) % PICTURES]
                stamps.append(time.time_ns())
                camera.publish(stamped(picture, stamps[-1]))
            frames.append(stamps)
            next_frames += 1 / args.rate
    return {"frames": frames, "joint_states": joint_states}


def serialized(message) -> bytearray:
    """A message whose stamp can still be set."""
    return bytearray(serialize_message(message))


def stamped(message: bytearray, stamp_ns: int) -> bytes:
    """The message with this stamp."""
    message[STAMP] = np.array(divmod(stamp_ns, NS), "<u4").tobytes()
    return bytes(message)


def _array(values: np.ndarray) -> array.array:
    return array.array("B", values.tobytes())


if __name__ == "__main__":
    main()
