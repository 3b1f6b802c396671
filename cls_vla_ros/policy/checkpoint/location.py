"""Where a checkpoint lies: its own folder, that of the run that made it, or a hub."""

import json
import logging
import re
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.constants import SAFETENSORS_INDEX_FILE, SAFETENSORS_SINGLE_FILE
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from lerobot.utils.constants import CHECKPOINTS_DIR, LAST_CHECKPOINT_LINK, PRETRAINED_MODEL_DIR

logger = logging.getLogger(__name__)

HUB_ID = re.compile(r"[\w-][\w.-]*/[\w.-]+")
# All that a policy needs; not what a run left beside it.
OF_A_POLICY = ("*.json", "*.safetensors", "*.txt", "*.jinja", "*.model")
OF_A_RUN = (f"{CHECKPOINTS_DIR}/*", "training_state/*")
HUB_KWARGS = ("revision", "cache_dir", "token", "force_download", "local_files_only")
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"  # peft's
EXPECTED = (
    "expected a directory with config.json and model.safetensors, the output directory of "
    "lerobot-train, or a hub id such as 'user/my_policy'"
)


def locate(path: str | Path, **hub_kwargs) -> Path:
    """The folder with a checkpoint's config.json and weights, on this machine.

    Args:
        path: that folder, a run's (lerobot-train's --output_dir: its last step is taken, and that
            is said), a step's, or a hub id. What is on a hub is downloaded whole, so that a VLM's
            folder in it is found as in a checkpoint that lies here.
        hub_kwargs: of `HUB_KWARGS`.

    Raises:
        FileNotFoundError: there is no such checkpoint, or it is not whole.
        ValueError: its weights are a pickle.
    """
    given = Path(path).expanduser()
    if not given.exists():
        given = _download(path, hub_kwargs)
    folder = _of_run(given)
    if folder != given:
        logger.info("%s is a training's folder: the checkpoint is %s", path, folder.resolve())
    _check_whole(folder, path)
    return folder


def is_adapter(folder: Path) -> bool:
    """Whether a checkpoint is what peft trained on another one, which it needs."""
    return (folder / ADAPTER_CONFIG).is_file() and not weight_files(folder)


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files with a checkpoint's weights, one or several; none if it has none."""
    single, index = folder / SAFETENSORS_SINGLE_FILE, folder / SAFETENSORS_INDEX_FILE
    if single.is_file():
        return [single]
    if not index.is_file():
        return []
    weight_map = _value(index, "weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ValueError(f"{index} is damaged: expected a weight_map, got {weight_map!r}")
    shards = sorted(set(map(str, weight_map.values())))
    missing = [name for name in shards if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(f"{index} names {missing}, which are not there: copy them too")
    return [folder / name for name in shards]


def base_of(adapter: Path) -> Path:
    """The checkpoint that an adapter was trained on.

    Raises:
        FileNotFoundError: it is not at hand.
    """
    file = adapter / ADAPTER_CONFIG
    name = str(_value(file, "base_model_name_or_path") or "")
    for candidate in (Path(name).expanduser(), adapter / name, adapter.parent / name):
        if name and candidate.is_dir():
            return locate(candidate)
    reason = "it names none"
    if name:
        try:
            return locate(name)
        except FileNotFoundError as error:
            reason = str(error)
    raise FileNotFoundError(
        f"{adapter} is an adapter (LoRA or the like) that was trained on the checkpoint {name!r}, "
        "which is neither here nor to be had from a hub: copy it here, and set "
        f"base_model_name_or_path in {file} to its folder. ({reason})"
    )


def _value(file: Path, key: str) -> object:
    try:
        return json.loads(file.read_text()).get(key)
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{file} is damaged: expected JSON with {key!r}, got {error}") from error


def _download(path: str | Path, hub_kwargs: dict) -> Path:
    if not HUB_ID.fullmatch(str(path)):
        raise FileNotFoundError(f"the checkpoint {path} does not exist: {EXPECTED}")
    kwargs = {key: value for key, value in hub_kwargs.items() if key in HUB_KWARGS}
    try:
        return Path(
            snapshot_download(
                str(path), allow_patterns=OF_A_POLICY, ignore_patterns=OF_A_RUN, **kwargs
            )
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = " ".join(str(error).split())
        raise FileNotFoundError(
            f"the checkpoint {path} is no directory here, and no hub id that loads: {reason}"
        ) from error


def _of_run(given: Path) -> Path:
    if not given.is_dir() or (given / "config.json").is_file():
        return given
    steps = [given / CHECKPOINTS_DIR, given]
    last = [folder / LAST_CHECKPOINT_LINK for folder in steps]
    # Links are lost where a folder was copied by a tool that has none.
    numbered = [step for folder in steps for step in _numbered(folder)]
    for candidate in (given, *last, *numbered):
        if (candidate / PRETRAINED_MODEL_DIR / "config.json").is_file():
            return candidate / PRETRAINED_MODEL_DIR
    return given


def _numbered(folder: Path) -> list[Path]:
    """A run's steps, the newest first."""
    found = [step for step in folder.glob("*") if step.name.isdecimal()]
    return sorted(found, key=lambda step: int(step.name), reverse=True)


def _check_whole(folder: Path, path: str | Path) -> None:
    present = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else "a file"
    has_weights = folder.is_dir() and (
        weight_files(folder) or (is_adapter(folder) and (folder / ADAPTER_WEIGHTS).is_file())
    )
    pickles = [n for n in present if n.endswith(PICKLES)] if folder.is_dir() else []
    if pickles and not has_weights:
        raise ValueError(
            f"the checkpoint {path} has its weights in {pickles}: a pickle runs whatever code it "
            "holds when it is loaded, so only model.safetensors is read. Convert it where you "
            "trust it: load it there with lerobot and call save_pretrained"
        )
    if not folder.is_dir() or not (folder / "config.json").is_file():
        raise FileNotFoundError(
            f"the checkpoint {path} has no config.json: {EXPECTED}; it has {present}"
        )
    if not has_weights:
        raise FileNotFoundError(
            f"the checkpoint {path} has no model.safetensors: {EXPECTED}; it has {present}"
        )
