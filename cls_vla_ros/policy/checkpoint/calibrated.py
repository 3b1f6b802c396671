"""What calibration writes into a checkpoint's configuration, where the gate reads it."""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from cls_vla_ros.policy.checkpoint.location import locate


def checkpoint_of(path: str) -> Path:
    """The folder of the checkpoint that is calibrated.

    Raises:
        FileNotFoundError: it is a folder without a checkpoint.
        ValueError: it is not a local one of the type cls_smolvla: nothing could be written to it.
    """
    folder = Path(path).expanduser()
    file = (locate(folder) if folder.is_dir() else folder) / "config.json"
    if not file.is_file():
        raise ValueError(
            f"{path} has no config.json to write to: expected is a checkpoint's folder, with "
            "--policy. One of a hub must be downloaded first"
        )
    kind = json.loads(file.read_text()).get("type")
    if kind != "cls_smolvla":
        raise ValueError(
            f"{path} is of the policy type {kind!r}, which has no CLS head: train one first "
            "(lerobot-train --policy.type=cls_smolvla)"
        )
    return file.parent


def write_calibration(checkpoint: Path, values: Mapping[str, object]) -> None:
    """Put values into a checkpoint's configuration, whole or not at all; keep the rest.

    Args:
        checkpoint: its folder.
        values: fields of CLSSmolVLAConfig, as JSON holds them.
    """
    file = checkpoint / "config.json"
    config = json.loads(file.read_text()) | dict(values)
    with tempfile.NamedTemporaryFile("w", dir=checkpoint, delete=False) as unfinished:
        json.dump(config, unfinished, indent=4)
    os.chmod(unfinished.name, file.stat().st_mode)
    os.replace(unfinished.name, file)
