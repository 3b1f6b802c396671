"""The name under which lerobot's commands discover the policy type `cls_smolvla`.

They import each installed distribution whose name begins with `lerobot_policy_`, by its name.
"""

import cls_vla_ros.policy

__all__ = ["cls_vla_ros"]
