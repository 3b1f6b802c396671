"""`ros2 run cls_vla_ros policy_node`: says something, and hears Ctrl-C, from the first moment.

torch and lerobot take seconds to import, tens of them on a small computer: they are imported once
that has been said, and not at all where the policy runs elsewhere (policy.server).
"""

import os
import re
import signal
import sys
from importlib import import_module
from itertools import pairwise
from pathlib import Path

SERVER = re.compile(r"""server['"]?\s*:=?\s*['"]?wss?://""")  # in YAML, or behind -p


def main(args: list[str] | None = None) -> None:
    """Run the node until SIGINT or SIGTERM, and exit 0 then."""
    # Not as an exception: it would come up somewhere inside an import, which may well catch it.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(0))
    if runs_elsewhere(sys.argv if args is None else args):
        print("policy_node: the policy runs elsewhere, torch is not imported", flush=True)
    else:
        print("policy_node: importing torch and lerobot, which takes some seconds", flush=True)
        # Before ROS begins: some of what it imports takes signal handlers for itself.
        import_module("cls_vla_ros.robot.load_server")
    from cls_vla_ros.node.spin import run

    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.exit(run(args))


def runs_elsewhere(args: list[str]) -> bool:
    """Whether the command line, or a params file on it, sets policy.server.

    Where this errs nothing is lost but time: `configure` reads the parameters, and imports what it
    needs.

    Args:
        args: of the command line.
    """
    texts = list(args)
    for flag, file in pairwise(args):
        if flag == "--params-file":
            try:
                texts.append(Path(file).expanduser().read_text())
            except (OSError, UnicodeDecodeError):
                continue  # which ROS will say
    return any(SERVER.search(text) for text in texts)
