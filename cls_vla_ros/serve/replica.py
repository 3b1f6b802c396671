"""A replica of the policy: one PolicyServer, and the robots that stick to it."""

import asyncio
import os
import time
from dataclasses import replace

from fastapi import FastAPI, WebSocket
from ray import serve

from cls_vla_ros.inference.observation import check_observation
from cls_vla_ros.serve.answer import answer, describe, reset_answer
from cls_vla_ros.serve.batcher import Batcher, Work
from cls_vla_ros.serve.connection import Connection
from cls_vla_ros.serve.metrics import Metrics
from cls_vla_ros.serve.request import RequestError
from cls_vla_ros.serve.sessions import Sessions
from cls_vla_ros.serve.settings import ServeSettings

app = FastAPI(openapi_url=None)
SWEEP_S = 1.0


@serve.ingress(app)
class PolicyReplica:
    """What Ray Serve makes several of."""

    def __init__(self, settings: ServeSettings) -> None:
        """Load the policy, and warm it up: Ray sends nobody here before.

        Raises:
            FileNotFoundError: there is no such checkpoint.
            ValueError: it cannot be used.
        """
        from cls_vla_ros.serve.model import load  # torch is needed here alone: it takes seconds

        self._settings = settings
        self._server, self._seen = load(settings)
        self._name = serve.get_replica_context().replica_id.unique_id
        self._metrics = Metrics()
        self._sessions = Sessions(self._server, settings.max_sessions, settings.idle_s)
        self._batcher: Batcher | None = None

    @app.websocket("/")
    async def talk(self, socket: WebSocket) -> None:
        """One robot's connection."""
        if self._batcher is None:
            self._batcher = Batcher(
                self._run,
                max_batch=self._settings.max_batch,
                wait_s=self._settings.wait_s,
                expected=lambda: self._sessions.connected,
            )
            self._sweeper = asyncio.create_task(self._sweep())
        metadata = describe(self._server, self._seen, self._name) | {"pid": os.getpid()}
        of_all = self._settings, self._sessions, self._batcher, self._metrics
        await Connection(socket, *of_all, metadata).serve()

    @app.get("/healthz")
    async def health(self) -> dict:
        """For whoever watches: Ray asks by itself."""
        return {"replica": self._name, "robots": len(self._sessions)}

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            self._sessions.sweep()
            self._metrics.robots.set(len(self._sessions))
            self._metrics.queue.set(self._batcher.queue_length)

    def _run(self, batch: list[Work]) -> list[dict | Exception]:
        """Answer a batch; in the inference thread."""
        began_s = time.monotonic()
        answers: dict[str, dict | Exception] = {}
        episodes: dict[str, int | None] = {}
        works: dict[str, Work] = {}
        for work in batch:
            try:
                episodes[work.session] = self._begin(work)
                works[work.session] = work
            except Exception as error:
                answers[work.session] = error
        for name, work in list(works.items()):
            if work.request.observation is None:
                answers[name] = reset_answer(work.request, episodes[name])
                del works[name]
        made = self._infer(works)
        took_ms = (time.monotonic() - began_s) * 1e3
        if works:
            self._metrics.batch.observe(len(works))
            self._metrics.infer_ms.observe(took_ms)
        for name, work in works.items():
            wait_ms = (began_s - work.arrived_s) * 1e3
            self._metrics.wait_ms.observe(wait_ms)
            times = {"wait_ms": wait_ms, "batch_ms": took_ms, "batch": len(works)}
            answers[name] = (
                made[name]
                if isinstance(made[name], Exception)
                else answer(made[name], work.request, episodes[name], times)
            )
        return [answers[work.session] for work in batch]

    def _begin(self, work: Work) -> int | None:
        observation = work.request.observation
        if observation is not None:
            if observation.stamp_s != observation.stamp_s:  # NaN: it has no clock
                observation = replace(observation, stamp_s=work.arrived_s)
                work.request = replace(work.request, observation=observation)
            try:  # before its episode begins: what is refused changes nothing
                check_observation(observation, self._server.config)
            except ValueError as error:
                raise RequestError(str(error)) from None
        return self._sessions.begin(work.session, work.owner, work.request)

    def _infer(self, works: dict[str, Work]) -> dict:
        observations = {name: work.request.observation for name, work in works.items()}
        handovers = {name: work.request.handover for name, work in works.items()}
        if not works:
            return {}
        try:
            return self._server.infer_batch(observations, handovers=handovers)
        except Exception as error:
            if len(works) == 1:
                return dict.fromkeys(works, error)
        # One robot's fault is its own.
        return {name: self._infer({name: work})[name] for name, work in works.items()}
