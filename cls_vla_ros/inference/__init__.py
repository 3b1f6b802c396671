"""The runtime around the policy: load a checkpoint, infer, reuse what may be reused. No ROS."""

from cls_vla_ros.console.lazy import lazy

_MODULES = {
    "THRESHOLD_PRESETS": "cls_vla_ros.policy.thresholds",
    "GateDecision": "cls_vla_ros.policy.thresholds",
    "Handover": "handover",
    "Inference": "result",
    "Observation": "observation",
    "PolicyServer": "policy_server",
    "Reason": "reuse.reasons",
    "ReuseLimits": "reuse.reuse_limits",
    "SceneGate": "cls_vla_ros.policy.scene_gate",
    "Session": "session",
    "Statistics": "statistics",
    "batch_mean": "result",
    "load_policy": "cls_vla_ros.policy.checkpoint.load_policy",
}
__all__ = list(_MODULES)
__getattr__ = lazy(__name__, _MODULES)
