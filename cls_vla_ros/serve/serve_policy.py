"""`serve_policy`: one policy for many robots, by Ray Serve, spoken to as openpi's servers are.

On this machine alone it needs nothing more; other machines are let in with a token and TLS
(docs/fleet.md). Ctrl-C ends it.
"""

import argparse
import signal
import sys
import threading
from pathlib import Path

from cls_vla_ros.engine.names import DTYPES, ENGINES
from cls_vla_ros.serve.application import deploy, start_ray, stop
from cls_vla_ros.serve.settings import ServeSettings, check_exposure, read_tokens


def main() -> None:
    """Serve until SIGINT or SIGTERM; exit 1 with the reason where that cannot begin."""
    args = parse_args(sys.argv[1:])
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    try:
        tls = tls_files(args)
        tokens = read_tokens(args.token_file) if args.token_file else ()
        check_exposure(args.host, has_token=bool(tokens), has_tls=tls is not None)
    except (OSError, ValueError) as error:
        sys.exit(f"serve_policy: {error}")
    settings = ServeSettings(
        policy=args.policy,
        device="cuda" if args.gpus else args.device,
        engine=args.engine,
        dtype=args.dtype,
        num_steps=args.num_steps,
        max_batch=args.max_batch,
        wait_s=args.wait_ms / 1e3,
        max_sessions=args.max_sessions,
        max_rate_hz=args.max_rate_hz,
        tokens=tokens,
    )
    print(f"serve_policy: starting {args.replicas} replicas of {args.policy}", flush=True)
    try:
        start_ray(args.address, args.replicas, dashboard=not args.no_dashboard)
        deploy(
            settings,
            replicas=args.replicas,
            max_replicas=args.max_replicas,
            gpus=args.gpus,
            host=args.host,
            port=args.port,
            tls=tls,
            every_node=args.every_node,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        stop(is_ours=not args.address)
        sys.exit(f"serve_policy: {error}")
    scheme = "wss" if tls else "ws"
    print(f"serve_policy: ready at {scheme}://{args.host}:{args.port}", flush=True)
    if not args.no_dashboard and not args.address:
        print("serve_policy: Ray's dashboard is at http://127.0.0.1:8265", flush=True)
    ended.wait()
    print("serve_policy: ending", flush=True)
    stop(is_ours=not args.address)


def parse_args(args: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="serve_policy",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    default = ServeSettings("demo")
    parser.add_argument("--policy", default="demo", help="checkpoint, hub id, or demo (default)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (127.0.0.1)")
    parser.add_argument("--port", type=int, default=8000, help="likewise (8000)")
    parser.add_argument("--replicas", type=int, default=1, help="copies of the policy (1)")
    parser.add_argument(
        "--max-replicas", type=int, help="as robots come Ray starts up to so many (--replicas)"
    )
    parser.add_argument(
        "--gpus", type=float, default=0.0, help="of each replica; 0.5: two share one (0: none)"
    )
    parser.add_argument("--device", default="auto", help="where --gpus is not given (auto)")
    parser.add_argument("--engine", choices=ENGINES, default="auto")
    parser.add_argument("--dtype", choices=DTYPES, default="auto")
    parser.add_argument("--num-steps", type=int, default=0, help="0: the checkpoint's own")
    parser.add_argument("--max-batch", type=int, default=default.max_batch, help="robots (16)")
    parser.add_argument("--wait-ms", type=float, default=2.0, help="a request for others (2)")
    parser.add_argument(
        "--max-sessions", type=int, default=default.max_sessions, help="robots a replica (64)"
    )
    parser.add_argument("--max-rate-hz", type=float, default=default.max_rate_hz, help="(120)")
    parser.add_argument("--token-file", type=Path, help="with one token a line")
    parser.add_argument("--tls-cert", type=Path, help="certificate chain, PEM")
    parser.add_argument("--tls-key", type=Path, help="its key, PEM")
    parser.add_argument("--address", help="of a Ray cluster, or auto; else one is started here")
    parser.add_argument(
        "--every-node", action="store_true", help="each machine of the cluster listens"
    )
    parser.add_argument("--no-dashboard", action="store_true", help="leave Ray's out")
    return parser.parse_args(args)


def tls_files(args: argparse.Namespace) -> tuple[str, str] | None:
    """Certificate and key.

    Raises:
        ValueError: one without the other, or a file that is not there.
    """
    files = [file for file in (args.tls_cert, args.tls_key) if file is not None]
    if len(files) == 1:
        raise ValueError("--tls-cert and --tls-key belong together")
    if missing := [str(file) for file in files if not file.is_file()]:
        raise ValueError(f"there is no file {', '.join(missing)}")
    return (str(files[0]), str(files[1])) if files else None
