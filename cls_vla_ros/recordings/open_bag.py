"""Opens a rosbag2 recording, also one whose recorder was killed before it wrote metadata.yaml."""

from pathlib import Path

from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore

METADATA = "metadata.yaml"
STORAGES = (".mcap", ".db3")
# What `ros2 bag reindex` of Humble leaves in the metadata of an MCAP; the file's name says it too.
NO_STORAGE = ('storage_identifier: ""', "storage_identifier: ''")


def is_bag(path: Path) -> bool:
    """Whether a folder is a rosbag2 recording; one without metadata.yaml is too."""
    return (path / METADATA).is_file() or bool(_storages(path))


def open_bag(bag: Path) -> AnyReader:
    """Open a recording; the caller closes it.

    Args:
        bag: a rosbag2 directory (MCAP or SQLite).

    Raises:
        FileNotFoundError: there is no such recording.
        ValueError: it cannot be read; the text says how it is mended.
    """
    if not is_bag(bag):
        raise FileNotFoundError(
            f"{bag} is not a rosbag2 directory: it has no {METADATA}, and no file of "
            f"{' or '.join(STORAGES)}"
        )
    try:
        paths = [bag] if _is_indexed(bag) else _storages(bag) or [bag]
        reader = AnyReader(paths, default_typestore=get_typestore(Stores.ROS2_JAZZY))
        reader.open()
    except Exception as error:  # the storage formats' libraries have no common error
        raise ValueError(
            f"{bag} cannot be read: {error or type(error).__name__}. If its recorder was killed, "
            f"`ros2 bag reindex {bag}` writes its {METADATA} anew, and `mcap recover` saves what "
            "an MCAP holds that was cut off"
        ) from error
    return reader


def _is_indexed(bag: Path) -> bool:
    file = bag / METADATA
    return file.is_file() and not any(text in file.read_text() for text in NO_STORAGE)


def _storages(bag: Path) -> list[Path]:
    return sorted(file for suffix in STORAGES for file in bag.glob(f"*{suffix}"))
