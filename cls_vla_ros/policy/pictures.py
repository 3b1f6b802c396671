"""Which pictures a policy takes, by feature name."""

from collections.abc import Collection

EMPTY_CAMERA = ".empty_camera_"  # lerobot adds such a feature for each of config.empty_cameras


def picture_names(config) -> list[str]:
    """The pictures that a policy takes from cameras, sorted.

    lerobot-train leaves the cameras of the checkpoint it began with in config.json, whatever the
    dataset has: a policy may be fed any of them, but not none.

    Args:
        config: of the policy, a SmolVLAConfig.
    """
    return sorted(name for name in config.image_features if EMPTY_CAMERA not in name)


def empty_pictures(config, given: int) -> int:
    """How many empty pictures lerobot adds to those that are given, see its `prepare_images`.

    Nothing attends to one, but to the special tokens around it, where the policy has these.

    Args:
        config: of the policy, a SmolVLAConfig.
        given: C.
    """
    return min(len(config.image_features) - given, config.empty_cameras)


def left_out(config, given: Collection[str]) -> list[str]:
    """The pictures that a policy takes and nobody gives, sorted."""
    return [name for name in picture_names(config) if name not in given]
