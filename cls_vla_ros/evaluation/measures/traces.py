"""What gate, frame guard and glance can know of each frame of an episode, computed once.

From it follow the gate's similarity, the guard's difference, the robot's motion and the joints'
distance for any two frames, whatever the interval between full inferences.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from cls_vla_ros.evaluation.measures.disturbed import dimmed, patched, under
from cls_vla_ros.evaluation.measures.looks import look_at
from cls_vla_ros.evaluation.measures.replays import Step, chunks, full, replay
from cls_vla_ros.inference import Observation, PolicyServer
from cls_vla_ros.inference.reuse.frame_guard import Thumbnail, difference
from cls_vla_ros.inference.reuse.glance_look import Look
from cls_vla_ros.inference.reuse.motion import motion_of
from cls_vla_ros.policy.scene_gate import SceneGate
from cls_vla_ros.recordings.episodes import Episode, Event

PATCHED_FRAMES, DIMMED_FRAMES = "patched", "dimmed"


@dataclass(frozen=True)
class Trace:
    """One episode of F frames, with a full inference on each.

    Attributes:
        name: for messages.
        events: its labels; None if it has none.
        stamps_s: (F,).
        states: (F, S) float32.
        actions: (F, T, A).
        obs_cls_out: (F, N, H) float32.
        disturbed: obs_cls_out of the same frames with a patch in every picture ("patched") and in
            dimmed light ("dimmed"), where that was asked for, and under nuisances, by their names.
        thumbnails: of each frame, by feature name, likewise.
        looks: the glance's of each frame, likewise, if the policy has one.
        state_std: (S,), what one is for each value of the state, see `motion_of`.
    """

    name: str
    events: list[Event] | None
    stamps_s: np.ndarray
    states: np.ndarray
    actions: np.ndarray
    obs_cls_out: Tensor
    disturbed: dict[str, Tensor]
    thumbnails: list[dict[str, Thumbnail]]
    looks: list[Look] = field(default_factory=list)
    state_std: np.ndarray | float = 1.0

    def __len__(self) -> int:
        return len(self.stamps_s)

    @property
    def has_made_changes(self) -> bool:
        """Whether changes were made by pasting, because there are none in it."""
        return PATCHED_FRAMES in self.disturbed


def record(
    server: PolicyServer,
    episode: Episode,
    *,
    inject: bool = False,
    nuisances: Collection[str] = (),
    guarded: Collection[str] = (),
    seed: int = 0,
    on_frame: Callable[[], None] = lambda: None,
) -> Trace:
    """Run the policy over every frame of an episode.

    Args:
        server: of the policy.
        episode: with at least two frames.
        inject: whether to run it over patched and dimmed frames too.
        nuisances: under which to run it over the frames too.
        guarded: features of the pictures whose thumbnails and looks are kept.
        seed: of the noise, as of a replay, and of the patches.
        on_frame: called after each frame.

    Raises:
        ValueError: too few frames, or not what the policy takes.
    """
    if not server.config.use_cls_head:
        raise ValueError("the policy has no CLS head (use_cls_head is false): there is no gate")
    states, small, looks = [], [], []

    def observations() -> Iterator[Observation]:
        for frame in episode.frames():
            states.append(frame.observation.state)
            if guarded:
                images = frame.observation.images
                small.append({name: Thumbnail.of(images[name]) for name in guarded})
            if guarded and server.glance:
                looks.append(look_at(server, frame.observation, guarded))
            yield frame.observation
            on_frame()

    steps = replay(server, observations(), full, seed)
    if len(steps) < 2:
        raise ValueError(
            f"{episode.name} has {len(steps)} frames that can be used; at least 2 are needed. "
            f"Left out: {dict(episode.skipped)}"
        )
    others = {name: under(episode, name, seed) for name in nuisances}
    if inject:
        others |= {PATCHED_FRAMES: patched(episode, seed), DIMMED_FRAMES: dimmed(episode)}
    disturbed = {
        how: _outputs(replay(server, (f.observation for f in other.frames()), full, seed))
        for how, other in others.items()
    }
    return Trace(
        episode.name,
        episode.events,
        np.array([step.stamp_s for step in steps]),
        np.array(states),
        chunks(steps),
        _outputs(steps),
        disturbed,
        small,
        looks,
        server.state_std,
    )


def _outputs(steps: list[Step]) -> Tensor:
    """(F, N, H)."""
    return torch.cat([step.inference.obs_cls_out for step in steps])


def similarities(before: Tensor, now: Tensor, frames: int) -> np.ndarray:
    """The gate's similarity of each frame with the prediction `frames` before, (F - frames,).

    Args:
        before: (F, N, H) obs_cls_out of the frames that predicted.
        now: of those that are compared with it, of the same episode.
        frames: between the two.
    """
    gate = SceneGate()
    gate.commit(before[:-frames])
    return np.array(gate.evaluate(now[frames:]).per_sample)


def differences(
    before: Sequence[dict[str, Thumbnail]],
    now: Sequence[dict[str, Thumbnail]],
    frames: int,
    cameras: Iterable[str],
    *,
    all_between: bool,
) -> np.ndarray:
    """The frame guard's difference of each frame from that `frames` before, (F - frames,).

    Args:
        before: thumbnails of F frames, of which one is the cached prefix's.
        now: of the same F frames, perhaps disturbed.
        frames: between the two.
        cameras: features that count; the largest of them does.
        all_between: whether the frames between count too, as for the guard, which looks at every
            inference; else only the last.
    """
    return np.array(
        [
            max(
                difference(now[u][name], before[t - frames][name])
                for u in (range(t - frames + 1, t + 1) if all_between else (t,))
                for name in cameras
            )
            for t in range(frames, len(now))
        ]
    )


def motions(trace: Trace, frames: int) -> np.ndarray:
    """How far the robot has moved since the frame `frames` before, (F - frames,)."""
    pairs = zip(trace.states[:-frames], trace.states[frames:], strict=True)
    return np.array([motion_of(then, now, trace.state_std) for then, now in pairs])


def joint_distances(trace: Trace, frames: int) -> np.ndarray:
    """Euclidean distance of each state from that `frames` before, (F - frames,), policy units.

    By it lerobot's asynchronous inference calls two observations similar
    (`lerobot.async_inference.helpers.observations_similar`).
    """
    return np.linalg.norm(trace.states[frames:] - trace.states[:-frames], axis=1)
