"""The runtime around the policy: load a checkpoint, infer, reuse what may be reused. No ROS."""

from cls_vla_ros.inference.handover import Handover
from cls_vla_ros.inference.observation import Observation
from cls_vla_ros.inference.policy_server import PolicyServer
from cls_vla_ros.inference.result import Inference, batch_mean
from cls_vla_ros.inference.reuse.reasons import Reason
from cls_vla_ros.inference.reuse.reuse_limits import ReuseLimits
from cls_vla_ros.inference.session import Session
from cls_vla_ros.inference.statistics import Statistics
from cls_vla_ros.policy.checkpoint.load_policy import load_policy
from cls_vla_ros.policy.scene_gate import GateDecision, SceneGate
from cls_vla_ros.policy.thresholds import THRESHOLD_PRESETS

__all__ = [
    "THRESHOLD_PRESETS",
    "GateDecision",
    "Handover",
    "Inference",
    "Observation",
    "PolicyServer",
    "Reason",
    "ReuseLimits",
    "SceneGate",
    "Session",
    "Statistics",
    "batch_mean",
    "load_policy",
]
