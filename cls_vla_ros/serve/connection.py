"""One robot's connection: an answer or an error in words for each of its requests."""

import asyncio
import hmac
import logging
import time
import uuid

from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from cls_vla_ros.inference.remote.codec import MessageError, pack, unpack
from cls_vla_ros.serve.batcher import Batcher, DeadlineError, Work
from cls_vla_ros.serve.metrics import Metrics
from cls_vla_ros.serve.request import MAX_SESSION, RequestError, parse
from cls_vla_ros.serve.sessions import FullError, Sessions
from cls_vla_ros.serve.settings import ServeSettings

logger = logging.getLogger("ray.serve")

POLICY_VIOLATION, TRY_AGAIN_LATER, TOO_BIG = 1008, 1013, 1009  # RFC 6455, 7.4.1, and its registry
MAX_WAITING = 4  # requests of one connection; a robot that waits for answers has one
SESSION_HEADER = "x-session-id"


class Closing(Exception):  # noqa: N818
    """The connection ends now: (code, reason)."""


class RateLimit:
    """A bucket of tokens that holds one second's requests."""

    def __init__(self, rate_hz: float) -> None:
        """Full at first."""
        self._rate_hz, self._full_s, self._at_s = rate_hz, 1.0, 0.0

    def check(self, now_s: float) -> None:
        """Take one for a request.

        Raises:
            RequestError: there is none.
        """
        self._full_s = min(1.0, self._full_s + now_s - self._at_s)
        self._at_s = now_s
        if self._full_s < 1 / self._rate_hz:
            raise RequestError(f"more than {self._rate_hz:g} requests in a second: ask less often")
        self._full_s -= 1 / self._rate_hz


class Connection:
    """Of one robot, while it lasts."""

    def __init__(
        self,
        socket: WebSocket,
        settings: ServeSettings,
        sessions: Sessions,
        batcher: Batcher,
        metrics: Metrics,
        metadata: dict,
    ) -> None:
        """Take the socket over, which nobody has accepted yet."""
        self._socket, self._settings, self._sessions = socket, settings, sessions
        self._batcher, self._metrics, self._metadata = batcher, metrics, metadata
        given = socket.headers.get(SESSION_HEADER, "")  # by which Ray chose this replica
        self._is_named = bool(given)
        self._session = given or f"unnamed-{uuid.uuid4().hex}"
        self._messages: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._end: tuple[int, str] | None = None
        self._rate = RateLimit(settings.max_rate_hz)

    async def serve(self) -> None:
        """Until either side ends it."""
        await self._socket.accept()
        try:
            self._admit()
        except Closing as closing:
            await self._close(*closing.args)
            return
        reader = asyncio.create_task(self._read())
        try:
            await self._socket.send_bytes(pack(self._metadata))
            while (data := await self._messages.get()) is not None:
                if self._end is not None:
                    break
                await self._send(await self._answer(data))
            if self._end is not None:
                await self._close(*self._end)
        except (WebSocketDisconnect, RuntimeError):  # starlette's, of a socket that is closed
            pass
        finally:
            reader.cancel()
            self._sessions.close(self._session, self, forgets=not self._is_named)

    def end(self, code: int, reason: str) -> None:
        """Let it end soon."""
        self._end = self._end or (code, reason)
        self._messages.put_nowait(b"")

    def _admit(self) -> None:
        said = self._socket.headers.get("authorization", "").removeprefix("Api-Key ").encode()
        tokens = self._settings.tokens
        if tokens and not any(hmac.compare_digest(said, token.encode()) for token in tokens):
            self._metrics.outcome("refused")
            raise Closing(POLICY_VIOLATION, "the header Authorization has no token that is known")
        if len(self._session) > MAX_SESSION:
            raise Closing(POLICY_VIOLATION, f"a session has at most {MAX_SESSION} characters")
        self._open()

    def _open(self) -> None:
        try:
            before = self._sessions.open(self._session, self)
        except FullError as error:
            self._metrics.outcome("refused")
            raise Closing(TRY_AGAIN_LATER, str(error)[:120]) from None
        if before is not None:
            before.end(POLICY_VIOLATION, "the same session speaks by another connection now")

    async def _read(self) -> None:
        """All that comes, at once: what is not read would be kept somewhere before us."""
        try:
            while True:
                message = await self._socket.receive()
                if message["type"] == "websocket.disconnect":
                    break
                data = message.get("bytes") or (message.get("text") or "").encode()
                if len(data) > self._settings.max_message_bytes:
                    limit = self._settings.max_message_bytes
                    self.end(TOO_BIG, f"a message of {len(data)} bytes: at most {limit} are taken")
                    return
                if self._messages.qsize() >= MAX_WAITING:
                    self.end(POLICY_VIOLATION, "wait for an answer before the next request")
                    return
                self._messages.put_nowait(data)
        except RuntimeError:
            pass
        self._messages.put_nowait(None)

    async def _answer(self, data: bytes) -> dict | str:
        """Actions, or in words why there are none."""
        arrived_s = time.monotonic()
        try:
            self._rate.check(arrived_s)
            request = await run_in_threadpool(lambda: parse(unpack(data)))  # pictures take a while
            if request.session and request.session != self._session:
                self._rename(request.session)
            work = Work(self._session, request, self, arrived_s)
            made = await self._batcher.submit(work)
        except (MessageError, RequestError) as error:
            self._metrics.outcome("refused")
            return f"refused: {error}"
        except DeadlineError as error:
            self._metrics.outcome("late")
            return f"late: {error}"
        except Exception as error:
            self._metrics.outcome("failed")
            if not isinstance(error, ValueError):
                logger.exception("an inference failed")
            return f"failed: {type(error).__name__}: {str(error)[:500]}"
        self._metrics.outcome("actions" if "actions" in made else "reset")
        return made

    def _rename(self, session: str) -> None:
        """A client that sets no headers says in its first request who it is."""
        if self._is_named:
            raise RequestError(f"this connection is of the session {self._session!r}")
        self._sessions.close(self._session, self, forgets=True)
        self._session, self._is_named = session, True
        try:
            self._open()
        except Closing as closing:
            self.end(*closing.args)
            raise RequestError(closing.args[1]) from None

    async def _send(self, made: dict | str) -> None:
        if isinstance(made, str):  # openpi's clients take text for an error
            await self._socket.send_text(made)
        else:
            await self._socket.send_bytes(pack(made))

    async def _close(self, code: int, reason: str) -> None:
        if self._socket.application_state is WebSocketState.CONNECTED:
            await self._socket.close(code, reason[:120])
