"""Whether what pip installs is there, before a command imports it."""

import sys
from importlib.util import find_spec

NEEDED = ("torch", "lerobot", "rosbags")  # of requirements/runtime.txt, those that are no ROS


def check_environment() -> None:
    """End with what to do where they are not; Python alone would say a module's name.

    A workspace's commands run in whatever Python a terminal has: a new one has ROS's.
    """
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        sys.exit(
            f"{sys.argv[0].rpartition('/')[2]}: {sys.executable} has no {', '.join(missing)}. In "
            "each new terminal first `. .venv/bin/activate`, then `. install/setup.bash`. Where "
            "there is no .venv yet: `pip install -r requirements/runtime.txt -c "
            "requirements/constraints.txt` in one (README)"
        )
