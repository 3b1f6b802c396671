"""Record one episode of Meta-World's expert as a labelled bag."""

import json
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from cls_vla_ros.simulation.bag import SimBag
from cls_vla_ros.simulation.events import (
    Disturbance,
    ObjectMoved,
    Pictures,
    labels_of,
    random_disturbances,
    standard_disturbances,
)
from cls_vla_ros.simulation.tasks import (
    MAX_STEPS,
    SHADOW_PIXELS,
    STEPS_PER_FRAME,
    TASKS,
    frame_stamp_ns,
    task_number,
)

EVENTS = ("none", "standard", "random")
UNFINISHED = ".unfinished_"  # what an interrupted recording's folder is called until it is removed
START_STEPS = 25  # that the arm takes to a random start; a step is 1 cm at most
START_BOX_M = np.array([[-0.15, -0.10, -0.05], [0.15, 0.15, 0.15]])  # around its usual start
NOISE_CORRELATION_S = 0.15


@dataclass(frozen=True)
class HowToRecord:
    """What does not depend on the episode.

    Attributes:
        frames: at most so many.
        events: of EVENTS.
        action_noise: standard deviation of the noise on what is executed, in units of the action;
            what is recorded is the expert's answer to where that leads (as in DART, Laskey et al.
            2017), so that a policy sees how to come back from its own errors.
        random_start: whether the arm is somewhere else when the recording begins.
        after_success: frames that are recorded after the task is done; None for all.
        only_successful: whether episodes in which the expert fails are left out.
        shadow_pixels: side of the map that shadows are drawn from. 1024 renders in about two
            thirds of the time, and a pixel differs by 0.05 of 255 in the mean.
    """

    frames: int = 120
    events: str = "none"
    action_noise: float = 0.0
    random_start: bool = False
    after_success: int | None = None
    only_successful: bool = False
    shadow_pixels: int = SHADOW_PIXELS

    def __post_init__(self) -> None:
        room = MAX_STEPS // STEPS_PER_FRAME - (START_STEPS if self.random_start else 0)
        if not 1 <= self.frames <= room:
            raise ValueError(f"an episode has 1 to {room} frames, not {self.frames}")
        if not 0 <= self.action_noise <= 1:
            raise ValueError(f"action_noise is 0 to 1, got {self.action_noise}")
        if self.after_success is not None and self.after_success < 0:
            raise ValueError(f"after_success is 0 or more, got {self.after_success}")
        if self.shadow_pixels < 1:
            raise ValueError(f"shadow_pixels is 1 or more, got {self.shadow_pixels}")
        if self.events not in EVENTS:
            raise ValueError(f"events is one of {EVENTS}, got {self.events!r}")

    def disturbances(self, random: np.random.Generator) -> list[Disturbance]:
        """Of one episode."""
        if self.events == "standard":
            return standard_disturbances(self.frames)
        return random_disturbances(random, self.frames) if self.events == "random" else []

    def is_over(self, frame: int, success_frame: int | None) -> bool:
        """Whether the episode ends before `frame`."""
        if success_frame is None or self.after_success is None:
            return False
        return frame > success_frame + self.after_success


class ActionNoise:
    """Noise that lasts: independent at each step, 80 times a second, it would cancel out.

    A first-order autoregressive process with the standard deviation asked for.
    """

    def __init__(self, random: np.random.Generator, sigma: float, step_s: float) -> None:
        """Draw where it begins.

        Args:
            random: draws it.
            sigma: standard deviation; 0 for none.
            step_s: between two steps.
        """
        self._random, self._sigma = random, sigma
        self._kept = float(np.exp(-step_s / NOISE_CORRELATION_S))
        self._value = sigma * random.normal(size=3)

    def __call__(self, action: np.ndarray) -> np.ndarray:
        """What is executed for a wanted action, (4,): the gripper's value stays as it is."""
        fresh = self._sigma * np.sqrt(1 - self._kept**2) * self._random.normal(size=3)
        self._value = self._kept * self._value + fresh
        noisy = np.clip(action + np.append(self._value, 0.0), -1.0, 1.0)
        return noisy.astype(action.dtype)


def bag_name(task: str, seed: int, how: HowToRecord) -> str:
    return f"{task}_{seed}" + ("" if how.events == "none" else "_events")


def labels_file(bag: Path) -> Path:
    return bag.with_name(f"{bag.name}.labels.json")


