"""The name under which lerobot's commands discover the policy type `cls_smolvla`.

They import each installed distribution whose name begins with `lerobot_policy_`, by its name.
"""

from cls_vla_ros.policy import (
    CLSSmolVLAConfig,
    CLSSmolVLAPolicy,
    make_cls_smolvla_pre_post_processors,
)

__all__ = ["CLSSmolVLAConfig", "CLSSmolVLAPolicy", "make_cls_smolvla_pre_post_processors"]
