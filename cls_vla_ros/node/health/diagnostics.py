"""What the node says of itself on /diagnostics, once a second."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from typing import TYPE_CHECKING

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from cls_vla_ros.inference import Reason
from cls_vla_ros.robot.inference_loop import Result

if TYPE_CHECKING:
    from cls_vla_ros.inference import PolicyServer, Session

RATE_WINDOW_S = 5.0
BLIND = (
    "blind: the similarity has stopped to vary, so nothing is reused. Look at the cameras' white "
    "balance and exposure, or calibrate on recordings of this light"
)


class Health:
    """Counts what happens, for the diagnostics. Thread-safe.

    The level is OK while inferences come, WARN while the gate is blind, or the node holds (and
    why), ERROR after one raised or hangs, or a transition failed, and STALE if inferences end
    without any of these.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._level = DiagnosticStatus.WARN
        self._message = "unconfigured"
        self._last_error = self._last_reset = self._silent_because = ""
        self._times: deque[float] = deque()
        self._result: Result | None = None
        self._counts: Counter[str] = Counter()

    def good(self, result: Result) -> None:
        """An inference was published."""
        with self._lock:
            self._level, self._message = DiagnosticStatus.OK, "inferring"
            if result.inference.reason is Reason.GATE_BLIND:
                self._level, self._message = (
                    DiagnosticStatus.WARN,
                    f"inferring; the gate is {BLIND}",
                )
            self._result = result
            self._counts["inferences"] += 1
            self._times.append(time.monotonic())

    def authority(self, silent_because: str) -> None:
        """Controllers get nothing, and this is why; empty: they do."""
        with self._lock:
            self._silent_because = silent_because

    @property
    def why_holding(self) -> str:
        """Why nothing is commanded; empty if all is well."""
        with self._lock:
            return "" if self._level == DiagnosticStatus.OK else self._message

    def hold(self, reason: str) -> None:
        """Nothing is published, and this is why."""
        with self._lock:
            self._level, self._message = DiagnosticStatus.WARN, f"holding: {reason}"

    def episode_began(self, text: str) -> None:
        """A reset: nothing is published until the first chunk of the new episode."""
        with self._lock:
            self._level, self._message = DiagnosticStatus.WARN, f"holding: {text}"
            self._last_reset = text

    def clamped(self, text: str) -> None:
        """A chunk was moved into the limits."""
        with self._lock:
            self._counts["chunks clamped"] += 1
            self._last_error = text

    def error(self, text: str) -> None:
        """An inference raised."""
        with self._lock:
            self._level, self._message = DiagnosticStatus.ERROR, text
            self._last_error = text
            self._counts["errors"] += 1

    def refused(self, topic: str, text: str) -> None:
        """A message on a topic was not used."""
        with self._lock:
            self._counts[f"messages refused on {topic}"] += 1
            self._last_error = f"{topic}: {text}"

    def to_message(
        self, stamp, name: str, hardware_id: str, more: dict[str, object]
    ) -> DiagnosticArray:
        """The diagnostics now.

        Args:
            stamp: builtin_interfaces/Time.
            name: of the status.
            hardware_id: what it is about: the checkpoint.
            more: further values.
        """
        with self._lock:
            now = time.monotonic()
            while self._times and now - self._times[0] > RATE_WINDOW_S:
                self._times.popleft()
            level, text = self._level, self._message
            if level == DiagnosticStatus.OK and not self._times:
                level = DiagnosticStatus.STALE
                text = f"no inference for {RATE_WINDOW_S:g} s, and nothing says why"
            if level == DiagnosticStatus.OK and self._silent_because:
                text += f"; controllers get nothing: {self._silent_because}"
            values = {**more, "rate [Hz]": len(self._times) / RATE_WINDOW_S, **self._counts}
            if self._result is not None:
                inference = self._result.inference
                values |= {
                    "latency [ms]": inference.total_ms,
                    "observation age [ms]": self._result.observation_age_ms,
                    "hit rate": inference.hit_rate,
                }
                if inference.decision is not None:
                    values["similarity"] = inference.decision.similarity
            values["commands"] = self._silent_because or "to the controllers"
            values["last reset"] = self._last_reset
            values["last error"] = self._last_error
            status = DiagnosticStatus(
                level=level, name=name, message=text, hardware_id=hardware_id
            )
        status.values = [KeyValue(key=key, value=_text(value)) for key, value in values.items()]
        message = DiagnosticArray(status=[status])
        message.header.stamp = stamp
        return message


def of_policy(server: PolicyServer) -> dict[str, object]:
    """What they say of the policy: how it runs, and whether its gate means anything."""
    config, engine = server.config, server.engine
    if engine is None:  # closed meanwhile
        return {}
    trained = "trained" if config.cls_head_trained else "untrained"
    return {
        "device": config.device,
        "engine": f"{engine.name}, {engine.ops_name}, {engine.dtype}",
        "device memory [MB]": engine.memory_mb,
        "CLS head": trained if config.use_cls_head else "off",
    }


def of_session(session: Session) -> dict[str, object]:
    """What they say of the gate and the cache."""
    of_episode, in_total = session.counts()
    by_interval = ", ".join(map(str, session.thresholds_by_interval))
    return {
        "episode": session.episode,
        "threshold": by_interval or session.threshold,
        "reuse rate": session.statistics.reuse_rate,
        "gate": BLIND if session.is_blind else "sees",
        "cached prefixes": session.cache_length,
        "cached prefixes [MB]": session.cache_nbytes / 1e6,
        **{f"episode {reason.name.lower()}": n for reason, n in of_episode.items()},
        **{f"total {reason.name.lower()}": n for reason, n in in_total.items()},
    }


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
