"""Does a policy fit the parameters, wherever it runs?"""

from cls_vla_ros.policy.pictures import picture_names
from cls_vla_ros.robot.settings import Settings


def check_mapping(settings: Settings, policy_config) -> None:
    """Do cameras, state and action fit a policy's?

    Args:
        settings: from the parameters.
        policy_config: the policy's CLSSmolVLAConfig, or a server's RemoteConfig.

    Raises:
        ValueError: a camera has no picture that the policy takes, or two have the same one, or
            the sizes of state or action differ. The text has the names of both sides.
    """
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
