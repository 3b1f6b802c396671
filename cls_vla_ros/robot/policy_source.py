"""The policy that the settings name: one that runs here, or a server's."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from cls_vla_ros.policy.checkpoint.dataset_stats import Seen
from cls_vla_ros.robot.check_policy import check_mapping
from cls_vla_ros.robot.settings import Settings

if TYPE_CHECKING:
    from cls_vla_ros.inference import PolicyServer
    from cls_vla_ros.inference.remote.remote_server import RemotePolicyServer


def open_policy(
    settings: Settings, episode: int, session: str, say: Callable[[str], None]
) -> tuple[PolicyServer | RemotePolicyServer, dict[str, Seen]]:
    """Load the checkpoint, or connect to the server that has.

    torch and lerobot are imported for the first alone.

    Args:
        settings: from the parameters.
        episode: number of the one to begin with.
        session: this robot's name, at a server.
        say: gets a line at each stage.

    Returns:
        The policy, and the ranges in its data by feature.

    Raises:
        FileNotFoundError: there is no such checkpoint, or no file with a token.
        ValueError: the policy does not fit the settings, or cannot be used.
        ConnectionError: there is no such server.
    """
    if not settings.policy_server:
        if missing := [name for name in ("torch", "lerobot") if find_spec(name) is None]:
            raise ValueError(
                f"{sys.executable} has no {', '.join(missing)}, which policy.path needs: install "
                "requirements/runtime.txt, or set policy.server in its place (docs/fleet.md)"
            )
        from cls_vla_ros.robot.load_server import load_server, seen_by, with_folder

        settings = with_folder(settings)
        return load_server(settings, episode, say), seen_by(settings)
    from cls_vla_ros.inference.remote.remote_server import RemotePolicyServer

    say(f"connecting to the policy's server {settings.policy_server}")
    server = RemotePolicyServer(
        settings.policy_server,
        session=session,
        token=_token(settings.token_file),
        timeout_s=settings.server_timeout_s,
        jpeg_quality=settings.jpeg_quality,
        seed=settings.seed,
        episode=episode,
        cameras=[camera.feature for camera in settings.cameras],
    )
    try:
        check_mapping(settings, server.config)
    except ValueError:
        server.close()
        raise
    return server, {name: Seen(**seen) for name, seen in server.seen.items()}


def _token(file: str) -> str:
    if not file:
        return ""
    text = Path(file).expanduser().read_text()
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    if len(found := list(filter(None, lines))) != 1:
        raise ValueError(f"policy.token_file {file}: expected one line with a token")
    return found[0]
