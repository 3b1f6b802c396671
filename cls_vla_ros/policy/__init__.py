"""SmolVLA with CLS tokens, as a lerobot policy plugin of type `cls_smolvla`.

Importing this package registers the policy with lerobot. Its own commands do that by themselves
(`lerobot-train --policy.type=cls_smolvla`), since the distribution `lerobot_policy_cls_smolvla` is
installed with it.

Letters in the shapes, here and in `inference`: B batch, C cameras, P prefix tokens, N CLS tokens,
H hidden, T steps of a chunk, A action values, S state values.
"""

from cls_vla_ros.policy.configuration_cls_smolvla import CLSSmolVLAConfig
from cls_vla_ros.policy.modeling_cls_smolvla import CLSSmolVLAPolicy
from cls_vla_ros.policy.processor_cls_smolvla import make_cls_smolvla_pre_post_processors
from cls_vla_ros.policy.scene_gate import GateDecision, SceneGate
from cls_vla_ros.policy.thresholds import THRESHOLD_PRESETS

__all__ = [
    "THRESHOLD_PRESETS",
    "CLSSmolVLAConfig",
    "CLSSmolVLAPolicy",
    "GateDecision",
    "SceneGate",
    "make_cls_smolvla_pre_post_processors",
]
