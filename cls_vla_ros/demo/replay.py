"""`ros2 run cls_vla_ros replay BAG`: play a recording into a running policy node, with /clock.

Start the node with use_sim_time; `ros2 launch cls_vla_ros replay.launch.py` does both. Where
rosbag2 is installed, `ros2 bag play --clock 100 BAG` does the same.
"""

import argparse
import sys
import threading
from contextlib import suppress
from pathlib import Path

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.utilities import remove_ros_args
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from cls_vla_ros.demo.bag_player import BagPlayer
from cls_vla_ros.msg import SceneChange
from cls_vla_ros.node.signals import ignore_further_signals

SUBSCRIBER_TIMEOUT_S = 10.0
INFERENCE_TIMEOUT_S = 5.0


def parse_args(args: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="replay", description="Play a rosbag2 recording with /clock."
    )
    parser.add_argument("bag", type=Path, help="rosbag2 directory (MCAP or SQLite)")
    parser.add_argument(
        "--rate", type=float, default=1.0, help="2 plays twice as fast (default 1)"
    )
    parser.add_argument(
        "--loop", action="store_true", help="begin again at the end; the node sees time jump back"
    )
    parser.add_argument(
        "--lockstep",
        action="store_true",
        help="let the node infer on each set of pictures before the next: the same every time",
    )
    parsed = parser.parse_args(remove_ros_args(args)[1:])
    if not parsed.rate > 0:
        parser.error(f"--rate must be above 0, got {parsed.rate}")
    return parsed


def main() -> None:
    """Play; exit 1 with the reason if that is not possible."""
    args = parse_args(sys.argv)
    rclpy.init(args=sys.argv)
    node = rclpy.create_node("replay")
    inferences = _Inferences(node) if args.lockstep else None
    try:
        player = BagPlayer(node, args.bag)
        if not player.wait_for_subscribers(SUBSCRIBER_TIMEOUT_S):
            node.get_logger().warning(
                "nobody subscribes to the recording's topics; playing all the same"
            )
        _play(player, args, inferences)
    except (OSError, ValueError) as error:
        sys.exit(f"replay: {error}")
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        ignore_further_signals()
        if inferences is not None:
            inferences.close()
        node.destroy_node()
        rclpy.try_shutdown()


class _Inferences:
    """Waits for the node's inferences, one by one."""

    def __init__(self, node: Node) -> None:
        self._node, self._arrived = node, threading.Event()
        node.create_subscription(SceneChange, "scene_change", lambda _: self._arrived.set(), 10)
        self._thread = threading.Thread(target=self._spin)
        self._thread.start()

    def wait(self) -> None:
        """Until there is one more; a node that holds makes none, and is left behind."""
        if not self._arrived.wait(INFERENCE_TIMEOUT_S):
            self._node.get_logger().warning("no inference: see /diagnostics; playing on")
        self._arrived.clear()

    def close(self) -> None:
        """Stop to listen: a thread in rclpy would crash the process at its end."""
        rclpy.try_shutdown()
        self._thread.join()

    def _spin(self) -> None:
        with suppress(ExternalShutdownException):
            rclpy.spin(self._node)


def _play(player: BagPlayer, args: argparse.Namespace, inferences: _Inferences | None) -> None:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.1f} s"),
        TimeElapsedColumn(),
    )
    with Progress(*columns) as progress:
        bar = progress.add_task(f"playing {args.bag.name}", total=player.duration_s)
        # rclpy's signal handler shuts the context down; playing then ends by itself.
        stop = threading.Event()
        rclpy.get_default_context().on_shutdown(stop.set)
        while True:
            player.play(
                rate=args.rate,
                stop=stop,
                after_pictures=inferences.wait if inferences else None,
                on_time=lambda ns: progress.update(bar, completed=(ns - player.start_ns) / 1e9),
            )
            if not args.loop or stop.is_set():
                return


if __name__ == "__main__":
    main()
