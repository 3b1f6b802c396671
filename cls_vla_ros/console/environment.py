"""Whether what pip installs is there, before a command imports it."""

import sys
from importlib.util import find_spec

NEEDED = ("torch", "lerobot", "rosbags")  # of requirements/runtime.txt, those that are no ROS
NEEDED_BY = {  # a node may have its policy elsewhere: requirements/robot.txt
    "policy_node": ("rosbags",),
    "serve_policy": (*NEEDED, "ray", "msgpack"),
}


def check_environment() -> None:
    """End with what to do where they are not; Python alone would say a module's name.

    A workspace's commands run in whatever Python a terminal has: a new one has ROS's.
    """
    command = sys.argv[0].rpartition("/")[2]
    needed = NEEDED_BY.get(command, NEEDED)
    if missing := [name for name in needed if find_spec(name) is None]:
        more = " -r requirements/serve.txt" if command == "serve_policy" else ""
        sys.exit(
            f"{command}: {sys.executable} has no {', '.join(missing)}. In "
            "each new terminal first `. .venv/bin/activate`, then `. install/setup.bash`. Where "
            f"there is no .venv yet: `pip install -r requirements/runtime.txt{more} -c "
            "requirements/constraints.txt` in one (README)"
        )
