"""A checkpoint's processors, looked at before lerobot loads them."""

import importlib
import json
from pathlib import Path

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError
from lerobot.processor import ProcessorStep
from lerobot.utils.constants import (
    POLICY_POSTPROCESSOR_DEFAULT_NAME,
    POLICY_PREPROCESSOR_DEFAULT_NAME,
)

TRUSTED = ("lerobot.", "cls_vla_ros.")


def check_processors(path: str | Path) -> None:
    """Are a checkpoint's processors there, and nothing but processors?

    lerobot imports and calls whatever class a step's entry names, with arguments from the same
    file: `subprocess.Popen`, for one. So only its registered steps, and classes of its own and of
    this package that are steps, are let through.

    Args:
        path: a directory, or a hub id.

    Raises:
        FileNotFoundError: there are none.
        ValueError: a step is none, or the file is damaged.
    """
    for name in (POLICY_PREPROCESSOR_DEFAULT_NAME, POLICY_POSTPROCESSOR_DEFAULT_NAME):
        file = find_file(path, f"{name}.json")
        try:
            steps = json.loads(file.read_text())["steps"]
            entries = [(entry.get("registry_name"), entry.get("class")) for entry in steps]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{file.name} of the checkpoint {path} is damaged: expected lerobot's JSON with "
                f"'steps', got {type(error).__name__}: {error}"
            ) from error
        for registered, class_path in entries:
            if registered is None and not _is_trusted_step(class_path):
                raise ValueError(
                    f"{file.name} of the checkpoint {path} asks for the class {class_path!r}, "
                    "which is no processor step of lerobot's: loading it would run code that the "
                    "checkpoint chose. If you trust it, register the step "
                    "(lerobot.processor.ProcessorStepRegistry) and save the processors again"
                )


def find_file(path: str | Path, name: str) -> Path:
    """A processor's file, fetched if it is on a hub; lerobot would only fail to open it.

    Args:
        path: the checkpoint: a directory, or a hub id.
        name: of the file.

    Raises:
        FileNotFoundError: there is none.
    """
    if isinstance(path, Path) or Path(path).is_dir():
        file = Path(path) / name
    else:
        try:
            return Path(hf_hub_download(path, name))
        except EntryNotFoundError:
            file = Path(path) / name
    if not file.is_file():
        raise FileNotFoundError(
            f"the checkpoint {path} has no {name}: without it the observation cannot be "
            "normalised as in training. It was saved by an older lerobot: convert it once with "
            "lerobot's own `python -m lerobot.processor.migrate_policy_normalization "
            "--pretrained-path ...`"
        )
    return file


def _is_trusted_step(class_path: object) -> bool:
    if not isinstance(class_path, str) or not class_path.startswith(TRUSTED):
        return False
    module, _, name = class_path.rpartition(".")
    try:
        step = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        return False
    return isinstance(step, type) and issubclass(step, ProcessorStep)
