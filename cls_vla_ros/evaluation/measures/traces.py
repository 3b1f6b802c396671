"""What gate and frame guard can know of each frame of an episode, computed once.

From it follow the gate's similarity, the guard's difference and the joints' distance for any two
frames, whatever the interval between full inferences.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from cls_vla_ros.evaluation.measures.replays import Step, chunks, full, replay
from cls_vla_ros.inference import Observation, PolicyServer
from cls_vla_ros.inference.reuse.frame_guard import Thumbnail, difference
from cls_vla_ros.policy.scene_gate import SceneGate
from cls_vla_ros.policy.training.nuisances import draw_patches
from cls_vla_ros.recordings.episodes import Episode, Event

PATCHED_SHARE = (0.01, 0.15)  # of the picture, that a patch changes
DIMMED = 0.8  # what is left of the light
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
            dimmed light ("dimmed"), where that was asked for.
        thumbnails: of each frame, by feature name, likewise.
    """

    name: str
    events: list[Event] | None
    stamps_s: np.ndarray
    states: np.ndarray
    actions: np.ndarray
    obs_cls_out: Tensor
    disturbed: dict[str, Tensor]
    thumbnails: list[dict[str, Thumbnail]]

    def __len__(self) -> int:
        return len(self.stamps_s)


def record(
    server: PolicyServer,
    episode: Episode,
    *,
    inject: bool = False,
    thumbnails: bool = False,
    seed: int = 0,
    on_frame: Callable[[], None] = lambda: None,
) -> Trace:
    """Run the policy over every frame of an episode.

    Args:
        server: of the policy.
        episode: with at least two frames.
        inject: whether to run it over disturbed frames too.
        thumbnails: whether to keep them.
        seed: of the noise, as of a replay, and of the patches.
        on_frame: called after each frame.

    Raises:
        ValueError: too few frames, or not what the policy takes.
    """
    if not server.config.use_cls_head:
        raise ValueError("the policy has no CLS head (use_cls_head is false): there is no gate")
    states, small = [], []

    def observations() -> Iterator[Observation]:
        for frame in episode.frames():
            states.append(frame.observation.state)
            if thumbnails:
                images = frame.observation.images
                small.append({name: Thumbnail.of(image) for name, image in images.items()})
            yield frame.observation
            on_frame()

    steps = replay(server, observations(), full, seed)
    if len(steps) < 2:
        raise ValueError(
            f"{episode.name} has {len(steps)} frames that can be used; at least 2 are needed. "
            f"Left out: {dict(episode.skipped)}"
        )
    random = np.random.default_rng(seed)
    disturbed = {}
    for how in (PATCHED_FRAMES, DIMMED_FRAMES) if inject else ():
        others = (_disturbed(frame.observation, how, random) for frame in episode.frames())
        disturbed[how] = _outputs(replay(server, others, full, seed))
    return Trace(
        episode.name,
        episode.events,
        np.array([step.stamp_s for step in steps]),
        np.array(states),
        chunks(steps),
        _outputs(steps),
        disturbed,
        small,
    )


def _outputs(steps: list[Step]) -> Tensor:
    """(F, N, H)."""
    return torch.cat([step.inference.obs_cls_out for step in steps])


def _disturbed(observation: Observation, how: str, random: np.random.Generator) -> Observation:
    def change(image: np.ndarray) -> np.ndarray:
        return patched(image, random) if how == PATCHED_FRAMES else (image * DIMMED).astype("u1")

    return replace(observation, images={n: change(i) for n, i in observation.images.items()})


def patched(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A picture with something in it that was not there, as training pastes it.

    Args:
        image: (height, width, 3) uint8.
        random: for kind, place and size.
    """
    generator = torch.Generator().manual_seed(int(random.integers(2**31)))
    picture = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    while True:
        patch = draw_patches(picture, generator)
        pasted = (patch.paste(picture)[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
        # A piece of wall before the wall is not seen; half the picture, anybody sees.
        if PATCHED_SHARE[0] < (pasted != image).any(2).mean() < PATCHED_SHARE[1]:
            return pasted


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
    trace: Trace, frames: int, cameras: Iterable[str], *, all_between: bool
) -> np.ndarray:
    """The frame guard's difference of each frame from that `frames` before, (F - frames,).

    Args:
        trace: with thumbnails.
        frames: between the two.
        cameras: features that count; the largest of them does.
        all_between: whether the frames between count too, as for the guard, which looks at every
            inference; else only the last.
    """
    small = trace.thumbnails
    return np.array(
        [
            max(
                difference(small[u][name], small[t - frames][name])
                for u in (range(t - frames + 1, t + 1) if all_between else (t,))
                for name in cameras
            )
            for t in range(frames, len(small))
        ]
    )


def joint_distances(trace: Trace, frames: int) -> np.ndarray:
    """Euclidean distance of each state from that `frames` before, (F - frames,), policy units.

    By it lerobot's asynchronous inference calls two observations similar
    (`lerobot.async_inference.helpers.observations_similar`).
    """
    return np.linalg.norm(trace.states[frames:] - trace.states[:-frames], axis=1)
