"""Where the installed package keeps its data."""

import sys
from pathlib import Path

PACKAGE = "cls_vla_ros"


def share(*parts: str) -> Path:
    """A file of the package's share folder; its path in parts.

    Where ROS is, colcon installed it, and ament's index knows where. `pip install .` on a machine
    without ROS puts it where Python's environment has its share folder.

    Raises:
        FileNotFoundError: the package was installed neither way.
    """
    try:
        from ament_index_python.packages import get_package_share_directory

        return Path(get_package_share_directory(PACKAGE), *parts)
    except (ImportError, LookupError):  # no ROS here, or not built with it
        folder = Path(sys.prefix, "share", PACKAGE)
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{PACKAGE} is not installed: its data is neither in ament's index nor in {folder}. "
            "Build it with colcon and source install/setup.bash, or `pip install .`"
        )
    return folder.joinpath(*parts)
