"""What passes between a robot and a server, as a robot sees it."""

import math
from dataclasses import dataclass, fields
from types import SimpleNamespace

import cv2
import numpy as np

from cls_vla_ros.inference.handover import Handover
from cls_vla_ros.inference.observation import OBS_STATE, Observation
from cls_vla_ros.inference.remote.codec import MessageError
from cls_vla_ros.inference.result import Inference
from cls_vla_ros.inference.reuse.reasons import Reason
from cls_vla_ros.inference.reuse.reuse_limits import ReuseLimits
from cls_vla_ros.policy.thresholds import GateDecision

PROTOCOL = 1


@dataclass(frozen=True)
class RemoteConfig:
    """What a node asks a policy's configuration for; the names are CLSSmolVLAConfig's.

    Attributes:
        image_features: by name, each with its `shape` (3, height, width).
        robot_state_feature: with its `shape` (S,).
        action_feature: with its `shape` (A,).
        device: where it runs, there.
        chunk_size: T.
        use_cls_head: see CLSSmolVLAConfig, as all that follow.
    """

    image_features: dict[str, SimpleNamespace]
    robot_state_feature: SimpleNamespace
    action_feature: SimpleNamespace
    device: str
    chunk_size: int
    use_cls_head: bool
    cls_head_trained: bool
    cls_similarity_threshold: float
    cls_thresholds: tuple[tuple[float, ...], ...]
    cls_max_age_s: float | None
    cls_max_reuses: int | None
    cls_max_motion: float | None
    glance_threshold: float | None


def read_config(metadata: dict) -> RemoteConfig:
    """The policy that a server says it has.

    Raises:
        MessageError: it is no server of ours, or of another version.
    """
    if metadata.get("protocol") != PROTOCOL:
        raise MessageError(
            f"the server speaks the protocol {metadata.get('protocol')!r}, this node {PROTOCOL}: "
            "run the same version of cls_vla_ros on both (its `serve`, no other server)"
        )
    try:
        shapes = {
            name: SimpleNamespace(shape=tuple(s)) for name, s in metadata["pictures"].items()
        }
        return RemoteConfig(
            image_features=shapes,
            robot_state_feature=SimpleNamespace(shape=tuple(metadata["state"])),
            action_feature=SimpleNamespace(shape=tuple(metadata["action"])),
            cls_thresholds=tuple(map(tuple, metadata["cls_thresholds"])),
            **metadata["config"],
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise MessageError(f"the server's first message is not as expected: {error}") from None


def to_request(
    observation: Observation,
    *,
    episode: int,
    number: int,
    deadline_s: float,
    handover: Handover | None,
    jpeg_quality: int,
) -> dict:
    """An observation as it is sent.

    Args:
        observation: any.
        episode: that it was taken in.
        number: comes back in the answer.
        deadline_s: how long an answer is of use.
        handover: for real-time chunking.
        jpeg_quality: of the pictures, 1 to 100; 0 for the pixels themselves.
    """
    message = {
        OBS_STATE: observation.state,
        "prompt": observation.task,
        "stamp": observation.stamp_s,
        "episode": episode,
        "id": number,
        "deadline": deadline_s,
    }
    if handover is not None:
        message["handover"] = {"dt": handover.dt_s, "delay": handover.delay_s}
    for name, picture in observation.images.items():
        message[name] = _jpeg(picture, jpeg_quality) if jpeg_quality else picture
    return message


def to_reuse(
    limits: ReuseLimits, threshold: float, by_interval: tuple[tuple[float, ...], ...]
) -> dict:
    """What shall be in force at the other end, see `Session`."""
    values = {field.name: getattr(limits, field.name) for field in fields(limits)}
    values["unguarded"] = sorted(values["unguarded"])
    return {"limits": values, "threshold": threshold, "by_interval": list(map(list, by_interval))}


def read_answer(answer: dict, action_shape: tuple[int, int]) -> Inference:
    """What the server made.

    Args:
        answer: its message.
        action_shape: (T, A).

    Raises:
        MessageError: it is not as it should be.
    """
    try:
        actions = answer["actions"]
        if not isinstance(actions, np.ndarray) or actions.shape != action_shape:
            raise MessageError(f"the actions must be an array {action_shape}")
        said, ages, times = answer["decision"], answer["ages"], answer["times"]
        decision = said and GateDecision(
            similarity=float(said["similarity"]),
            per_sample=(float(said["similarity"]),),
            threshold=float(said["threshold"]),
            has_history=bool(said["has_history"]),
            should_cache=bool(said["should_cache"]),
        )
        return Inference(
            episode=int(answer["episode"]),
            actions=actions.astype(np.float64),
            decision=decision,
            obs_cls_out=None,
            reason=Reason[answer["reason"]],
            cache_length=int(ages["cache_length"]),
            cache_age_s=float(ages["cache_age_s"]),
            motion=float(answer["motion"]),
            glance_score=float(answer["glance_score"]),
            consecutive_reuses=int(ages["consecutive_reuses"]),
            hit_rate=float(answer["hit_rate"]),
            reuse_rate=float(answer["reuse_rate"]),
            prefix_ms=float(times["prefix_ms"]),
            refresh_ms=float(times["refresh_ms"]),
            denoise_ms=float(times["denoise_ms"]),
            total_ms=math.nan,
        )
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, MessageError):
            raise
        raise MessageError(f"the server's answer is not as expected: {error!r}") from None


def _jpeg(picture: np.ndarray, quality: int) -> bytes:
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return data.tobytes()
