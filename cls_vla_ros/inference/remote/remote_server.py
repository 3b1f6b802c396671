"""A PolicyServer to those who ask it, whose policy runs elsewhere."""

import threading
import time
from collections.abc import Collection
from dataclasses import replace
from types import SimpleNamespace

from cls_vla_ros.inference.handover import Handover
from cls_vla_ros.inference.observation import Observation, check_observation
from cls_vla_ros.inference.remote.codec import MessageError
from cls_vla_ros.inference.remote.link import Link
from cls_vla_ros.inference.remote.protocol import (
    RemoteConfig,
    read_answer,
    read_config,
    to_request,
    to_reuse,
)
from cls_vla_ros.inference.remote.remote_session import RemoteSession
from cls_vla_ros.inference.result import Inference

DEFAULT = "default"


class RemotePolicyServer:
    """Of one robot: `infer` and `session` as a PolicyServer has them.

    Attributes:
        config: of the policy, as far as a node asks.
        engine: what runs it: name, ops_name, dtype, memory_mb.
        seen: the ranges in its data, as the server says them: lower, upper, is_exact by feature.
        replica: which of the server's it speaks with: `replica`, its name, and `pid`.
        times: of the last answer, as the server has measured them, in milliseconds.
    """

    def __init__(
        self,
        where: str,
        *,
        session: str,
        token: str = "",
        timeout_s: float = 1.0,
        jpeg_quality: int = 95,
        seed: int | None = None,
        episode: int = 0,
        cameras: Collection[str] | None = None,
    ) -> None:
        """Connect, and hear what policy it is.

        Args:
            where: ws://host:port, or wss://.
            session: this robot's name there.
            token: see `Link`.
            timeout_s: likewise.
            jpeg_quality: of the pictures, 1 to 100; 0 for the pixels themselves.
            seed: of the denoising noise; None for another one every time.
            episode: number of the episode that it begins with.
            cameras: the pictures of each observation; None for any.

        Raises:
            LinkError: there is no server.
        """
        self._jpeg_quality, self._seed, self._cameras = jpeg_quality, seed, cameras
        self._lock = threading.Lock()  # held for a whole inference
        self.config: RemoteConfig | None = None
        self._number = 0
        self.times: dict[str, float] = {}
        self._link = Link(where, session, token, timeout_s, self._greeted)
        self._link.open()
        self._session = RemoteSession(self.config, episode)

    def _greeted(self, metadata: dict) -> None:
        config = read_config(metadata)
        self.replica = {"replica": metadata["replica"], "pid": metadata.get("pid")}
        if self.config is None:
            self.config = config
            self.engine = SimpleNamespace(
                memory_mb=metadata["memory_mb"], **dict(metadata["engine"])
            )
            self.seen = metadata["seen"]
        elif replace(config, device="") != replace(self.config, device=""):
            raise MessageError(
                "it has another policy than when this node was configured: configure it again"
            )
        self._told = self._telling = None  # the replica may be one that knows nothing

    def session(self, name: str = DEFAULT) -> RemoteSession:
        """This robot's; there is one."""
        return self._session

    def reset(self, session: str = DEFAULT) -> int:
        """As `PolicyServer.reset`; never waits for an inference."""
        return self._session.reset()[0]

    def infer(
        self,
        observation: Observation,
        session: str = DEFAULT,
        episode: int | None = None,
        handover: Handover | None = None,
    ) -> Inference:
        """As `PolicyServer.infer`; `total_ms` is the round trip, coding included.

        Raises:
            ValueError: the observation is not what the policy takes.
            LinkError: there is no answer.
        """
        check_observation(observation, self.config, self._cameras)
        episode = self._session.episode if episode is None else episode
        with self._lock:
            started = time.perf_counter()
            self._number += 1
            answer = self._link.ask(lambda: self._request(observation, episode, handover))
            try:
                if (answer.get("id"), answer.get("episode")) != (self._number, episode):
                    raise MessageError(
                        f"it answers the request {answer.get('id')} of episode "
                        f"{answer.get('episode')}, and was asked {self._number} of {episode}"
                    )
                shape = (self.config.chunk_size, *self.config.action_feature.shape)
                inference = read_answer(answer, shape)
            except MessageError as error:
                raise self._link.failed(f"it is out of step: {error}") from None
            self.times = answer["times"]
            self._told = self._telling  # not what was refused, or got lost
            took_ms = (time.perf_counter() - started) * 1e3
        inference = replace(inference, total_ms=took_ms)
        self._session.inferred(inference)
        return inference

    def _request(self, observation: Observation, episode: int, handover: Handover | None) -> dict:
        message = to_request(
            observation,
            episode=episode,
            number=self._number,
            deadline_s=self._link.timeout_s,
            handover=handover,
            jpeg_quality=self._jpeg_quality,
        )
        self._telling = in_force = self._session.in_force()
        if in_force != self._told:
            message["reuse"] = to_reuse(*in_force)
            if self._told is None and self._seed is not None:
                message["seed"] = self._seed
        return message

    def close(self) -> None:
        """Hang up, unless an inference is under way: that one ends by its own timeout."""
        if self._lock.acquire(blocking=False):
            self._link.close()
            self._lock.release()
