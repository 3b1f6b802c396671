"""What a server is started with."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ServeSettings:
    """Goes to each replica.

    Attributes:
        policy: a checkpoint's directory, a hub id, or "demo".
        device: "auto", "cpu", "cuda" or "cuda:N"; a replica with a GPU of its own has "cuda".
        engine: see `make_engine`.
        dtype: likewise.
        num_steps: of the denoising; 0 for the checkpoint's own.
        max_batch: robots whose requests are run at once.
        wait_s: how long a request waits for others.
        max_sessions: robots on one replica.
        max_rate_hz: requests of one robot.
        max_message_bytes: of one request.
        idle_s: how long a session without a connection is kept.
        tokens: what a robot must say, any of them; none: nobody is asked.
    """

    policy: str
    device: str = "auto"
    engine: str = "auto"
    dtype: str = "auto"
    num_steps: int = 0
    max_batch: int = 16
    wait_s: float = 0.002
    max_sessions: int = 64
    max_rate_hz: float = 120.0
    max_message_bytes: int = 15 * 2**20  # the proxy takes 16 MiB
    idle_s: float = 60.0
    tokens: tuple[str, ...] = ()


def read_tokens(file: Path) -> tuple[str, ...]:
    """The tokens in a file, one a line; what is behind a # is a comment.

    Raises:
        ValueError: there is none, or one is too short to be a secret.
        OSError: the file cannot be read.
    """
    lines = [line.partition("#")[0].strip() for line in file.read_text().splitlines()]
    tokens = tuple(filter(None, lines))
    if not tokens or min(map(len, tokens)) < 16:
        raise ValueError(
            f"{file}: expected a token of 16 characters or more in each line, as `openssl rand "
            "-hex 32` makes them"
        )
    return tokens


def check_exposure(host: str, *, has_token: bool, has_tls: bool) -> None:
    """Who listens to others than this machine asks for a token, in a connection that nobody reads.

    Raises:
        ValueError: it does not.
    """
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = host == "localhost"
    missing = [
        name
        for name, given in (("--token-file", has_token), ("--tls-cert and --tls-key", has_tls))
        if not given
    ]
    if not is_loopback and missing:
        raise ValueError(
            f"--host {host} lets other machines in, so {' and '.join(missing)} must be given: see "
            "docs/fleet.md. Without them only --host 127.0.0.1 can be served"
        )
