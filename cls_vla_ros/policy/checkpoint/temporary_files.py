"""What lerobot leaves in the folder for temporary files, where nobody takes it away."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def temporary_files_removed() -> Iterator[None]:
    """Temporary files that are made meanwhile go into a folder that is removed at the end.

    lerobot 0.6.1 writes a checkpoint's configuration into one (configs/policies.py,
    `delete=False`) each time it is read: on a robot that is started every day they only grow. It
    is the whole process's: nothing else may make one meanwhile that shall stay.
    """
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix="cls_vla_ros_") as folder:
        tempfile.tempdir = folder
        try:
            yield
        finally:
            tempfile.tempdir = before
