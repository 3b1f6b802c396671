"""Plays a recording into a policy node, and keeps what it says."""

import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from cls_vla_ros.demo.bag_player import BagPlayer
from cls_vla_ros.demo.report import Recorded, decision_of
from cls_vla_ros.endurance.node_process import ANSWER_TIMEOUT_S, CONFIGURE_TIMEOUT_S
from cls_vla_ros.endurance.policy_client import PolicyClient
from cls_vla_ros.msg import ActionChunk, SceneChange
from cls_vla_ros.robot.stamps import to_ns

INFERENCE_TIMEOUT_S = 5.0


@dataclass
class Run:
    """What came back while the recording played.

    Attributes:
        scene_changes: in order.
        chunks: in order.
        start_ns: ROS time of the recording's start.
        reset_ns: ROS time at which the reset was called; None if it was not.
        device: where the policy ran, as the node says.
        trained: its CLS head, as the node says.
        task: the instruction that the node followed.
    """

    scene_changes: list[SceneChange] = field(default_factory=list)
    chunks: list[ActionChunk] = field(default_factory=list)
    start_ns: int = 0
    reset_ns: int | None = None
    device: str = ""
    trained: bool = False
    task: str = ""

    def take_from(self, diagnostics: dict[str, str]) -> None:
        """What the node says of itself.

        Args:
            diagnostics: its own, by key; empty if it has said nothing yet.
        """
        self.device = diagnostics.get("device", "unknown")
        self.task = diagnostics.get("task", "")
        self.trained = diagnostics.get("CLS head") == "trained"

    def recorded(self, events: list[dict]) -> Recorded:
        """For the report.

        Args:
            events: of the recording's labels.
        """
        return Recorded(
            self.scene_changes, self.chunks, self.reset_ns, self.start_ns, events, self.trained
        )


def play(
    bag: Path,
    process: subprocess.Popen,
    console: Console,
    *,
    resets: bool = False,
    lockstep: bool = False,
    rate: float = 1.0,
) -> Run:
    """Configure and activate the node, and play the recording to it.

    Args:
        bag: a rosbag2 directory.
        process: the node's.
        console: gets a line for each inference.
        resets: whether the reset service is called in the middle.
        lockstep: whether the node infers on each set of pictures before it gets the next.
        rate: 2 plays twice as fast.

    Raises:
        RuntimeError: a transition failed, or the node does not hear the recording.
        TimeoutError: the node does not answer.
    """
    run = Run()
    heard = threading.Event()
    columns = (
        TextColumn("{task.completed:4.1f} s of {task.total:.1f} s"),
        BarColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("", total=None, visible=False)

        def on_scene_change(message: SceneChange) -> None:
            run.scene_changes.append(message)
            stamp_ns = to_ns(message.header.stamp)
            line = (
                f"{(stamp_ns - run.start_ns) / 1e9:5.2f} s   similarity {message.similarity:6.3f}"
                f"   {decision_of(message):13}   {message.total_ms:4.0f} ms"
            )
            progress.console.print(line, highlight=False)
            progress.update(bar, description=decision_of(message))
            heard.set()

        with PolicyClient(
            on_scene_change,
            run.chunks.append,
            name="demo",
            is_alive=lambda: process.poll() is None,
        ) as client:
            player = BagPlayer(client.node, bag)
            console.print("starting the node and loading the policy ...")
            client.transition("configure", CONFIGURE_TIMEOUT_S)
            client.transition("activate", ANSWER_TIMEOUT_S)
            run.start_ns = player.start_ns
            progress.update(bar, total=player.duration_s, visible=True)
            if not player.wait_for_subscribers(ANSWER_TIMEOUT_S):
                raise RuntimeError(
                    "the node does not subscribe to the recording's topics: see its params file"
                )
            resetter = _Resetter(run, player, client, progress.console.print) if resets else None

            def on_time(stamp_ns: int) -> None:
                progress.update(bar, completed=(stamp_ns - run.start_ns) / 1e9)
                if resetter:
                    resetter.on_time(stamp_ns)

            def wait() -> None:
                if not heard.wait(INFERENCE_TIMEOUT_S):
                    progress.console.print("no inference: the node's log says why; playing on")
                heard.clear()

            player.play(rate=rate, on_time=on_time, after_pictures=wait if lockstep else None)
            progress.update(bar, completed=player.duration_s)
            if resetter:
                resetter.join()
            run.take_from(client.diagnostics)
            client.transition("deactivate", ANSWER_TIMEOUT_S)
            player.close()
    return run


class _Resetter:
    """Calls reset in the middle of a recording; in a thread, since it waits for the answer."""

    def __init__(
        self, run: Run, player: BagPlayer, client: PolicyClient, say: Callable[[str], None]
    ) -> None:
        self._run, self._client, self._say = run, client, say
        self._middle_ns = player.start_ns + int(player.duration_s / 2 * 1e9)
        self._timeout_s = player.duration_s + ANSWER_TIMEOUT_S
        self._middle = threading.Event()
        self._thread = threading.Thread(target=self._reset, daemon=True)
        self._thread.start()

    def on_time(self, stamp_ns: int) -> None:
        if stamp_ns >= self._middle_ns and not self._middle.is_set():
            self._run.reset_ns = stamp_ns
            self._middle.set()

    def join(self) -> None:
        self._thread.join(ANSWER_TIMEOUT_S)

    def _reset(self) -> None:
        if self._middle.wait(self._timeout_s):
            self._say(f"reset: {self._client.reset(ANSWER_TIMEOUT_S)}")
