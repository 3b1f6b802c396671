"""One episode of a policy in the simulator, its prefix reused by one rule or another."""

import functools
import statistics
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch

from cls_vla_ros.inference import Observation, PolicyServer, ReuseLimits, load_policy
from cls_vla_ros.policy.configuration_cls_smolvla import CLSSmolVLAConfig
from cls_vla_ros.simulation.bag import encode_jpeg
from cls_vla_ros.simulation.closed_loop.rules import EXPERT, WITHOUT_GATE, Rule, changes_of
from cls_vla_ros.simulation.events import (
    Disturbance,
    ObjectMoved,
    Pictures,
    random_disturbance,
)
from cls_vla_ros.simulation.tasks import SHADOW_PIXELS, STEPS_PER_FRAME, TASKS, task_number

NONE, OBJECT, OCCLUDER = "none", "object", "occluder"
DISTURBED = (NONE, OBJECT, OCCLUDER)
WHEN = (0.2, 0.7)  # a disturbance comes after this share of what the expert needs
MOVES_M = (0.05, 0.16)
OCCLUDED_FRAMES = (8, 20)
USUAL_FRAMES = 30  # what the expert needs, where it fails
PICTURES = {"observation.images.front": "front", "observation.images.wrist": "wrist"}
UNGUARDED = frozenset({"observation.images.wrist"})  # it moves with the arm


@dataclass(frozen=True)
class Setup:
    """What is the same for all episodes.

    Attributes:
        policy: the checkpoint's directory or hub id.
        max_frames: an episode that has not succeeded then has failed.
        execute: frames of a chunk that are executed before the next inference.
        seed: of the denoising noise, the same in every episode.
        allow_untrained: whether an untrained CLS head may open the gate.
        shadow_pixels: side of the map that shadows are drawn from.
        guard_threshold: of the frame guard; the default is config/demo.yaml's.
        max_age_s: of a prefix, in place of the checkpoint's; None for that.
        max_reuses: likewise.
        max_motion: likewise.
        glance_threshold: likewise.
    """

    policy: str
    max_frames: int = 100
    execute: int = 4
    seed: int = 0
    allow_untrained: bool = False
    shadow_pixels: int = SHADOW_PIXELS
    guard_threshold: float = 0.5
    max_age_s: float | None = None
    max_reuses: int | None = None
    max_motion: float | None = None
    glance_threshold: float | None = None

    def shipped(self, config: CLSSmolVLAConfig) -> ReuseLimits:
        """As the node with config/demo.yaml, and what calibration found unless it is given."""
        names = ("max_age_s", "max_reuses", "max_motion", "glance_threshold")
        given = {name: getattr(self, name) for name in names}
        return replace(
            ReuseLimits.of_checkpoint(config),
            guard_threshold=self.guard_threshold,
            unguarded=UNGUARDED,
            guard_frozen=False,  # a simulated picture is the same while nothing moves
            allow_untrained=self.allow_untrained,
            **{name: value for name, value in given.items() if value is not None},
        )


@dataclass(frozen=True)
class Run:
    """One episode.

    Attributes:
        task: of TASKS.
        seed: of the object's place and of the disturbance.
        disturbed: of DISTURBED.
        rule: of RULES.
        full_share: with a rule of TIMERS, the share of inferences, after the first, that compute
            their prefix.
        matched: likewise, the rule that reuses as often.
        num_steps: of the denoising; 0 for the checkpoint's own.
    """

    task: str
    seed: int
    disturbed: str
    rule: str
    full_share: float = 1.0
    matched: str = ""
    num_steps: int = 0


def run_episode(setup: Setup, run: Run) -> dict:
    """Let the policy, or the expert, do the task.

    Returns:
        What the run says; success; steps until then (None without); inferences, reused of them,
        their times, and how many were for each reason.

    Raises:
        ValueError: the checkpoint does not fit the robot, or cannot reuse a prefix.
    """
    from cls_vla_ros.simulation.arm import SimArm  # needs the simulator

    arm = SimArm(run.task, run.seed, setup.shadow_pixels)
    disturbances = disturbances_of(arm, run)
    actor = Expert(arm) if run.rule == EXPERT else Pilot(arm, setup, run)
    steps = None
    for frame in range(setup.max_frames):
        for disturbance in disturbances:
            if isinstance(disturbance, ObjectMoved) and disturbance.frame == frame:
                arm.move_object(disturbance.dx_m, disturbance.dy_m, with_marker=True)
        action = actor.act(frame, disturbances)
        done = [arm.step(action) for _ in range(STEPS_PER_FRAME)]
        if any(done):
            steps = frame * STEPS_PER_FRAME + done.index(True) + 1
            break
    return asdict(run) | {
        "success": steps is not None,
        "steps": steps,
        **actor.counts(),
    }


def disturbances_of(arm, run: Run) -> list[Disturbance]:
    """The same for all rules, at a random time before the expert is done.

    The object goes where the task could have begun too, so that the task stays possible.

    Args:
        arm: SimArm of the run.
        run: which.
    """
    if run.disturbed == NONE:
        return []
    random = _random(run)
    frame = round(random.uniform(*WHEN) * expert_frames(run.task, run.seed))
    if run.disturbed == OBJECT:
        return [ObjectMoved(frame, *arm.another_place(random, MOVES_M))]
    length = int(random.integers(*OCCLUDED_FRAMES, endpoint=True))
    return [random_disturbance(random, "occluder", frame, length)]


