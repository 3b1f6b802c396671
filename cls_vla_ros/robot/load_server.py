"""From settings to a policy that is ready to infer."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from cls_vla_ros.engine import check_engine
from cls_vla_ros.inference import PolicyServer, load_policy
from cls_vla_ros.policy.checkpoint.dataset_stats import Seen, read_seen
from cls_vla_ros.policy.checkpoint.location import locate
from cls_vla_ros.robot.check_policy import check_mapping
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
        ValueError: see `check_mapping`; or there is no such engine on its device.
    """
    check_engine(settings.engine, policy_config.device)
    check_mapping(settings, policy_config)
