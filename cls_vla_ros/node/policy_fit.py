"""Does the mapping from topics fit the checkpoint?"""

from cls_vla_ros.inference.observation import picture_names
from cls_vla_ros.node.settings import Settings


def check_against_policy(settings: Settings, policy_config) -> None:
    """Does the mapping fit the checkpoint?

    Args:
        settings: from the parameters.
        policy_config: the loaded policy's CLSSmolVLAConfig.

    Raises:
        ValueError: a picture that the policy takes has no camera, or the reverse, or the sizes of
            state or action differ. The text has the names of both sides.
    """
    pictures = picture_names(policy_config)
    mapped = sorted(camera.feature for camera in settings.cameras)
    if mapped != pictures:
        raise ValueError(
            f"the policy takes the pictures {pictures}, but the cameras are mapped to {mapped}: "
            "give each of the policy's pictures one camera, with camera.<name>.feature"
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
