"""Each nuisance by its name, at a fixed strength, for calibration, evaluation and simulation.

All are called alike: `NAMED[name](pictures, random)` with the F pictures of one camera, in their
order, (F, height, width, 3) uint8 RGB, gives as many. What a camera does steadily is drawn once
for all F; noise and flicker differ from picture to picture. For the onset of one, disturb only the
pictures from there on.

Who gets pictures one at a time gives `start`, the number of the first of them in its episode, and
a generator with the same seed each time: NAMED[name](pictures[None], np.random.default_rng(seed),
start=number) is what the whole episode at once would have been.
"""

from collections.abc import Callable

import cv2
import numpy as np
import torch
from torch import Tensor

from cls_vla_ros.policy.training.nuisances.formulas import (
    gained,
    gamma_corrected,
    hazed,
    moved,
    noisy,
    saturated,
)

# Gains of red and blue when it grows warmer; the inverse where it grows colder.
WARMER = (1.06, 0.90)
SATURATION = 0.7  # of the colours is left, or they are as much stronger
HAZE = 0.15  # of each pixel
NOISE_STD = 16 / 255
JPEG_QUALITY = 30
FLICKER = 0.10  # the exposure swings by this much to each side
DIMMED = 0.6  # of the light is left
DIMMING_FRAMES = 60  # a gradual change takes
GAMMA = 0.8  # or its inverse
# Of pixels of a picture that is 64 wide, which is about what small policies see.
BLUR_STD, SHIFT, PIXELS_WIDE = 0.6, 1, 64

Nuisance = Callable[..., np.ndarray]  # (pictures, random, *, start=0) -> pictures


def white_balance(pictures: np.ndarray, random: np.random.Generator, *, start=0) -> np.ndarray:
    """Red by 6 % up and blue by 10 % down, or by as much the other way."""
    red, blue = np.array(WARMER) ** random.choice((1, -1))
    return _on_tensors(pictures, lambda p: gained(p, p.new_tensor([[red, 1.0, blue]])))


def saturation(pictures: np.ndarray, random: np.random.Generator, *, start=0) -> np.ndarray:
    """Colours paler by 30 %, or stronger by 43 %."""
    factor = SATURATION ** random.choice((1, -1))
    return _on_tensors(pictures, lambda p: saturated(p, p.new_tensor([factor])))


def haze(pictures: np.ndarray, random: np.random.Generator, *, start=0) -> np.ndarray:
    """15 % of each pixel is bright grey."""
    return _on_tensors(pictures, lambda p: hazed(p, p.new_tensor([HAZE])))


def noise(pictures: np.ndarray, random: np.random.Generator, *, start=0) -> np.ndarray:
    """Gaussian with a standard deviation of 16 of 255, in each picture another."""
    seed = int(random.integers(2**31))
    seeds = (seed + number for number in range(start, start + len(pictures)))
    return _on_tensors(
        pictures,
        lambda p: noisy(p, p.new_tensor([NOISE_STD]), torch.Generator().manual_seed(next(seeds))),
    )


def jpeg(pictures: np.ndarray, random: np.random.Generator, *, start=0) -> np.ndarray:
    """Through JPEG of quality 30, by OpenCV."""
    coded = [
        cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
        for picture in pictures
    ]
    return np.stack([cv2.imdecode(each, cv2.IMREAD_COLOR_RGB) for each in coded])


def flicker(pictures: np.ndarray, random: np.random.Generator, *, start=0) -> np.ndarray:
    """The exposure swings by 10 %, as a lamp on the mains beats with the camera."""
    cycles, phase = random.uniform(0.1, 0.4), random.uniform(0, 2 * np.pi)  # per picture
    numbers = np.arange(start, start + len(pictures))
    return _lit(pictures, 1 + FLICKER * np.sin(2 * np.pi * cycles * numbers + phase))


def light_gradual(pictures: np.ndarray, random: np.random.Generator, *, start=0) -> np.ndarray:
    """The light falls by 40 %, evenly over the first 60 pictures, and stays so."""
    numbers = np.arange(start, start + len(pictures))
    return _lit(pictures, 1 - (1 - DIMMED) * np.minimum(numbers / DIMMING_FRAMES, 1.0))


def light_sudden(pictures: np.ndarray, random: np.random.Generator, *, start=0) -> np.ndarray:
    """40 % less light, from the first picture on."""
    return _lit(pictures, np.full(len(pictures), DIMMED))


def gamma(pictures: np.ndarray, random: np.random.Generator, *, start=0) -> np.ndarray:
    """Another tone curve: to the power of 0.8, or 1.25."""
    exponent = GAMMA ** random.choice((1, -1))
    return _on_tensors(pictures, lambda p: gamma_corrected(p, p.new_tensor([exponent])))


def blur(pictures: np.ndarray, random: np.random.Generator, *, start=0) -> np.ndarray:
    """Out of focus, by a Gaussian of 0.6 of a 64th of the width, by OpenCV."""
    std = BLUR_STD * pictures.shape[2] / PIXELS_WIDE
    return np.stack([cv2.GaussianBlur(picture, (0, 0), std) for picture in pictures])


def shift(pictures: np.ndarray, random: np.random.Generator, *, start=0) -> np.ndarray:
    """The camera was nudged: by a 64th of the width, up or down and to a side."""
    pixels = max(round(SHIFT * pictures.shape[2] / PIXELS_WIDE), 1)
    down, right = (pixels * torch.tensor([int(random.choice((1, -1)))]) for _ in range(2))
    return _on_tensors(pictures, lambda p: moved(p, down, right))


NAMED: dict[str, Nuisance] = {
    function.__name__: function
    for function in (
        *(white_balance, saturation, haze, noise, jpeg, flicker),
        *(light_gradual, light_sudden, gamma, blur, shift),
    )
}


def _lit(pictures: np.ndarray, gains: np.ndarray) -> np.ndarray:
    """Each picture times its gain, (F,)."""
    each = iter(gains.tolist())
    return _on_tensors(pictures, lambda p: gained(p, p.new_tensor([[next(each)] * 3])))


def _on_tensors(pictures: np.ndarray, change: Callable[[Tensor], Tensor]) -> np.ndarray:
    """Pictures changed one after another, so that an episode's need no more memory than one's."""
    changed = np.empty_like(pictures)
    for before, after in zip(pictures, changed, strict=True):
        picture = torch.from_numpy(before).permute(2, 0, 1)[None].float() / 255
        picture = (change(picture).clamp(0.0, 1.0)[0] * 255).round()
        after[:] = picture.permute(1, 2, 0).to(torch.uint8).numpy()
    return changed
