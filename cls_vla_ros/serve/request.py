"""What a robot asks for: an observation by feature name, and our optional fields."""

import math
from dataclasses import dataclass, fields
from types import SimpleNamespace

import numpy as np

from cls_vla_ros.inference import Handover, Observation, ReuseLimits
from cls_vla_ros.inference.observation import OBS_STATE
from cls_vla_ros.robot.observation.images import compressed_image_to_rgb
from cls_vla_ros.robot.observation.picture_size import check_size

PICTURES = "observation.images."
MAX_PICTURES = 16
MAX_TASK = 1000  # characters
MAX_SESSION = 100
MAX_DEADLINE_S = 60.0
OPTIONS = (
    *("prompt", "task", "session", "stamp", "episode", "deadline", "handover", "reset", "seed"),
    *("reuse", "id"),
)


class RequestError(ValueError):
    """A request that cannot be served; the text says what was expected and what came."""


@dataclass(frozen=True)
class Reuse:
    """When a session's prefixes may be used again, see `Session`.

    Attributes:
        limits: of it.
        threshold: of the gate.
        by_interval: thresholds by interval.
    """

    limits: ReuseLimits
    threshold: float
    by_interval: list[list[float]]


@dataclass(frozen=True)
class Request:
    """One of a robot's.

    Attributes:
        observation: None if it is only a reset; its stamp_s is NaN where none was given.
        session: whose; "" for the connection's.
        episode: the robot's number of the observation's episode; None if it does not count.
        deadline_s: how long after its arrival an answer is of use.
        handover: for real-time chunking.
        reset: whether an episode begins with it.
        seed: of the session's noise, which begins anew; None to leave that.
        reuse: to be in force from now on; None for what is.
        number: the robot's; it comes back in the answer.
    """

    observation: Observation | None
    session: str
    episode: int | None
    deadline_s: float
    handover: Handover | None
    reset: bool
    seed: int | None
    reuse: Reuse | None
    number: int | None


def parse(message: dict) -> Request:
    """Read a message.

    Raises:
        RequestError: it is no request.
    """
    features = {k: v for k, v in message.items() if k not in OPTIONS}
    unknown = [k for k in features if k != OBS_STATE and not k.startswith(PICTURES)]
    if unknown:
        raise RequestError(
            f"unknown names {[name[:60] for name in unknown[:5]]}: expected {OBS_STATE}, "
            f"{PICTURES}<name>, prompt, and of the optional {', '.join(OPTIONS[1:])}"
        )
    reset = _option(message, "reset", bool, False)
    observation = None
    if features or not reset:
        observation = _observation(features, message)
    session = _option(message, "session", str, "")
    if len(session) > MAX_SESSION:
        raise RequestError(f"session must have at most {MAX_SESSION} characters")
    return Request(
        observation=observation,
        session=session,
        episode=_whole(message, "episode"),
        deadline_s=_number(message, "deadline", MAX_DEADLINE_S, 0.0, MAX_DEADLINE_S),
        handover=_handover(message.get("handover")),
        reset=reset,
        seed=_whole(message, "seed"),
        reuse=_reuse(message.get("reuse")),
        number=_whole(message, "id"),
    )


def _observation(features: dict, message: dict) -> Observation:
    state = features.get(OBS_STATE)
    if not isinstance(state, np.ndarray) or state.ndim != 1:
        raise RequestError(f"{OBS_STATE} must be an array (S,) of numbers, got {_what(state)}")
    given = {name: value for name, value in features.items() if name != OBS_STATE}
    if not 0 < len(given) <= MAX_PICTURES:
        raise RequestError(f"expected 1 to {MAX_PICTURES} pictures {PICTURES}<name>: {len(given)}")
    task = _option(message, "prompt", str, None) or _option(message, "task", str, "")
    if not task.strip() or len(task) > MAX_TASK:
        raise RequestError(f"prompt must be an instruction of 1 to {MAX_TASK} characters")
    return Observation(
        {name: _picture(name, value) for name, value in given.items()},
        state.astype(np.float32),
        task,
        _number(message, "stamp", math.nan, -1e12, 1e12),
    )


def _picture(name: str, value: object) -> np.ndarray:
    """(height, width, 3) uint8 RGB of an array, or of a JPEG's or PNG's bytes."""
    try:
        if isinstance(value, bytes):
            return compressed_image_to_rgb(SimpleNamespace(data=value, format="jpeg"))
        if not isinstance(value, np.ndarray) or value.dtype != np.uint8 or value.ndim != 3:
            raise RequestError(
                f"expected (height, width, 3) uint8 RGB, or a JPEG's bytes, got {_what(value)}"
            )
        if value.shape[2] != 3:
            raise RequestError(f"expected 3 channels in the last axis, got {value.shape}")
        check_size(*value.shape[:2])
    except ValueError as error:
        raise RequestError(f"{name}: {error}") from None
    return value


def _handover(value: object) -> Handover | None:
    if value is None:
        return None
    if not isinstance(value, dict) or "dt" not in value:
        raise RequestError(f"handover must be a map with dt and delay in s, got {_what(value)}")
    return Handover(_number(value, "dt", 0.0, 1e-4, 100.0), _number(value, "delay", 0.0, 0.0, 100))


def _reuse(value: object) -> Reuse | None:
    if value is None:
        return None
    try:
        limits = dict(value["limits"])
        names = {field.name for field in fields(ReuseLimits)}
        default = ReuseLimits()
        for name, given in limits.items():
            if name not in names:
                raise RequestError(f"reuse.limits has no {name[:50]!r}")
            kind = type(getattr(default, name))
            kinds = {float: (float, int), frozenset: (list,)}.get(kind, (kind,))
            if type(given) not in kinds:
                raise RequestError(f"reuse.limits.{name} must be {kind.__name__}: {_what(given)}")
        if "unguarded" in limits:
            limits["unguarded"] = frozenset(map(str, limits["unguarded"]))
        rows = [[float(v) for v in row] for row in value.get("by_interval", [])]
        return Reuse(ReuseLimits(**limits), float(value["threshold"]), rows)
    except RequestError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RequestError(f"reuse must be a map with limits and threshold: {error}") from None


def _option(message: dict, name: str, kind: type, default: object) -> object:
    value = message.get(name)
    if value is not None and type(value) is not kind:
        raise RequestError(f"{name} must be {kind.__name__}, got {_what(value)}")
    return default if value is None else value


def _whole(message: dict, name: str) -> int | None:
    value = _option(message, name, int, None)
    if value is not None and not 0 <= value < 2**62:
        raise RequestError(f"{name} must be a whole number from 0 on, got {value}")
    return value


def _number(message: dict, name: str, default: float, lower: float, upper: float) -> float:
    value = message.get(name)
    if value is None:
        return default
    if type(value) not in (int, float) or not lower <= value <= upper:
        raise RequestError(
            f"{name} must be a number in [{lower:g}, {upper:g}], got {_what(value)}"
        )
    return float(value)


def _what(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"an array {value.shape} {value.dtype}"
    text = repr(value)[:50] if isinstance(value, (int, float, str)) else ""
    return "nothing" if value is None else f"{type(value).__name__} {text}".strip()
