"""SmolVLA with CLS tokens, as a lerobot policy plugin of type `cls_smolvla`.

Importing CLSSmolVLAConfig registers the policy with lerobot. Its own commands do that themselves
(`lerobot-train --policy.type=cls_smolvla`), since the distribution `lerobot_policy_cls_smolvla` is
installed with it.

Letters in the shapes, here and in `inference`: B batch, C cameras, P prefix tokens, N CLS tokens,
H hidden, T steps of a chunk, A action values, S state values.
"""

from cls_vla_ros.console.lazy import lazy

_MODULES = {
    "THRESHOLD_PRESETS": "thresholds",
    "CLSSmolVLAConfig": "configuration_cls_smolvla",
    "CLSSmolVLAPolicy": "modeling_cls_smolvla",
    "GateDecision": "thresholds",
    "SceneGate": "scene_gate",
    "make_cls_smolvla_pre_post_processors": "processor_cls_smolvla",
}
__all__ = list(_MODULES)
__getattr__ = lazy(__name__, _MODULES)
