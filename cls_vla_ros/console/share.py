"""Where the installed package keeps its data."""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory


def share(*parts: str) -> Path:
    """A file of the package's share folder; its path in parts."""
    return Path(get_package_share_directory("cls_vla_ros"), *parts)
