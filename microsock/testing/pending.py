"""An answer that comes later: the test goes on, moves the clock, sends other requests, and looks again."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from .errors import StillWaiting
from .http import HTTPConnection, MemoryNetwork, response_from

__all__ = ["PendingAnswer"]

# Read while the server runs, so that a client that waits is no slow reader; what is past it, by ``result``.
_READ_AHEAD = 4 << 20


class PendingAnswer:
    """A request that has been sent. ``done`` tells whether its answer is there, ``result`` gives it."""

    def __init__(
        self,
        network: MemoryNetwork,
        connection: HTTPConnection,
        request: httpx.Request,
        received: Callable[[httpx.Response], None],
    ) -> None:
        self._network = network
        self._connection = connection
        self._request = request
        self._received = received
        self._body = bytearray()
        self._limit: int | None = _READ_AHEAD
        self._response: httpx.Response | None = None
        self._error: httpx.RemoteProtocolError | None = None
        connection.wire.reader = self._read
        connection.wire.world.settle()

    @property
    def done(self) -> bool:
        """Whether the answer has come whole, or cannot come any more."""
        return self._response is not None or self._error is not None

    def result(self) -> httpx.Response:
        """The answer, read to its end.

        Raises ``StillWaiting`` where it has not come, ``httpx.RemoteProtocolError`` where the server broke off.
        """
        self._connection.wire.world.complain()
        self._limit = None
        self._connection.wire.world.settle()
        if self._error is not None:
            raise self._error
        if self._response is None:
            raise StillWaiting(f"{self._request.method} {self._request.url.path} is not answered yet; client.advance()")
        return self._response

    def cancel(self) -> None:
        """Leave without waiting for the answer."""
        if not self.done:
            self._connection.wire.reader = None
            self._connection.close()

    def _read(self) -> bool:
        if self._limit is not None and len(self._body) > self._limit:
            return False
        try:
            if self._connection.read_head() is not None:
                self._read_body()
        except httpx.RemoteProtocolError as error:
            self._error = error
            self._connection.wire.reader = None
        return True

    def _read_body(self) -> None:
        while piece := self._connection.read_piece():
            self._body += piece
        if piece == b"":
            self._finish()

    def _finish(self) -> None:
        head = self._connection.read_head()
        assert head is not None
        self._connection.wire.reader = None
        self._response = response_from(head, self._request, httpx.ByteStream(bytes(self._body)))
        self._response.read()
        self._received(self._response)
        self._network.give_back(self._connection, self._request)
