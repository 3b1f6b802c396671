"""`replay BAG`: play a recording into a policy node, with /clock.

Into one that runs, with use_sim_time (`ros2 launch cls_vla_ros replay.launch.py` does both.
Where rosbag2 is installed, `ros2 bag play --clock 100 BAG` does the same.) Or, with --out, into
one that it starts by itself in a ROS domain of its own: the node infers on each set of pictures
before the next, and report.json, similarity.png, node.log and the bag `recording` with what it
said are left in that folder. --against compares the report with an earlier one, and exits 1 where
they differ by more than the tolerances: set policy.seed in the params file for that.
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
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from cls_vla_ros.console.arguments import add_params_file
from cls_vla_ros.demo.against import Tolerance, differences, read_report
from cls_vla_ros.demo.bag_player import BagPlayer
from cls_vla_ros.endurance.node_process import own_domain
from cls_vla_ros.msg import SceneChange
from cls_vla_ros.node.signals import ignore_further_signals

SUBSCRIBER_TIMEOUT_S = 10.0
INFERENCE_TIMEOUT_S = 5.0


def parse_args(args: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="replay", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bag", type=Path, help="rosbag2 directory (MCAP or SQLite)")
    parser.add_argument(
        "--rate", type=float, default=1.0, help="2 plays twice as fast (default 1)"
    )
    running = parser.add_argument_group("into a node that runs")
    running.add_argument(
        "--loop", action="store_true", help="begin again at the end; the node sees time jump back"
    )
    running.add_argument(
        "--lockstep",
        action="store_true",
        help="let the node infer on each set of pictures before the next: the same every time",
    )
    own = parser.add_argument_group("into a node that it starts")
    own.add_argument("--out", type=Path, help="folder for report, picture, bag and log")
    add_params_file(own)
    own.add_argument("--policy", help="the checkpoint (default: the params file's)")
    own.add_argument(
        "--task", help="the instruction (default: the recording's, else the params file's)"
    )
    own.add_argument("--against", type=Path, metavar="REPORT", help="an earlier report.json")
    for name, of in (("similarity", "the similarity"), ("action", "a chunk's first step")):
        own.add_argument(
            f"--{name}-tolerance",
            type=float,
            default=getattr(Tolerance, name),
            help=f"by how much {of} may differ (default {getattr(Tolerance, name):g})",
        )
    own.add_argument(
        "--decisions",
        type=float,
        default=Tolerance.decisions,
        help="share of the inferences whose decision may differ (default 0)",
    )
    own.add_argument(
        "--domain-id",
        type=int,
        default=own_domain(),
        help="ROS domain (default: one of 50 to 99, so that it meets no robot of yours)",
    )
    parsed = parser.parse_args(remove_ros_args(args)[1:])
    if not parsed.rate > 0:
        parser.error(f"--rate must be above 0, got {parsed.rate}")
    if parsed.against and not parsed.out:
        parser.error("--against needs --out: the report that is compared is left there")
    if parsed.out and (parsed.loop or parsed.lockstep):
        parser.error("--loop and --lockstep are for a node that runs; with --out it is lockstep")
    return parsed


def main() -> None:
    """Play; exit 1 with the reason if that is not possible."""
    args = parse_args(sys.argv)
    if args.out:
        _by_itself(args)
    else:
        _into_running(args)


def _by_itself(args: argparse.Namespace) -> None:
    # Here, because it brings torch, which takes seconds that playing into a running node need not.
    from cls_vla_ros.demo.own_node import run_own_node

    console = Console()
    try:
        before = read_report(args.against) if args.against else None
    except (OSError, ValueError) as error:
        sys.exit(f"replay: {error}")
    report = run_own_node(args, "replay", console, resets=False, lockstep=True)
    summary = report["summary"]
    console.print(
        f"{summary['inferences']} inferences, {summary['reused']} of them on a reused prefix; "
        f"{summary['scene_changes']} scene changes; report, picture and bag are in {args.out}"
    )
    if before is None:
        return
    tolerance = Tolerance(args.similarity_tolerance, args.action_tolerance, args.decisions)
    if found := differences(before, report, tolerance):
        sys.exit("replay: it is not as it was:\n" + "\n".join(f"- {text}" for text in found))
    console.print(f"[green]as {args.against} has it[/green]")


def _into_running(args: argparse.Namespace) -> None:
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
