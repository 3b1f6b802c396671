"""What disturbs a simulated episode, and its labels. Nothing here needs the simulator.

Three kinds: the object jumps to another place, something comes between the front camera and the
scene for a while, the light is dimmed for a while. The last one does not change the scene.
"""

from dataclasses import asdict, dataclass
from typing import ClassVar

import cv2
import numpy as np

from cls_vla_ros.simulation.tasks import HEIGHT, WIDTH, frame_stamp_ns

Pictures = dict[str, np.ndarray]  # (240, 320, 3) uint8 RGB, by "front" and "wrist"

MOVES_M = (0.05, 0.16)
LENGTHS = (8, 20)  # frames that an occluder or dimmed light stays
DIMMED_PERCENT = (10, 30)
SHAPES = ("ellipse", "rectangle")
KINDS = ("object", "occluder", "light")


@dataclass(frozen=True)
class ObjectMoved:
    """The object is somewhere else from `frame` on, by (dx_m, dy_m)."""

    kind: ClassVar[str] = "object"
    frame: int
    dx_m: float
    dy_m: float

    def change(self, pictures: Pictures, frame: int) -> Pictures:
        """The pictures show it by themselves: the simulator moves the body."""
        return pictures

    def events(self) -> list[dict]:
        return [{"frame": self.frame, "kind": "object_moved", "scene_change": True}]


@dataclass(frozen=True)
class Occluder:
    """A flat shape in the front picture.

    Attributes:
        frame: where it comes.
        length: frames that it stays.
        shape: of SHAPES.
        centre: x and y, in pixels.
        half_axes: in pixels.
        angle_deg: turned by that.
        colour: RGB.
    """

    kind: ClassVar[str] = "occluder"
    frame: int
    length: int
    shape: str = "ellipse"
    centre: tuple[int, int] = (WIDTH // 2, HEIGHT // 2)
    half_axes: tuple[int, int] = (110, 80)
    angle_deg: float = 25.0
    colour: tuple[int, int, int] = (176, 132, 108)

    def change(self, pictures: Pictures, frame: int) -> Pictures:
        """Draw it while it is there."""
        if not self.frame <= frame < self.frame + self.length:
            return pictures
        front = pictures["front"].copy()
        if self.shape == "ellipse":
            cv2.ellipse(
                front, self.centre, self.half_axes, self.angle_deg, 0, 360, self.colour, -1
            )
        else:
            width, height = self.half_axes
            box = (self.centre, (2 * width, 2 * height), self.angle_deg)
            cv2.fillPoly(front, [np.intp(cv2.boxPoints(box)).astype(np.int32)], self.colour)
        return pictures | {"front": front}

    def events(self) -> list[dict]:
        return [
            {"frame": self.frame, "kind": "occluder_in", "scene_change": True},
            {"frame": self.frame + self.length, "kind": "occluder_out", "scene_change": True},
        ]


@dataclass(frozen=True)
class LightDimmed:
    """All pictures are darker by `percent` for `length` frames."""

    kind: ClassVar[str] = "light"
    frame: int
    length: int
    percent: int

    def change(self, pictures: Pictures, frame: int) -> Pictures:
        """Darken them while it lasts."""
        if not self.frame <= frame < self.frame + self.length:
            return pictures
        factor = (100 - self.percent) / 100
        return {name: (picture * factor).astype(np.uint8) for name, picture in pictures.items()}

    def events(self) -> list[dict]:
        kind = f"light_dimmed_{self.percent}_percent"
        return [
            {"frame": self.frame, "kind": kind, "scene_change": False},
            {"frame": self.frame + self.length, "kind": "light_restored", "scene_change": False},
        ]


Disturbance = ObjectMoved | Occluder | LightDimmed


def standard_disturbances(frames: int) -> list[Disturbance]:
    """The same for every episode, for tests that must be the same everywhere.

    Args:
        frames: of the episode.
    """
    move_at, occlude_at, dim_at = (int(frames * share) for share in (0.35, 0.6, 0.8))
    return [
        ObjectMoved(move_at, 0.12, -0.08),
        Occluder(occlude_at, 12),
        LightDimmed(dim_at, 12, 20),
    ]


def random_disturbances(random: np.random.Generator, frames: int) -> list[Disturbance]:
    """One to three, one after another, none of a kind twice.

    Each has its own part of the episode, and begins and ends inside it.

    Args:
        random: draws them.
        frames: of the episode, at least 40.

    Raises:
        ValueError: the episode is too short to tell the events apart.
    """
    if frames < 40:
        raise ValueError(f"events need an episode of at least 40 frames, got {frames}")
    count = random.integers(1, len(KINDS) + 1)
    kinds = random.permutation(KINDS)[:count]
    edges = np.linspace(0.1, 0.95, count + 1) * frames
    made = []
    for kind, first, end in zip(kinds, edges[:-1], edges[1:], strict=True):
        length = int(min(random.integers(*LENGTHS, endpoint=True), end - first - 2))
        frame = int(random.integers(int(first), int(end) - length))
        made.append(random_disturbance(random, str(kind), frame, length))
    return made


def random_disturbance(
    random: np.random.Generator, kind: str, frame: int, length: int
) -> Disturbance:
    """One of random size, place and colour.

    Args:
        random: draws it.
        kind: of KINDS.
        frame: where it begins.
        length: in frames; an object that moved stays where it is.
    """
    if kind == "object":
        angle, distance = random.uniform(0, 2 * np.pi), random.uniform(*MOVES_M)
        return ObjectMoved(frame, float(distance * np.cos(angle)), float(distance * np.sin(angle)))
    if kind == "light":
        return LightDimmed(frame, length, int(random.integers(*DIMMED_PERCENT, endpoint=True)))
    return Occluder(
        frame,
        length,
        shape=str(random.choice(SHAPES)),
        centre=(
            int(random.integers(WIDTH // 4, 3 * WIDTH // 4)),
            int(random.integers(HEIGHT // 4, 3 * HEIGHT // 4)),
        ),
        half_axes=(int(random.integers(40, 120)), int(random.integers(40, 90))),
        angle_deg=float(random.uniform(0, 180)),
        colour=tuple(int(value) for value in random.integers(0, 256, 3)),
    )


def labels_of(
    task: str, seed: int, frames: int, step_s: float, disturbances: list[Disturbance]
) -> dict:
    """What stands in a recording's labels.json.

    Args:
        task: Meta-World's name.
        seed: of the episode.
        frames: that were recorded; events after them are left out.
        step_s: the simulator's step.
        disturbances: in the order of their frames.

    Returns:
        task, seed, frames, frame_period_ns; events with frame, kind, scene_change (whether the
        scene is another one from there on) and stamp_ns; and the disturbances with their sizes.
    """
    events = [event for disturbance in disturbances for event in disturbance.events()]
    events = [
        event | {"stamp_ns": frame_stamp_ns(event["frame"], step_s)}
        for event in sorted(events, key=lambda event: event["frame"])
        if event["frame"] < frames
    ]
    return {
        "task": task,
        "seed": seed,
        "frames": frames,
        "frame_period_ns": frame_stamp_ns(1, step_s) - frame_stamp_ns(0, step_s),
        "events": events,
        "disturbances": [{"of": d.kind} | asdict(d) for d in disturbances if d.frame < frames],
    }
