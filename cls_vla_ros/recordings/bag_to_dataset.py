"""`bag_to_dataset BAG... --out DIR`: rosbag2 recordings to a LeRobotDataset v3, for lerobot-train.

The params file is the node's, and so are the observations: the same topics, joints, units and
conversions, so that what is trained on is what the node will see. There is a frame for each set of
new pictures; its action is the first of --action-topic at or after its first picture.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from lerobot.utils.constants import ACTION, OBS_STATE
from rich.console import Console

from cls_vla_ros.console.arguments import add_params_file
from cls_vla_ros.console.progress import progress
from cls_vla_ros.policy.configuration_cls_smolvla import CLSSmolVLAConfig
from cls_vla_ros.recordings.bag_episodes import BagEpisode
from cls_vla_ros.recordings.dataset_episodes import dataset_class
from cls_vla_ros.recordings.episodes import ABOUT, Episode, Frame, Reading, Source, frame_period_s
from cls_vla_ros.robot.parameters.params_file import parameters_of
from cls_vla_ros.robot.settings import Settings

if TYPE_CHECKING:
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

NO_ACTION = "no action within observation.max_skew_s after the picture"
SHORT_STEPS = CLSSmolVLAConfig().chunk_size  # what is trained on most: 50
RATE_DIFFERS = 0.02  # of the dataset's fps, which are whole numbers


@dataclass(frozen=True)
class Converted:
    """One episode of the dataset.

    Attributes:
        about: what the dataset's meta/cls_vla_ros.json says of it.
        skipped: what was left out, by reason.
        rate_hz: its frames per second.
        gaps: where frames are missing: steps of more than one and a half periods.
    """

    about: dict
    skipped: Counter[str]
    rate_hz: float
    gaps: int


def main() -> None:
    """Convert; exit 1 with the reason, and nothing half made, if that is not possible."""
    args = parse_args()
    console = Console()
    try:
        dataset_class()  # or say what to install before anything is read
        disable_progress_bars()
        if args.out.exists():
            raise ValueError(f"{args.out} is there already: choose another --out, or remove it")
        # policy.path is for the node; here it may as well be unset.
        with parameters_of(args.params_file, {"policy.path": "not used"}) as parameters:
            source = Source(args.task, args.action_topic)
            episodes = [BagEpisode(bag, parameters, source) for bag in args.bags]
            names = parameters.read()
        args.out.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=".unfinished_", dir=args.out.parent))
        try:
            root = unfinished / "dataset"
            done = convert(episodes, names, root, args, console)
            root.rename(args.out)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    except (OSError, ValueError) as error:
        sys.exit(f"bag_to_dataset: {error}")
    except KeyboardInterrupt:
        sys.exit("bag_to_dataset: stopped; nothing was left behind")
    summarise(done, args, console)


def disable_progress_bars() -> None:
    """Those of the library datasets, one for each episode."""
    import datasets

    datasets.disable_progress_bars()


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bag_to_dataset", description=__doc__.split("\n")[0])
    parser.add_argument("bags", type=Path, nargs="+", metavar="BAG", help="rosbag2 directories")
    parser.add_argument("--out", type=Path, required=True, help="the dataset; must not exist yet")
    parser.add_argument(
        "--action-topic",
        required=True,
        help="what was commanded: Float64MultiArray in the order of action.names, or JointState "
        "or JointTrajectory by their names; in ROS units. Several with commas between: the params "
        "file's outputs as these write them, others by name",
    )
    add_params_file(parser)
    parser.add_argument(
        "--task",
        help="the instruction (default: 'instruction' in BAG.labels.json, else the params file's)",
    )
    parser.add_argument(
        "--fps",
        type=int,
        help="at most so many frames a second (default: every one, and the nearest whole number)",
    )
    parser.add_argument(
        "--picture-size",
        type=int,
        metavar="SIDE",
        help="store pictures as the policy resizes them, to fit a square of this side, without "
        "padding: training is many times quicker (the policy's resize_imgs_with_padding)",
    )
    args = parser.parse_args()
    for name in ("fps", "picture_size"):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1")
    return args


def convert(
    episodes: list[Episode],
    settings: Settings,
    root: Path,
    args: argparse.Namespace,
    console: Console,
) -> list[Converted]:
    """Write the dataset.

    Raises:
        ValueError: an episode has fewer than two frames, or pictures of another size than the
            first.
    """
    done: list[Converted] = []
    dataset = None
    with progress(console) as bars:
        bar = bars.add_task("", total=len(episodes))
        try:
            for episode in episodes:
                bars.update(bar, description=episode.name)
                if dataset is None:
                    dataset = _create(episode, settings, root, args)
                done.append(_add(episode, dataset, args))
                bars.advance(bar)
        finally:
            if dataset is not None:
                dataset.finalize()
    about = {
        "made_by": "bag_to_dataset",
        "action_topic": args.action_topic,
        "picture_size": args.picture_size,
        "episodes": [converted.about for converted in done],
    }
    (root / ABOUT).write_text(json.dumps(about, indent=1) + "\n")
    return done


def _create(
    episode: Episode, settings: Settings, root: Path, args: argparse.Namespace
) -> "LeRobotDataset":
    """An empty dataset for episodes like this one, which is read once for its rate."""
    try:
        period_s = frame_period_s([f.observation.stamp_s for f in episode.frames()])
    except ValueError as error:
        raise ValueError(f"{episode.name}: {error}. {_why(episode.skipped)}") from error
    first = _stored(next(episode.frames()), args.picture_size)
    return dataset_class().create(
        f"local/{args.out.name}",
        args.fps or round(1 / period_s),
        _features(first, settings),
        root=root,
        use_videos=False,
        video_backend="pyav",  # named, or lerobot looks for another that it will not use
    )


def _add(episode: Episode, dataset: "LeRobotDataset", args: argparse.Namespace) -> Converted:
    reading, stamps = Reading(), []
    no_action = 0
    for frame in episode.frames(args.fps):
        if frame.action is None:
            no_action += 1
            continue
        stored = _stored(frame, args.picture_size)
        for name, feature in dataset.features.items():
            if name in stored and tuple(feature["shape"]) != stored[name].shape:
                raise ValueError(
                    f"{episode.name}: {name} is {stored[name].shape}, in the first recording "
                    f"{tuple(feature['shape'])}: a dataset has pictures of one size. "
                    "Convert them apart"
                )
        dataset.add_frame(stored | {"task": episode.task})
        reading.add(frame)
        stamps.append(frame.observation.stamp_s)
    skipped = Counter(episode.skipped)
    if no_action:
        skipped[NO_ACTION] = no_action
    if len(stamps) < 2:
        raise ValueError(
            f"{episode.name} makes {len(stamps)} frames; at least 2 are needed. {_why(skipped)}"
        )
    dataset.save_episode()
    steps = np.diff(stamps)
    about = {
        "source": episode.name,
        "fingerprint": reading.fingerprint,
        "stamps_s": stamps,
        "events": None if episode.events is None else [vars(e) for e in episode.events],
    }
    gaps = int((steps > 1.5 * max(frame_period_s(stamps), 1 / dataset.fps)).sum())
    return Converted(about, skipped, 1 / float(np.mean(steps)), gaps)


def _features(stored: dict[str, np.ndarray], settings: Settings) -> dict[str, dict]:
    """The dataset's features, after a first frame."""
    of_vectors = {OBS_STATE: settings.state.joints, ACTION: settings.action.names}
    features = {
        name: {"dtype": "float32", "shape": (len(names),), "names": names}
        for name, names in of_vectors.items()
    }
    pictures = {name: value.shape for name, value in stored.items() if name not in of_vectors}
    names = ["height", "width", "channels"]
    return features | {
        name: {"dtype": "image", "shape": shape, "names": names}
        for name, shape in pictures.items()
    }


