"""The client's side of HTTP over connections in memory: h11 in its client role, handed to httpx as a transport.

Knows nothing of the server but its bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TypeVar

import h11
import httpx

from ..request import Address
from .errors import NeverWaitedFor, StillWaiting
from .world import Wire, World

__all__ = ["HTTPConnection", "MemoryNetwork"]

T = TypeVar("T")
Head = h11.Response | h11.InformationalResponse


class HTTPConnection:
    """One connection: a request out, its answer in, then the next. What ``read_…`` finds missing is None."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self._h11 = h11.Connection(h11.CLIENT)
        self._head: Head | None = None

    def send(self, request: httpx.Request) -> None:
        """Send a request; its body only as far as the server does not answer before it has all of it."""
        target = request.extensions.get("target", request.url.raw_path)
        with _errors_of_httpx():
            head = h11.Request(method=request.method, target=target, headers=request.headers.raw)
        self._write(head)
        if self._h11.client_is_waiting_for_100_continue and self.wait(self.read_head) is not None:
            return
        for number, piece in enumerate(request.stream):  # type: ignore[arg-type]
            if number and self.wait(self.read_head) is not None:
                return
            self._write(h11.Data(data=piece))
        self._write(h11.EndOfMessage())

    def wait(self, read: Callable[[], T]) -> T:
        """What ``read`` finds at once or after the server has gone on as far as it can."""
        found = read()
        if found is None:
            self.wire.world.settle()
            found = read()
        return found

    def read_head(self) -> Head | None:
        """The answer's head: a final one, or 101."""
        while self._head is None and (event := self._read_event()) is not None:
            self._head = _final(event)
        return self._head

    def read_piece(self) -> bytes | None:
        """The next piece of the answer's body, ``b""`` at its end; a 101 has none."""
        if self._h11.their_state is h11.SWITCHED_PROTOCOL:
            return b""
        event = self._read_event()
        if event is None:
            return None
        return bytes(event.data) if isinstance(event, h11.Data) else b""

    def recycle(self) -> bool:
        """Make ready for the next request; whether the connection can carry one."""
        if self._h11.our_state is not h11.DONE or self._h11.their_state is not h11.DONE:
            return False
        self._h11.start_next_cycle()
        self._head = None
        return True

    @property
    def is_usable(self) -> bool:
        """Whether an idle connection is still open and silent."""
        return not self.wire.transport.has_output

    def switched(self) -> bytes:
        """After 101: the bytes that came behind it."""
        return self._h11.trailing_data[0]

    def close(self) -> None:
        """Hang up and let the server notice."""
        self.wire.transport.hang_up()
        self.wire.world.settle()

    def _write(self, event: h11.Event) -> None:
        with _errors_of_httpx():
            data = self._h11.send(event)
        if data:
            self.wire.transport.deliver(data)

    def _read_event(self) -> h11.Event | None:
        # Takes what there is; never lets the server run, so that it may be called while the server does.
        while True:
            with _errors_of_httpx():
                event = self._h11.next_event()
            if isinstance(event, h11.Event):
                return event
            data = None if event is h11.PAUSED else self.wire.transport.take()
            if data is None:
                return None
            self._h11.receive_data(data)


class MemoryNetwork(httpx.BaseTransport):
    """What httpx sends through: connections to one world, kept alive and used again as the server allows.

    A request may name its sender by ``extensions={"client": (host, port)}``. With ``worker`` all connections go to
    that one, and closing this leaves the world open.
    """

    def __init__(self, world: World, client: Address, worker: int | None = None) -> None:
        self._world = world
        self._client = client
        self._worker = worker
        self._idle: dict[tuple[Address, str], list[HTTPConnection]] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The answer to a request; its body is read from the server piece by piece."""
        return self.answer(self.begin(request), request)

    def begin(self, request: httpx.Request) -> HTTPConnection:
        """Send a request over an idle connection or a new one."""
        self._world.complain()
        connection = self._connection(request)
        try:
            connection.send(request)
        except BaseException:
            connection.close()
            raise
        return connection

    def answer(self, connection: HTTPConnection, request: httpx.Request) -> httpx.Response:
        """Wait for the head of an answer.

        Raises ``StillWaiting`` where it does not come, ``httpx.RemoteProtocolError`` for what is no HTTP.
        """
        try:
            head = connection.wait(connection.read_head)
            if head is None:
                raise StillWaiting(_no_answer(request))
        except BaseException:
            connection.close()
            raise
        return response_from(head, request, _Body(self, connection, request))

    def give_back(self, connection: HTTPConnection, request: httpx.Request) -> None:
        """Keep a connection whose answer has been read for the next request, or hang up; the server does not run."""
        if connection.recycle() and connection.is_usable:
            self._idle.setdefault(self._key(request), []).append(connection)
        else:
            connection.wire.transport.hang_up()

    def close(self) -> None:
        """Close every connection and the world behind them."""
        self._idle.clear()
        if self._worker is None:
            self._world.close()

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        """As ``close``; what the app has not waited for does not hide an error of the test."""
        try:
            self.close()
        except NeverWaitedFor:
            if error is None:
                raise

    def _connection(self, request: httpx.Request) -> HTTPConnection:
        idle = self._idle.get(self._key(request), [])
        while idle:
            connection = idle.pop()
            if connection.is_usable:
                return connection
            connection.close()
        client, scheme = self._key(request)
        return HTTPConnection(self._world.connect(client, scheme=scheme, worker=self._worker))

    def _key(self, request: httpx.Request) -> tuple[Address, str]:
        client = Address(*request.extensions.get("client", self._client))
        return client, "https" if request.url.scheme in ("https", "wss") else "http"


def response_from(head: Head, request: httpx.Request, stream: httpx.SyncByteStream) -> httpx.Response:
    """An answer as httpx has it."""
    about = {"http_version": b"HTTP/" + head.http_version, "reason_phrase": head.reason}
    return httpx.Response(
        head.status_code, headers=head.headers.raw_items(), stream=stream, extensions=about, request=request
    )


class _Body(httpx.SyncByteStream):
    """The body of an answer, pulled from the server as it is read. Closed early, it ends the connection."""

    def __init__(self, network: MemoryNetwork, connection: HTTPConnection, request: httpx.Request) -> None:
        self._network = network
        self._connection: HTTPConnection | None = connection
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        connection = self._connection
        while connection is not None and (piece := self._pull(connection)):
            yield piece
        if connection is not None:
            self._connection = None
            self._network.give_back(connection, self._request)
            connection.wire.world.settle()

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _pull(self, connection: HTTPConnection) -> bytes:
        piece = connection.wait(connection.read_piece)
        if piece is None:
            raise StillWaiting(_no_answer(self._request, "the rest of the answer"))
        return piece


def _final(event: h11.Event) -> Head | None:
    if isinstance(event, h11.InformationalResponse):
        return event if event.status_code == 101 else None
    return event if isinstance(event, h11.Response) else None


def _no_answer(request: httpx.Request, what: str = "the answer") -> str:
    call = f'"{request.method}", "{request.url.raw_path.decode()}"'
    return (
        f"{what} to {request.method} {request.url.raw_path.decode()} waits for the virtual clock or another event; "
        f"write pending = client.start({call}), then client.advance(seconds), then pending.result()"
    )


@contextmanager
def _errors_of_httpx() -> Iterator[None]:
    try:
        yield
    except h11.LocalProtocolError as error:
        raise httpx.LocalProtocolError(str(error)) from error
    except h11.RemoteProtocolError as error:
        raise httpx.RemoteProtocolError(str(error)) from error
