"""From settings to a policy that is ready to infer."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from cls_vla_ros.engine import check_engine
from cls_vla_ros.inference import PolicyServer, load_policy
from cls_vla_ros.inference.observation import picture_names
from cls_vla_ros.policy.checkpoint.dataset_stats import Seen, read_seen
from cls_vla_ros.policy.checkpoint.location import locate
from cls_vla_ros.robot.demo_policy import resolve_policy_path
from cls_vla_ros.robot.settings import Settings


def load_server(settings: Settings, episode: int, say: Callable[[str], None]) -> PolicyServer:
    """Load the checkpoint, see that it fits, and warm the engine up.

    Args:
        settings: from the parameters.
        episode: number of the one to begin with.
        say: gets a line at each stage, because this may take a minute.

    Raises:
        FileNotFoundError: there is no such checkpoint.
        ValueError: it cannot be used, does not fit the settings, or there is no such device.
    """
    path = resolve_policy_path(settings.policy_path)
    say(f"loading the policy {path}")
    policy, preprocessor, postprocessor = load_policy(
        path, settings.device, check=lambda config: check_against_policy(settings, config)
    )
    policy.config.num_steps = settings.num_steps or policy.config.num_steps
    server = PolicyServer(
        policy,
        preprocessor,
        postprocessor,
        engine=settings.engine,
        dtype=settings.dtype,
        seed=settings.seed,
        episode=episode,
        cameras=[camera.feature for camera in settings.cameras],
    )
    del policy  # the engine has its weights now, and the device's memory may be small
    say(f"the engine is warm after {server.warm_up(say):.1f} s")
    return server


def with_folder(settings: Settings) -> Settings:
    """The settings with the checkpoint's own folder as policy_path.

    Raises:
        FileNotFoundError: there is no such checkpoint.
    """
    return replace(settings, policy_path=str(locate(resolve_policy_path(settings.policy_path))))


def seen_by(settings: Settings) -> dict[str, Seen]:
    """The ranges of state and action in a checkpoint's data, by feature.

    Args:
        settings: `with_folder`.
    """
    return read_seen(Path(settings.policy_path))


def check_against_policy(settings: Settings, policy_config) -> None:
    """Does the mapping fit the checkpoint?

    Args:
        settings: from the parameters.
        policy_config: the policy's CLSSmolVLAConfig.

    Raises:
        ValueError: a camera has no picture that the policy takes, or two have the same one, or
            the sizes of state or action differ, or there is no such engine on its device. The text
            has the names of both sides.
    """
    check_engine(settings.engine, policy_config.device)
    mapped = sorted(camera.feature for camera in settings.cameras)
    known = policy_config.image_features.keys() & mapped
    if not mapped or len(known) != len(mapped):
        raise ValueError(
            f"the policy takes the pictures {picture_names(policy_config)}, but the cameras are "
            f"mapped to {mapped}: give each camera one of the policy's pictures, with "
            "camera.<name>.feature. Those that it was trained without may be left out"
        )
    for what, names in (
        ("cameras", [camera.name for camera in settings.cameras]),
        ("state.joints", settings.state.joints),
        ("action.names", settings.action.names),
    ):
        if len(set(names)) != len(names):
            raise ValueError(f"{what} names something more than once: {names}")
    state_size = (
        policy_config.robot_state_feature.shape[0] if policy_config.robot_state_feature else 0
    )
    if len(settings.state.joints) != state_size:
        raise ValueError(
            f"the policy's observation.state has {state_size} values, but state.joints names "
            f"{len(settings.state.joints)}: {settings.state.joints}"
        )
    action_size = policy_config.action_feature.shape[0]
    if len(settings.action.names) != action_size:
        raise ValueError(
            f"the policy's action has {action_size} values, but action.names names "
            f"{len(settings.action.names)}: "
            f"{settings.action.names}"
        )
