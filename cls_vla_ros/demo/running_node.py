"""A recording into a node that somebody else has started, and, where asked for, a report of it."""

import argparse
import sys
import threading
import time

import rclpy
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from cls_vla_ros.demo.bag_player import BagPlayer
from cls_vla_ros.endurance.policy_client import PolicyClient
from cls_vla_ros.msg import SceneChange
from cls_vla_ros.node.signals import ignore_further_signals

WAIT_S = 10.0  # for subscribers, where nobody asked to wait for the node
INFERENCE_TIMEOUT_S = 5.0
QUIET_S = 1.0  # without an inference after the recording's end: there comes no more


def play_into_running(args: argparse.Namespace) -> None:
    """Play; exit 1 with the reason if that is not possible.

    Args:
        args: bag, rate, loop, lockstep, when_active, report; and for that params_file, policy.
    """
    rclpy.init(args=sys.argv)
    # rclpy's signal handler shuts the context down; waiting and playing then end by themselves.
    stop = threading.Event()
    rclpy.get_default_context().on_shutdown(stop.set)
    heard = _Heard()
    try:
        labels = _check(args) if args.report else {}
        with PolicyClient(heard.on_scene_change, heard.chunks.append, name="replay") as client:
            player = BagPlayer(client.node, args.bag)
            if args.when_active:
                client.wait_until_active(stop)
            if not stop.is_set() and not player.wait_for_subscribers(WAIT_S):
                client.node.get_logger().warning(
                    "nobody subscribes to the recording's topics; playing all the same"
                )
            _play(player, args, stop, heard.waiting(client) if args.lockstep else None)
            if args.report and not stop.is_set():
                heard.wait_for_the_last()
                _leave(heard, player.start_ns, client.diagnostics, args, labels)
            player.close()
    except (OSError, ValueError) as error:
        sys.exit(f"replay: {error}")
    except (KeyboardInterrupt, RuntimeError):
        if rclpy.ok():  # else Ctrl-C has ended ROS under our hands
            raise
    finally:
        ignore_further_signals()
        rclpy.try_shutdown()


class _Heard:
    """What the node said while the recording played."""

    def __init__(self) -> None:
        self.scene_changes: list[SceneChange] = []
        self.chunks = []
        self._arrived = threading.Event()

    def on_scene_change(self, message: SceneChange) -> None:
        self.scene_changes.append(message)
        self._arrived.set()

    def waiting(self, client: PolicyClient):
        """What waits for one more; a node that holds makes none, and is left behind."""

        def wait() -> None:
            if not self._arrived.wait(INFERENCE_TIMEOUT_S):
                client.node.get_logger().warning("no inference: see /diagnostics; playing on")
            self._arrived.clear()

        return wait

    def wait_for_the_last(self) -> None:
        self._arrived.clear()
        while self._arrived.wait(QUIET_S):
            self._arrived.clear()


def _play(player: BagPlayer, args: argparse.Namespace, stop: threading.Event, wait) -> None:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.1f} s"),
        TimeElapsedColumn(),
    )
    with Progress(*columns) as progress:
        bar = progress.add_task(f"playing {args.bag.name}", total=player.duration_s)
        while not stop.is_set():
            player.play(
                rate=args.rate,
                stop=stop,
                after_pictures=wait,
                on_time=lambda ns: progress.update(bar, completed=(ns - player.start_ns) / 1e9),
            )
            if not args.loop:
                return


# Below, because it brings torch, which takes seconds that playing alone need not.


def _check(args: argparse.Namespace) -> dict:
    from cls_vla_ros.demo.own_node import check

    return check(args)


def _leave(
    heard: _Heard, start_ns: int, diagnostics: dict, args: argparse.Namespace, labels: dict
) -> None:
    from cls_vla_ros.demo.own_node import leave
    from cls_vla_ros.demo.run import Run

    began = time.monotonic()
    args.out = args.report
    args.out.mkdir(parents=True, exist_ok=True)
    run = Run(heard.scene_changes, heard.chunks, start_ns)
    run.take_from(diagnostics)
    report = leave(run, args, labels.get("events", []))
    summary = report["summary"]
    print(
        f"{summary['inferences']} inferences, {summary['reused']} of them on a reused prefix; "
        f"{summary['scene_changes']} scene changes; report, picture and bag are in "
        f"{args.out.resolve()} (written in {time.monotonic() - began:.0f} s)",
        flush=True,
    )