def _random(run: Run) -> np.random.Generator:
    """The same for all rules."""
    return np.random.default_rng([run.seed, task_number(run.task)])


@functools.cache
def expert_frames(task: str, seed: int) -> int:
    """Frames that the expert needs, undisturbed."""
    from cls_vla_ros.simulation.recording import HowToRecord, Take

    frame = Take(task, seed, HowToRecord(after_success=0)).play()["success_frame"]
    return USUAL_FRAMES if frame is None else frame


class Expert:
    """Meta-World's own, which knows where the object is: how often the task can be done at all."""

    def __init__(self, arm) -> None:
        """Take it as it is.

        Args:
            arm: SimArm.
        """
        self._arm = arm

    def act(self, frame: int, disturbances: list[Disturbance]) -> np.ndarray:
        """The action for a frame's steps, (4,)."""
        return self._arm.expert_action()

    def counts(self) -> dict:
        return {"inferences": 0, "reused": 0, "full_ms": None, "reuse_ms": None, "reasons": {}}


class Pilot:
    """The policy, asked again every few frames."""

    def __init__(self, arm, setup: Setup, run: Run) -> None:
        """Begin an episode.

        Args:
            arm: SimArm.
            setup: what is the same for all.
            run: which rule.
        """
        self._arm, self._setup, self._run = arm, setup, run
        self._server = server_of(setup, run.num_steps)
        self._session = self._server.session()
        config = self._server.config
        self._rule = Rule(
            run.rule,
            setup.shipped(config),
            ReuseLimits.always(PICTURES),
            bool(config.glance_width and config.glance_trained),
            run.full_share,
            float(_random(run).uniform()),
        )
        self._rule.check()
        if run.rule in WITHOUT_GATE:
            self._session.threshold = -1.0
        self._inferences, self._computed_at = 0, 0
        self._reasons: dict[str, int] = {}
        self._took_ms: dict[bool, list[float]] = {True: [], False: []}

    def act(self, frame: int, disturbances: list[Disturbance]) -> np.ndarray:
        """The action for a frame's steps, (4,); with a new chunk where it is time for one."""
        index = frame % self._setup.execute
        if index == 0:
            self._chunk = self._infer(frame, disturbances)
        return np.clip(self._chunk[index], -1.0, 1.0)

    def counts(self) -> dict:
        """What was inferred, and the median of what it took in ms."""
        full, reused = self._took_ms[False], self._took_ms[True]
        return {
            "inferences": len(full) + len(reused),
            "reused": len(reused),
            "full_ms": statistics.median(full) if full else None,
            "reuse_ms": statistics.median(reused) if reused else None,
            "reasons": self._reasons,
        }

    def _infer(self, frame: int, disturbances: list[Disturbance]) -> np.ndarray:
        pictures = self._arm.pictures()
        for disturbance in disturbances:
            pictures = disturbance.change(pictures, frame)
        observation = Observation(
            as_the_node_sees(pictures),
            self._arm.positions.astype(np.float32),
            TASKS[self._run.task].instruction,
            frame * STEPS_PER_FRAME * self._arm.step_s,
        )
        changed = any(self._computed_at < at <= frame for at in changes_of(disturbances))
        self._session.limits = self._rule.limits(self._inferences, has_changed=changed)
        inference = self._server.infer(observation)
        self._inferences += 1
        if not inference.prefix_reused:
            self._computed_at = frame
        reason = inference.reason.name.lower()
        self._reasons[reason] = self._reasons.get(reason, 0) + 1
        self._took_ms[inference.prefix_reused].append(inference.total_ms)
        if not np.isfinite(inference.actions).all():
            raise ValueError(f"{self._setup.policy} made an action that is NaN or infinite")
        return inference.actions


def as_the_node_sees(pictures: Pictures) -> dict[str, np.ndarray]:
    """By feature, (240, 320, 3) uint8 RGB; the wrist's went through JPEG, as on its topic."""
    wrist = cv2.imdecode(encode_jpeg(pictures["wrist"]), cv2.IMREAD_COLOR_RGB)
    seen = pictures | {"wrist": wrist}
    return {feature: seen[name] for feature, name in PICTURES.items()}


def server_of(setup: Setup, num_steps: int = 0) -> PolicyServer:
    """A server of its own for each episode, so that each has the same noise.

    Raises:
        ValueError: the policy cannot be used here; the text says what it would need.
    """
    policy, preprocessor, postprocessor = _load(setup.policy)
    config = policy.config
    if not config.use_cls_head:
        raise ValueError(f"{setup.policy} has no CLS head (use_cls_head): it has no gate to judge")
    if config.chunk_size < setup.execute:
        raise ValueError(
            f"{setup.policy} makes chunks of {config.chunk_size} actions, and {setup.execute} are "
            "to be executed of each: lower --execute"
        )
    if sorted(config.image_features) != sorted(PICTURES):
        raise ValueError(
            f"{setup.policy} takes the pictures {sorted(config.image_features)}; the simulated "
            f"robot has {sorted(PICTURES)}"
        )
    own = _steps_of(setup.policy)
    config.num_steps = num_steps or own
    return PolicyServer(policy, preprocessor, postprocessor, seed=setup.seed)


@functools.cache
def _load(policy: str) -> tuple:
    torch.set_num_threads(1)  # one episode per process and core
    return load_policy(Path(policy) if Path(policy).exists() else policy)


@functools.cache
def _steps_of(policy: str) -> int:
    """The checkpoint's own, before anybody changed it."""
    return _load(policy)[0].config.num_steps
