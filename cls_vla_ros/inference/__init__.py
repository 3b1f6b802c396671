"""The runtime around the policy: load a checkpoint, infer, keep each episode's history. No ROS."""

from cls_vla_ros.inference.load_policy import load_policy
from cls_vla_ros.inference.policy_server import Inference, Observation, PolicyServer
from cls_vla_ros.policy.scene_gate import THRESHOLD_PRESETS, GateDecision, SceneGate

__all__ = [
    "THRESHOLD_PRESETS",
    "GateDecision",
    "Inference",
    "Observation",
    "PolicyServer",
    "SceneGate",
    "load_policy",
]
