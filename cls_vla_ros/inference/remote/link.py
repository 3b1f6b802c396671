"""The websocket to a server: opened when it is needed, and closed for good on any doubt."""

import time
from collections.abc import Callable

import websockets.sync.client
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from cls_vla_ros.inference.remote.codec import MessageError, pack, unpack

MAX_BYTES = 8 * 2**20  # of an answer
RETRY_S = 0.5  # between two attempts to connect


class LinkError(ConnectionError):
    """There is no answer, and the text says why; the next request tries again."""


class RefusedError(LinkError):
    """The server answered with an error; the link is well."""


class Link:
    """One at a time asks; not thread-safe."""

    def __init__(
        self,
        where: str,
        session: str,
        token: str,
        timeout_s: float,
        greeted: Callable[[dict], None],
    ) -> None:
        """Do not connect yet.

        Args:
            where: ws:// or wss://, host and port.
            session: whose; a server keeps its history for a while when the link is cut.
            token: "" for none.
            timeout_s: for an answer, and to connect.
            greeted: takes a server's first message, and raises MessageError where it is not to be
                spoken with.
        """
        self.where, self.timeout_s = where, timeout_s
        self._headers = {"x-session-id": session}
        if token:
            self._headers["Authorization"] = f"Api-Key {token}"
        self._greeted = greeted
        self._socket: websockets.sync.client.ClientConnection | None = None
        self._tried_s = float("-inf")
        self._why = ""

    @property
    def is_open(self) -> bool:
        return self._socket is not None

    def ask(self, message: Callable[[], dict]) -> dict:
        """Send a request, and wait for its answer.

        Args:
            message: makes it, once the link is open.

        Raises:
            RefusedError: the server will not answer this one.
            LinkError: the link is cut, or too slow. What comes later is never read.
        """
        self.open()
        try:
            self._socket.send(pack(message()))
            answer = self._socket.recv(timeout=self.timeout_s)
            if isinstance(answer, str):
                raise RefusedError(f"{self.where} answered: {answer[:500]}")
            return unpack(answer)
        except RefusedError:
            raise
        except TimeoutError:
            raise self.failed(f"no answer within {self.timeout_s:g} s") from None
        except (ConnectionClosed, MessageError, OSError) as error:
            raise self.failed(f"it is cut: {error}") from None

    def failed(self, why: str) -> LinkError:
        """Read nothing more of it; what to raise.

        Args:
            why: in words.
        """
        self.close()
        self._why = f"the link to the policy's server {self.where}: {why}"
        return LinkError(self._why)

    def open(self) -> None:
        """Connect unless that was done.

        Raises:
            LinkError: it cannot be done, or was tried a moment ago.
        """
        if self._socket is not None:
            return
        if time.monotonic() - self._tried_s < RETRY_S:
            raise LinkError(self._why)
        self._tried_s = time.monotonic()
        try:
            self._socket = websockets.sync.client.connect(
                self.where,
                additional_headers=self._headers,
                compression=None,
                max_size=MAX_BYTES,
                open_timeout=self.timeout_s,
                close_timeout=0.1,
                legacy=True,
            )
            greeting = self._socket.recv(timeout=self.timeout_s)
            if isinstance(greeting, str):
                raise MessageError(greeting[:500])
            self._greeted(unpack(greeting))
        except (OSError, InvalidHandshake, InvalidURI, ConnectionClosed, MessageError) as error:
            why = str(error) or type(error).__name__
            raise self.failed(f"it cannot be opened: {why}; it is tried again") from None

    def close(self) -> None:
        """Read nothing more of it."""
        socket, self._socket = self._socket, None
        if socket is not None:
            socket.close_timeout = 0.1
            socket.close()
