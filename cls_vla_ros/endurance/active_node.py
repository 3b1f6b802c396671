"""The policy node as a process, brought to active, with the client that hears it."""

import subprocess
import time
from collections.abc import Callable, Iterator, Sized
from contextlib import contextmanager
from pathlib import Path

from cls_vla_ros.endurance.node_process import (
    ANSWER_TIMEOUT_S,
    CONFIGURE_TIMEOUT_S,
    policy_node,
)
from cls_vla_ros.endurance.policy_client import PolicyClient
from cls_vla_ros.msg import ActionChunk, SceneChange


@contextmanager
def active_node(
    params_file: Path,
    log: Path,
    on_scene_change: Callable[[SceneChange], None],
    on_action_chunk: Callable[[ActionChunk], None],
    *,
    name: str,
) -> Iterator[tuple[subprocess.Popen, PolicyClient]]:
    """Start it, configure and activate it; SIGINT at the end.

    Args:
        params_file: the node's parameters.
        log: file for what it says.
        on_scene_change: called in the client's thread.
        on_action_chunk: likewise.
        name: of the client's node.

    Yields:
        The process, whose exit code is there after the end, and the client.

    Raises:
        RuntimeError: a transition failed, or the node ended by itself.
        TimeoutError: it did not answer.
    """
    with (
        policy_node(params_file, log) as process,
        PolicyClient(
            on_scene_change,
            on_action_chunk,
            name=name,
            is_alive=lambda: process.poll() is None,
        ) as client,
    ):
        client.transition("configure", CONFIGURE_TIMEOUT_S)
        client.transition("activate", ANSWER_TIMEOUT_S)
        yield process, client


def wait_for_first(heard: Sized, process: subprocess.Popen) -> None:
    """Until the first message was heard.

    Args:
        heard: where messages are put.
        process: the node's.

    Raises:
        RuntimeError: the node ended, or nothing came.
    """
    deadline = time.monotonic() + CONFIGURE_TIMEOUT_S
    while not heard:
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("no inference came: the reason is in the node's log")
        time.sleep(0.1)