def _stored(frame: Frame, side: int | None) -> dict[str, np.ndarray]:
    observation = frame.observation
    pictures = {n: resized(picture, side) for n, picture in observation.images.items()}
    action = {} if frame.action is None else {ACTION: frame.action}
    return pictures | {OBS_STATE: observation.state} | action


def resized(picture: np.ndarray, side: int | None) -> np.ndarray:
    """A picture as lerobot's resize_with_pad makes it for a square, without the padding.

    Brought to that square again it stays as it is; the loss is the rounding to whole brightness.

    Args:
        picture: (height, width, 3) uint8.
        side: of the square; None leaves it as it is.
    """
    if side is None:
        return picture
    height, width = picture.shape[:2]
    ratio = max(width / side, height / side)
    size = (int(height / ratio), int(width / ratio))
    pixels = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    smaller = F.interpolate(pixels, size=size, mode="bilinear", align_corners=False)
    return smaller[0].round().clamp(0, 255).byte().permute(1, 2, 0).contiguous().numpy()


def _why(skipped: Counter[str]) -> str:
    if not skipped:
        return "Nothing was left out"
    return "Left out: " + "; ".join(f"{count} x {text}" for text, count in skipped.most_common())


def summarise(done: list[Converted], args: argparse.Namespace, console: Console) -> None:
    """What was made, and what was left out and why."""
    frames = sum(len(converted.about["stamps_s"]) for converted in done)
    fps = json.loads((args.out / "meta" / "info.json").read_text())["fps"]
    console.print(f"{args.out}: {len(done)} episodes, {frames} frames, {fps} a second")
    for converted in done:
        about = converted.about
        line = f"  {about['source']}: {len(about['stamps_s'])} frames, {converted.rate_hz:.4g}/s"
        if converted.gaps:
            line += f"; [yellow]{converted.gaps} gaps, which the dataset does not show[/yellow]"
        if abs(converted.rate_hz / fps - 1) > RATE_DIFFERS:
            line += f"; [yellow]the dataset says {fps}/s: its times are wrong by that[/yellow]"
        if len(about["stamps_s"]) < SHORT_STEPS:
            line += (
                f"; [yellow]shorter than a chunk of {SHORT_STEPS} steps: beyond its end training "
                "has no actions. Record longer, or train with a shorter --policy.chunk_size"
                "[/yellow]"
            )
        console.print(line, highlight=False)
        if converted.skipped:
            console.print(f"    {_why(converted.skipped)}", highlight=False)


if __name__ == "__main__":
    main()
