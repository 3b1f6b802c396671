"""The cameras side by side: that two are swapped, only a person can see."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from cls_vla_ros.inference import Observation
from cls_vla_ros.robot.settings import Settings


def draw_cameras(observation: Observation, settings: Settings, path: Path) -> None:
    """A picture of each camera under the name that the policy has for it.

    Args:
        observation: with the pictures.
        settings: whose topics they came on.
        path: of the PNG.
    """
    count = len(settings.cameras)
    figure, axes = plt.subplots(1, count, figsize=(4.2 * count, 4.0), squeeze=False)
    for camera, ax in zip(settings.cameras, axes[0], strict=True):
        picture = observation.images[camera.feature]
        ax.imshow(picture)
        height, width = picture.shape[:2]
        ax.set_title(f"{camera.feature}\n{camera.topic}, {height} x {width}", fontsize=9)
        ax.set_axis_off()
    figure.suptitle("Is each the camera that the policy was trained with?", fontsize=10)
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    plt.close(figure)
