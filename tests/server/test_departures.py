"""Answers that are made in one turn leave together, and wait for no handler that is known to be slow."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from microsock import App, Request, Server

ASK = b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Clients:
    """Three clients of a server whose turns the test takes."""

    def __init__(self) -> None:
        self.app = App(access_log=False)
        self.heard: list[list[int]] = []
        self.paths: list[str] = []
        self.app.get("/")(self.home)
        self.app.get("/slow")(self.slow)
        self.server = Server(self.app, port=0)
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
        self.paths.append(request.path)
        self.heard.append([number for number, client in enumerate(self.sockets) if self.hears(client)])
        return "x"

    def slow(self, request: Request) -> str:
        self.home(request)
        time.sleep(0.11)
        return "y"

    def hears(self, client: socket.socket) -> bool:
        client.setblocking(False)
        try:
            return bool(client.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return False
        finally:
            client.settimeout(10)

    def ask(self, *paths: bytes) -> None:
        """One request of each client, and one turn for all of them."""
        self.heard.clear()
        self.paths.clear()
        for client, path in zip(self.sockets, paths, strict=False):
            client.sendall(ASK % path)
        until = time.monotonic() + 10
        while len(self.heard) < len(paths) and time.monotonic() < until:
            self.server.step(0.1)
        for client, _ in zip(self.sockets, paths, strict=False):
            assert client.recv(4096).startswith(b"HTTP/1.1 200 OK")


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clients]:
    monkeypatch.setattr("microsock.exchange._SLOW", 0.1)  # a busy machine holds up the quick ones, too
    made = Clients()
    yield made
    for client in made.sockets:
        client.close()
    made.server.shutdown(kill=True, timeout=0)


@pytest.mark.server
def test_answers_of_one_turn_leave_when_all_are_made(clients: Clients) -> None:
    clients.ask(b"/", b"/", b"/")
    assert clients.heard == [[], [], []]


@pytest.mark.server
def test_no_answer_waits_for_a_handler_that_was_slow_before(clients: Clients) -> None:
    clients.ask(b"/slow")
    clients.ask(b"/", b"/", b"/slow")
    place = clients.paths.index("/slow")
    # Whoever came before it in this turn has an answer when it begins, and had none before.
    assert [len(heard) for heard in clients.heard[: place + 1]] == [*[0] * place, place]
