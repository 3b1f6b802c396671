"""An episode as another camera or other light would have recorded it, or with something in it."""

import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch

from cls_vla_ros.policy.training.nuisances import NAMED, draw_patches
from cls_vla_ros.recordings.episodes import Episode, Event, Frame

STEADY, ONSET = "steady", "onset"  # in both frames of a pair, in the later alone
# It begins as nothing and grows over 60 frames, so both frames of a pair are in it.
WITHOUT_ONSET = ("light_gradual",)
PATCHED_SHARE = (0.01, 0.15)  # of the picture, that a patch changes
DIMMED = 0.8  # what is left of the light

Change = Callable[[str, np.ndarray, int], np.ndarray]  # feature, picture, number of the frame


class Disturbed:
    """An `Episode` like any other, all of whose pictures are changed."""

    def __init__(self, episode: Episode, how: str, begin: Callable[[], Change]) -> None:
        """Disturb an episode.

        Args:
            episode: as it was recorded.
            how: for its name.
            begin: called before each pass over the frames; says how each picture is changed.
        """
        self._episode, self._begin = episode, begin
        self.name, self.task = f"{episode.name}, {how}", episode.task

    @property
    def events(self) -> list[Event] | None:
        return self._episode.events

    @property
    def skipped(self) -> Counter[str]:
        return self._episode.skipped

    def frames(self, rate_hz: float | None = None) -> Iterator[Frame]:
        """See `Episode.frames`."""
        change = self._begin()
        for number, frame in enumerate(self._episode.frames(rate_hz)):
            images = frame.observation.images
            images = {name: change(name, image, number) for name, image in images.items()}
            yield replace(frame, observation=replace(frame.observation, images=images))


def under(episode: Episode, nuisance: str, seed: int) -> Disturbed:
    """An episode under one nuisance from its first frame on.

    Args:
        episode: as it was recorded.
        nuisance: of NAMED, in all cameras, in each drawn for itself.
        seed: of what is drawn; each episode draws another.
    """

    def change(name: str, image: np.ndarray, number: int) -> np.ndarray:
        random = _random(seed, episode.name, name)
        return NAMED[nuisance](image[None], random, start=number)[0]

    return Disturbed(episode, nuisance, lambda: change)


def patched(episode: Episode, seed: int) -> Disturbed:
    """An episode with something pasted into every picture, in each something else."""

    def begin() -> Change:
        random = _random(seed, episode.name)
        return lambda name, image, number: paste(image, random)

    return Disturbed(episode, "patched", begin)


def dimmed(episode: Episode) -> Disturbed:
    """An episode in less light."""
    return Disturbed(episode, "dimmed", lambda: lambda n, image, k: (image * DIMMED).astype("u1"))


def paste(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
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


def _random(seed: int, *names: str) -> np.random.Generator:
    return np.random.default_rng([seed, *(zlib.crc32(name.encode()) for name in names)])
