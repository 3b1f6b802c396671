"""What a robot gets: actions, and all that an `Inference` says; and what it is told at first."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cls_vla_ros.inference import Inference
from cls_vla_ros.inference.remote.protocol import PROTOCOL
from cls_vla_ros.serve.request import Request

if TYPE_CHECKING:
    from cls_vla_ros.inference import PolicyServer
    from cls_vla_ros.policy.checkpoint.dataset_stats import Seen

CONFIG = (  # of the policy, what a node asks it for
    *("device", "chunk_size", "use_cls_head", "cls_head_trained", "cls_similarity_threshold"),
    *("cls_max_age_s", "cls_max_reuses", "cls_max_motion", "glance_threshold"),
)


def describe(server: PolicyServer, seen: dict[str, Seen], replica: str) -> dict:
    """The first message to a robot, which openpi calls the server's metadata.

    Args:
        server: of the replica.
        seen: ranges in the policy's data, by feature.
        replica: its name.
    """
    config, engine = server.config, server.engine
    state = config.robot_state_feature
    return {
        "protocol": PROTOCOL,
        "replica": replica,
        "pictures": {name: list(f.shape) for name, f in config.image_features.items()},
        "state": list(state.shape) if state else [0],
        "action": list(config.action_feature.shape),
        "config": {name: getattr(config, name) for name in CONFIG},
        "cls_thresholds": [list(map(float, row)) for row in config.cls_thresholds or ()],
        "engine": {"name": engine.name, "ops_name": engine.ops_name, "dtype": str(engine.dtype)},
        "memory_mb": float(engine.memory_mb),
        "seen": {
            name: {"lower": s.lower, "upper": s.upper, "is_exact": bool(s.is_exact)}
            for name, s in seen.items()
        },
    }


def answer(
    inference: Inference, request: Request, episode: int | None, times: dict[str, float]
) -> dict:
    """A robot's answer.

    Args:
        inference: of its observation.
        request: its own.
        episode: its number of the episode.
        times: milliseconds, beside the inference's own.
    """
    decision = inference.decision
    return {
        "actions": inference.actions,
        "id": request.number,
        "episode": episode,
        "stamp": request.observation.stamp_s,
        "reason": inference.reason.name,
        "decision": decision
        and {
            "similarity": decision.similarity,
            "threshold": decision.threshold,
            "has_history": decision.has_history,
            "should_cache": decision.should_cache,
        },
        "ages": {
            "cache_age_s": inference.cache_age_s,
            "cache_length": inference.cache_length,
            "consecutive_reuses": inference.consecutive_reuses,
        },
        "motion": float(inference.motion),
        "glance_score": float(inference.glance_score),
        "hit_rate": inference.hit_rate,
        "reuse_rate": inference.reuse_rate,
        "times": {
            "prefix_ms": inference.prefix_ms,
            "refresh_ms": inference.refresh_ms,
            "denoise_ms": inference.denoise_ms,
            "total_ms": inference.total_ms,
            **times,
        },
        "server_timing": {"infer_ms": inference.total_ms},  # openpi's
    }


def reset_answer(request: Request, episode: int | None) -> dict:
    """To a reset without an observation."""
    return {"id": request.number, "episode": episode, "reset": True, "stamp": time.time()}