def is_recorded(bag: Path, how: HowToRecord) -> bool:
    """Whether it is there.

    Raises:
        ValueError: it is, but was recorded in another way.
    """
    if not bag.is_dir():
        return False
    recorded = json.loads(labels_file(bag).read_text()).get("recorded_with", {})
    # Options that came later do what their defaults say.
    if asdict(HowToRecord()) | recorded != asdict(how):
        raise ValueError(
            f"{bag} was recorded with {recorded}, not with {asdict(how)}: remove it, or record "
            "into another folder"
        )
    return True


def record_episode(folder: Path, task: str, seed: int, how: HowToRecord) -> dict | None:
    """Record it; it appears whole or not at all.

    Args:
        folder: where the bag `TASK_SEED` (with `_events` if it has any) and its labels go.
        task: of TASKS.
        seed: the same one is the same episode.
        how: everything else.

    Returns:
        The labels; None if only successful episodes are wanted and this one is not.
    """
    if how.only_successful and Take(task, seed, how).play()["success_frame"] is None:
        return None  # known without rendering, in a twentieth of the time
    name = bag_name(task, seed, how)
    unfinished = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=folder))
    try:
        with SimBag(unfinished / name) as bag:
            labels = Take(task, seed, how).play(bag)
        labels_file(unfinished / name).write_text(json.dumps(labels, indent=1) + "\n")
        # The bag last: where it is, everything is.
        os.rename(labels_file(unfinished / name), labels_file(folder / name))
        os.rename(unfinished / name, folder / name)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return labels


class Take:
    """The expert does a task once. The same arguments are the same take."""

    def __init__(self, task: str, seed: int, how: HowToRecord) -> None:
        """Set the scene.

        Args:
            task: of TASKS.
            seed: of the object's place and of all that is random in `how`.
            how: everything else.
        """
        from cls_vla_ros.simulation.arm import SimArm  # only here: it needs the simulator

        self._task, self._seed, self._how = task, seed, how
        # Not the simulator's own stream: the object's place must not depend on the disturbances.
        random = np.random.default_rng([seed, task_number(task)])
        self._disturbances = how.disturbances(random)
        self._arm = SimArm(task, seed, how.shadow_pixels)
        if how.random_start:
            start_elsewhere(self._arm, random)
        self._noise = ActionNoise(random, how.action_noise, self._arm.step_s)

    def play(self, bag: SimBag | None = None) -> dict:
        """Do it.

        Args:
            bag: what it is recorded in; without one nothing is rendered.

        Returns:
            The labels.
        """
        arm, how, frame, success_frame = self._arm, self._how, 0, None
        while frame < how.frames and not how.is_over(frame, success_frame):
            stamp_ns = frame_stamp_ns(frame, arm.step_s)
            self._disturb(frame)
            if bag:
                bag.add_pictures(stamp_ns, self._pictures(frame))
            for step in range(STEPS_PER_FRAME):
                action = arm.expert_action()
                if bag:
                    step_ns = stamp_ns + int(step * arm.step_s * 1e9)
                    bag.add_step(step_ns, arm.positions, arm.velocities, action)
                arm.step(self._noise(action))
            if arm.succeeded and success_frame is None:
                success_frame = frame
            frame += 1
        labels = labels_of(self._task, self._seed, frame, arm.step_s, self._disturbances)
        return labels | {
            "instruction": TASKS[self._task].instruction,
            "success_frame": success_frame,
            "recorded_with": asdict(how),
        }

    def _disturb(self, frame: int) -> None:
        for disturbance in self._disturbances:
            if isinstance(disturbance, ObjectMoved) and disturbance.frame == frame:
                self._arm.move_object(disturbance.dx_m, disturbance.dy_m)

    def _pictures(self, frame: int) -> Pictures:
        pictures = self._arm.pictures()
        for disturbance in self._disturbances:
            pictures = disturbance.change(pictures, frame)
        return pictures


def start_elsewhere(arm, random: np.random.Generator) -> None:
    """Move the arm to a random place near its usual start, before anything is recorded.

    Args:
        arm: SimArm at its start.
        random: draws the place.
    """
    offset_m = random.uniform(*START_BOX_M)
    action = np.array([*offset_m / (START_STEPS * 0.01), -1.0])  # an action of 1 is 1 cm a step
    for _ in range(START_STEPS):
        arm.step(action)
