"""`ros2 run cls_vla_ros policy_node`: says something, and hears Ctrl-C, from the first moment.

torch and lerobot take seconds to import, tens of them on a small computer: they are imported once
that has been said.
"""

import os
import signal
import sys


def main(args: list[str] | None = None) -> None:
    """Run the node until SIGINT or SIGTERM, and exit 0 then."""
    # Not as an exception: it would come up somewhere inside an import, which may well catch it.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(0))
    print("policy_node: importing torch and lerobot, which takes some seconds", flush=True)
    from cls_vla_ros.node.spin import run

    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.exit(run(args))
