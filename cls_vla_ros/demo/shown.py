"""What a recording itself shows: pictures round its events, and where the joints were."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cls_vla_ros.recordings.bag_episodes import BagEpisode
from cls_vla_ros.recordings.episodes import Source
from cls_vla_ros.robot.observation.state_values import units_of_state
from cls_vla_ros.robot.parameters.parameters import Parameters

SLACK_S = 1e-3  # of stamps: an event has that of the first frame which shows it


@dataclass(frozen=True)
class Shown:
    """Of one recording.

    Attributes:
        pairs: for each event, the picture before it and the first that shows it, (H, W, 3) uint8
            RGB of the first camera; None where the recording has none.
        stamps_s: (F,) of its frames.
        positions: (F,) of each joint, ROS units, by name.
    """

    pairs: list[tuple[np.ndarray | None, np.ndarray | None]]
    stamps_s: np.ndarray
    positions: dict[str, np.ndarray]


def read_shown(bag: Path, parameters: Parameters, events: list[dict]) -> Shown:
    """Read the recording through the node's own buffer.

    Args:
        bag: a rosbag2 directory.
        parameters: of the node.
        events: of its labels, by time.

    Raises:
        FileNotFoundError: there is no such recording.
        ValueError: it cannot be read, or lacks the parameters' topics.
    """
    settings = parameters.read()
    feature, units = settings.cameras[0].feature, units_of_state(settings.state)
    pairs: list[tuple[np.ndarray | None, np.ndarray | None]] = []
    stamps, states, before = [], [], None
    for frame in BagEpisode(bag, parameters, Source()).frames():
        picture, stamp_s = frame.observation.images[feature], frame.observation.stamp_s
        while len(pairs) < len(events) and (
            events[len(pairs)]["stamp_ns"] / 1e9 <= stamp_s + SLACK_S
        ):
            pairs.append((before, picture))
        before = picture
        stamps.append(stamp_s)
        states.append(units.to_ros(frame.observation.state.astype(np.float64)))
    pairs += [(None, None)] * (len(events) - len(pairs))
    values = np.array(states).reshape(-1, len(settings.state.joints)).T
    positions = dict(zip(settings.state.joints, values, strict=True))
    return Shown(pairs, np.array(stamps), positions)
