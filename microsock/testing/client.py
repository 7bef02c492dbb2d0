"""The test client: httpx on the outside, the app's own server code on the inside, memory in between.

Knows httpx, and is with its neighbours the only place that does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import httpx

from ..request import Address
from .errors import EventStreamRefused, StillWaiting, WebSocketRefused
from .eventstream import EventReader
from .http import MemoryNetwork
from .memory import CAPACITY
from .pending import PendingAnswer
from .raw import RawConnection
from .websocket import WebSocketClient, handshake_headers
from .world import World

if TYPE_CHECKING:
    from ..app import App

__all__ = ["TestClient"]


class TestClient(httpx.Client):
    """An ``httpx.Client`` whose network is a microsock server in memory, on a clock that only ``advance`` moves.

    What goes over the wire is what a socket would carry: parsing, framing, keep-alive and masking are exercised on
    both ends. The app's ``on_start`` functions run when the client is made, ``on_stop`` when it is closed.

    Args:
        app: the app to serve.
        workers: in how many workers, with the bus between them, all on one clock and in this process.
        client: address and port from which it connects; one request may come from elsewhere by
            ``extensions={"client": ("10.0.0.7", 1)}``.
        base_url: what paths are relative to; with ``https`` requests count as secure.
        headers, cookies, follow_redirects: as for ``httpx.Client``.
        settings: any of the app's settings, stronger than what the app says; the environment is not read.

    Raises ``BadSetting`` for a setting that there is not.
    """

    __test__ = False  # it is not a test, though its name says so to pytest

    def __init__(
        self,
        app: App,
        *,
        workers: int = 1,
        client: tuple[str, int] = ("127.0.0.1", 50000),
        base_url: str = "http://testserver",
        headers: Mapping[str, str] | None = None,
        cookies: Mapping[str, str] | None = None,
        follow_redirects: bool = False,
        **settings: object,
    ) -> None:
        options = {"base_url": base_url, "headers": headers, "follow_redirects": follow_redirects}
        world = World(app, settings, workers)
        self._set_up(app, world, None, Address(*client), cookies=dict(cookies or {}), **options)

    def _set_up(self, app: App, world: World, worker: int | None, address: Address, **options: Any) -> None:
        self.app = app
        self.world = world
        self._address = address
        self._worker = worker
        self._options = options
        self._clients: dict[int, TestClient] = {}
        self._network = MemoryNetwork(world, address, worker)
        super().__init__(transport=self._network, timeout=None, trust_env=False, **options)

    def worker(self, number: int) -> TestClient:
        """A client whose connections all go to one worker, from 1 up. It shares clock, cookies and options with this.

        This client's own connections go to one worker after the other; requests over one connection, which is kept
        alive, stay with its worker.
        """
        if not 1 <= number <= self.world.crew.size:
            raise ValueError(f"there are workers 1 to {self.world.crew.size}, not {number!r}")
        if number not in self._clients:
            client = TestClient.__new__(TestClient)
            options = self._options | {"cookies": self.cookies.jar}
            client._set_up(self.app, self.world, number, self._address, **options)
            self._clients[number] = client
        return self._clients[number]

    def kill_worker(self, number: int) -> None:
        """End a worker as ``kill -9`` does: its connections break and nothing of it runs any more.

        A server would start another at once; here that is ``start_worker``. Requests to it raise ``RuntimeError``
        until then.
        """
        self.world.complain()
        self.world.kill(number)

    def start_worker(self, number: int) -> None:
        """Start a worker in place of one that was killed; its ``on_start`` functions run."""
        self.world.complain()
        self.world.start_worker(number)

    def advance(self, seconds: float) -> None:
        """Let virtual time pass: everything that comes due on the way happens, in order."""
        self.world.complain()
        self.world.advance(seconds)

    def start(self, method: str, url: str, **options: Any) -> PendingAnswer:
        """Send a request and do not wait for its answer. Arguments as for ``request``; redirects are not followed."""
        request = self.build_request(method, url, **options)
        return PendingAnswer(self._network, self._network.begin(request), request, self.cookies.extract_cookies)

    def websocket(
        self,
        url: str,
        *,
        subprotocols: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
        origin: str | None = None,
        compression: bool | str = False,
        **options: Any,
    ) -> WebSocketClient:
        """Open a WebSocket; use it under ``with``.

        Args:
            url: a path, or a whole URL.
            subprotocols: offered in this order.
            headers: added to the handshake, or in place of its own lines.
            origin: as a browser would send it; none by default.
            compression: whether to offer permessage-deflate and compress what is sent where the server takes it up;
                a str is the offer itself (``"permessage-deflate; client_no_context_takeover"``).
            options: ``params``, ``cookies``, ``extensions`` as for ``request``.

        Raises ``WebSocketRefused`` with the answer if that is not 101.
        """
        lines = httpx.Headers(handshake_headers(subprotocols, origin, compression))
        lines.update(headers)
        request = self.build_request("GET", url, headers=lines, **options)
        connection = self._network.begin(request)
        response = self._network.answer(connection, request)
        self.cookies.extract_cookies(response)
        if response.status_code != 101:
            response.read()
            raise WebSocketRefused(response)
        return WebSocketClient(connection, response)

    def events(self, url: str, *, headers: Mapping[str, str] | None = None, **options: Any) -> EventReader:
        """Open an event stream; use it under ``with``.

        Args:
            url: a path, or a whole URL.
            headers: added to the request: ``{"Last-Event-ID": …}``.
            options: ``params``, ``cookies``, ``extensions`` … as for ``request``.

        Raises ``EventStreamRefused`` for an answer that a browser's ``EventSource`` would not take.
        """
        lines = httpx.Headers({"Accept": "text/event-stream", "Cache-Control": "no-store"})
        lines.update(headers)
        request = self.build_request("GET", url, headers=lines, **options)
        connection = self._network.begin(request)
        response = self._network.answer(connection, request)
        self.cookies.extract_cookies(response)
        if response.status_code != 200 or not _is_event_stream(response):
            with closing(response), suppress(StillWaiting):
                response.read()
            raise EventStreamRefused(response)
        return EventReader(connection, response)

    def raw(self, data: bytes) -> bytes:
        """Send bytes over a new connection, give everything that comes back at once, and hang up."""
        with self.raw_connection() as connection:
            connection.send(data)
            return connection.receive()

    def raw_connection(self, *, client: tuple[str, int] | None = None, capacity: int = CAPACITY) -> RawConnection:
        """A connection to write bytes to.

        Args:
            client: the address it comes from; by default this client's.
            capacity: how many bytes the server may send ahead of what is received.
        """
        self.world.complain()
        address = self._address if client is None else Address(*client)
        return RawConnection(self.world.connect(address, capacity=capacity, worker=self._worker))

    def drain(self) -> None:
        """Ask the server to stop, as TERM does: WebSockets get 1001, answers that run have the ``grace`` setting.

        Nothing refuses new connections, and ``on_stop`` functions still wait for ``close``.
        """
        self.world.complain()
        self.world.drain()

    def transcript(self) -> str:
        """What went over the wires so far, with virtual times."""
        return self.world.transcript.text()


def _is_event_stream(response: httpx.Response) -> bool:
    kind: str = response.headers.get("Content-Type", "")
    return kind.partition(";")[0].strip().lower() == "text/event-stream"
