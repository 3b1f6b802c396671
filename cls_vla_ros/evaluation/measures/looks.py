"""What the policy's glance says of two frames of an episode."""

from collections.abc import Collection, Sequence

import numpy as np

from cls_vla_ros.inference import Observation, PolicyServer
from cls_vla_ros.inference.reuse.glance_look import GlanceLook, Look
from cls_vla_ros.recordings.episodes import Episode


def look_at(server: PolicyServer, observation: Observation, cameras: Collection[str]) -> Look:
    """The glance's look at an observation, as the node's at each.

    Args:
        server: of a policy with a trained glance.
        observation: for the policy.
        cameras: features of the pictures that it looks at.
    """
    images = {name: image for name, image in observation.images.items() if name in cameras}
    return server.glance.look(images, server.preprocess(observation).state)


def looks_at(server: PolicyServer, episode: Episode, cameras: Collection[str]) -> list[Look]:
    """Those of all frames."""
    return [look_at(server, frame.observation, cameras) for frame in episode.frames()]


def glance_scores(
    glance: GlanceLook, before: Sequence[Look], now: Sequence[Look], frames: int
) -> np.ndarray:
    """The glance's score of each frame, against that `frames` before, (F - frames,).

    Args:
        glance: of the policy.
        before: of F frames, of which one is the cached prefix's.
        now: of the same F frames, perhaps disturbed.
        frames: between the two.
    """
    pairs = zip(before[:-frames], now[frames:], strict=True)
    return np.array([glance.score(then, later) for then, later in pairs])


def highest_until(scores_by_frames: Sequence[np.ndarray]) -> np.ndarray:
    """The highest score that a glance at every frame gives until the last of a pair, (P,).

    Args:
        scores_by_frames: scores 1, 2, ... frames after the first of a pair; each of at least P
            values, of which the n-th is of the pair that begins at frame n.
    """
    count = len(scores_by_frames[-1])
    return np.max([scores[:count] for scores in scores_by_frames], axis=0)
