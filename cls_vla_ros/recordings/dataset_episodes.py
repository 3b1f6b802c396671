"""Episodes of a LeRobotDataset, and whichever of the two a path is."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from lerobot.utils.constants import ACTION, OBS_STATE

from cls_vla_ros.inference import Observation
from cls_vla_ros.recordings.bag_episodes import BagEpisode
from cls_vla_ros.recordings.episodes import ABOUT, Episode, Event, Frame, Pace, Source
from cls_vla_ros.recordings.open_bag import is_bag
from cls_vla_ros.robot.parameters.parameters import Parameters

if TYPE_CHECKING:
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

PYAV = "pyav"  # lerobot's way to read videos that needs nothing installed beside it


class DatasetEpisode:
    """One episode; see `Episode`. Its pictures are as large as they were stored."""

    def __init__(
        self, dataset: "LeRobotDataset", number: int, about: dict, task: str | None
    ) -> None:
        """Take one out of a dataset.

        Args:
            dataset: on this machine.
            number: of the episode.
            about: what bag_to_dataset wrote of it; {} for a dataset that came otherwise.
            task: the instruction; None for the dataset's.

        Raises:
            ValueError: it has no frames.
        """
        self._dataset, self._about = dataset, about
        of_episode = dataset.meta.episodes[number]
        self._rows = range(of_episode["dataset_from_index"], of_episode["dataset_to_index"])
        if not self._rows:
            raise ValueError(f"episode {number} of {dataset.root} has no frames")
        self.name = about.get("source", f"episode {number}")
        self.task = task or of_episode["tasks"][0]
        events = about.get("events")
        self.events = None if events is None else [Event(**event) for event in events]
        self.skipped: Counter[str] = Counter()

    def frames(self, rate_hz: float | None = None) -> Iterator[Frame]:
        """See `Episode.frames`; their stamps are the recording's where they are known."""
        pace = Pace(rate_hz)
        stamps = self._about.get("stamps_s")
        for k, row in enumerate(self._rows):
            stamp_s = stamps[k] if stamps else k / self._dataset.fps
            if not pace.takes(stamp_s):
                continue
            item = self._dataset[row]
            pictures = {
                name: _to_uint8(item[name].numpy()) for name in self._dataset.meta.camera_keys
            }
            state = item[OBS_STATE].numpy().astype(np.float32)
            action = item[ACTION].numpy().astype(np.float32).reshape(-1)
            yield Frame(Observation(pictures, state, self.task, stamp_s), action)


def _to_uint8(picture: np.ndarray) -> np.ndarray:
    """(3, height, width) float in [0, 1] to (height, width, 3) uint8."""
    return np.ascontiguousarray(np.rint(picture * 255).astype(np.uint8).transpose(1, 2, 0))


def open_episodes(paths: Sequence[Path], parameters: Parameters, source: Source) -> list[Episode]:
    """The episodes of bags and datasets, in the order given.

    Args:
        paths: rosbag2 directories, and folders of LeRobotDatasets.
        parameters: the node's, for bags.
        source: task, and action topic of bags.

    Raises:
        FileNotFoundError: one of them is neither.
        ValueError: one of them cannot be used.
    """
    found: list[Episode] = []
    for path in paths:
        if is_bag(path):
            found.append(BagEpisode(path, parameters, source))
        elif (path / "meta" / "info.json").is_file():
            found += _of_dataset(path, source.task)
        else:
            raise FileNotFoundError(
                f"{path} is neither a rosbag2 directory (metadata.yaml, .mcap, .db3) nor a "
                "LeRobotDataset (meta/info.json)"
            )
    return found


def dataset_class() -> type["LeRobotDataset"]:
    """lerobot's, which a robot that only runs policies need not have.

    Raises:
        ValueError: it is not installed.
    """
    try:
        from lerobot.datasets.lerobot_dataset import LeRobotDataset
    except ImportError as error:
        raise ValueError(
            f"datasets need lerobot's extra: pip install 'lerobot[training]==0.6.1' ({error})"
        ) from error
    return LeRobotDataset


def _of_dataset(root: Path, task: str | None) -> list[Episode]:
    dataset = dataset_class()(f"local/{root.name}", root=root, video_backend=PYAV)
    if missing := {OBS_STATE, ACTION} - set(dataset.features):
        raise ValueError(f"the dataset {root} lacks {sorted(missing)}")
    count = dataset.num_episodes
    about = [{}] * count
    if (root / ABOUT).is_file():
        about = json.loads((root / ABOUT).read_text())["episodes"]
        if len(about) != count:
            raise ValueError(
                f"{root / ABOUT} tells of {len(about)} episodes, the dataset has {count}: it was "
                "changed since bag_to_dataset made it. Make it anew, or remove that file"
            )
    return [DatasetEpisode(dataset, k, about[k], task) for k in range(count)]
