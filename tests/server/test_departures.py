"""Answers that are made in one turn leave together, and wait for no handler that is known to be slow."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest

from microsock import App, Request, Server
from microsock.request import Address
from microsock.server.connection import Connection
from microsock.server.departures import Departures
from microsock.testing.memory import MemoryTransport
from microsock.testing.world import World

ASK = b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n"
OK = b"HTTP/1.1 200 OK"


class Turn:
    """Stands for the loop: one turn, whose news come in the order that the test says."""

    def __init__(self) -> None:
        self.may_defer = False
        self._at_end: list[Callable[[], object]] = []

    def at_end(self, callback: Callable[[], object]) -> None:
        self._at_end.append(callback)

    def end(self) -> None:
        callbacks, self._at_end = self._at_end, []
        for callback in callbacks:
            callback()


class Clients:
    """Clients of one worker in memory, each with a request behind it."""

    def __init__(self, count: int = 3) -> None:
        self.app = App()
        self.app.get("/")(self.home)
        self.app.get("/slow")(self.slow)
        self.world, self.turn = World(self.app, {}), Turn()
        self.world.site.departures = Departures(self.turn)  # type: ignore[arg-type]
        self.transports = [MemoryTransport() for _ in range(count)]
        self.connections = [self.connected(transport) for transport in self.transports]
        self.heard: list[list[int]] = []
        self.seconds = 0.002  # more than a millisecond is slow
        self.ask(*[b"/"] * count)

    def connected(self, transport: MemoryTransport) -> Connection:
        site, timers = self.world.site, self.world.timers
        return Connection(site, transport, timers, client=Address("1.2.3.4", 5), on_closed=lambda connection: None)

    def home(self, request: Request) -> str:
        """Note who has an answer while this one is made."""
        self.heard.append([number for number, each in enumerate(self.transports) if each.has_output])
        return "x"

    def slow(self, request: Request) -> str:
        self.home(request)
        self.world.advance(self.seconds)
        return "y"

    def ask(self, *paths: bytes) -> list[list[int]]:
        """One request of each client, all in one turn; gives who had an answer while each was made."""
        self.heard.clear()
        self.turn.may_defer = len(paths) > 1
        for connection, transport, path in zip(self.connections, self.transports, paths, strict=False):
            transport.deliver(ASK % path)
            connection.handle(True, False)
        self.turn.end()
        for transport, _ in zip(self.transports, paths, strict=False):
            assert (transport.take() or b"").startswith(OK)
        return self.heard


def test_answers_of_one_turn_leave_when_all_are_made() -> None:
    assert Clients().ask(b"/", b"/", b"/") == [[], [], []]


def test_an_answer_that_comes_alone_leaves_at_once() -> None:
    clients = Clients()
    clients.transports[0].deliver(ASK % b"/")
    clients.turn.may_defer = False
    clients.connections[0].handle(True, False)
    assert clients.transports[0].has_output


@pytest.mark.parametrize("place", [0, 1, 2])
def test_no_answer_waits_for_a_handler_that_was_slow_before(place: int) -> None:
    clients = Clients()
    paths = [b"/", b"/"]
    paths.insert(place, b"/slow")
    # The first time nobody knows that it is slow.
    assert clients.ask(*paths) == [[], [], []]
    # What was made before it leaves before it begins; what is made behind it waits for the end of the turn again.
    gone = list(range(place))
    assert clients.ask(*paths) == [*[[]] * place, *[gone] * (3 - place)]


def test_a_handler_that_is_slow_no_more_is_waited_for_again() -> None:
    clients = Clients()
    clients.ask(b"/slow")
    clients.seconds = 0.001
    assert clients.ask(b"/", b"/slow", b"/") == [[], [0], [0]]
    assert clients.ask(b"/", b"/slow", b"/") == [[], [], []]


def test_64_answers_wait_for_each_other_at_most() -> None:
    clients = Clients(66)
    assert clients.ask(*[b"/"] * 66) == [*[[]] * 64, *[list(range(64))] * 2]


# The same with a loop and sockets.


class Sockets:
    """Three clients of a server whose turns the test takes."""

    def __init__(self) -> None:
        app = App(access_log=False)
        self.heard: list[list[int]] = []
        app.get("/")(self.home)
        self.server = Server(app, port=0)
        self.sockets: list[socket.socket] = []
        for _ in range(3):
            self.sockets.append(client := socket.create_connection(("127.0.0.1", self.server.port), 10))
            client.sendall(ASK % b"/")
            while not self.hears(client):
                self.server.step(0.1)
            client.recv(4096)
        self.heard.clear()

    def home(self, request: Request) -> str:
        """Note who has an answer while this one is made."""
        self.heard.append([number for number, client in enumerate(self.sockets) if self.hears(client)])
        return "x"

    def hears(self, client: socket.socket) -> bool:
        client.setblocking(False)
        try:
            return bool(client.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return False
        finally:
            client.settimeout(10)


@pytest.fixture
def sockets() -> Iterator[Sockets]:
    made = Sockets()
    yield made
    for client in made.sockets:
        client.close()
    made.server.shutdown(kill=True, timeout=0)


@pytest.mark.server
def test_so_they_do_over_sockets(sockets: Sockets) -> None:
    for client in sockets.sockets:
        client.sendall(ASK % b"/")
    # All three have arrived before this turn.
    sockets.server.step(10)
    assert sockets.heard == [[], [], []]
    for client in sockets.sockets:
        assert client.recv(4096).startswith(OK)
