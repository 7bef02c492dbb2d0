"""Over real sockets too nothing is left of a connection that has closed, and nothing of a server that has stopped."""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from certs import client_context, issued
from live_objects import left_behind
from wire import HANDSHAKE, ask, message

from microsock import App, EventStream, Pending, Request, Server, WebSocket
from microsock.testing import build_frame

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("untraced")]

RESET = struct.pack("ii", 1, 0)  # of SO_LINGER: close() sends RST
MIDST = {
    "nothing": b"",
    "a head": b"GET / HTT",
    "a body": ask("/", "Content-Length: 9000000", method="POST") + bytes(300_000),
    "an answer": ask("/large"),
    "a long poll": ask("/poll"),
    "an event stream": ask("/events"),
    "a WebSocket": HANDSHAKE + message("a"),
    "half a message": HANDSHAKE + build_frame(1, b"a" * 100_000)[:-1],
}


@pytest.fixture(autouse=True)
def silent() -> Iterator[None]:
    """What pytest keeps of each log record would keep the tracebacks."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


def an_app() -> App:
    app = App(access_log=False)

    @app.route("/", methods="GET|POST")
    def hello(request: Request) -> str:
        return "hello"

    @app.get("/large")
    def large(request: Request) -> bytes:
        return bytes(3_000_000)

    @app.get("/poll")
    def poll(request: Request) -> Pending:
        return Pending()

    @app.get("/events")
    def events(request: Request) -> EventStream:
        return EventStream("news")

    @app.websocket("/ws")
    def echo(ws: WebSocket, text: str) -> str:
        return text

    return app


def turn(server: Server, until: Callable[[], bool] = lambda: False) -> None:
    for _ in range(200):
        if server.step(0.002) == 0 and until():
            break


def is_empty(server: Server) -> bool:
    assert server._service is not None
    return not server._service.connections and not server._service.reception.waiting


def shaken(client: socket.socket, server: Server) -> ssl.SSLSocket:
    client.setblocking(False)
    tls = client_context().wrap_socket(client, server_hostname="localhost", do_handshake_on_connect=False)
    for _ in range(200):
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.do_handshake()
            return tls
        server.step(0.002)
    raise AssertionError("no handshake")


def live(server: Server, data: bytes, *, tls: bool, reset: bool) -> None:
    """A client comes, sends this, waits a little and goes."""
    client = socket.create_connection(server.address)
    stream = shaken(client, server) if tls else client
    stream.setblocking(False)
    while data:
        with contextlib.suppress(BlockingIOError, ssl.SSLWantWriteError):
            data = data[stream.send(data) :]
        server.step(0.0)
    turn(server, lambda: True)
    if reset:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    stream.close()
    turn(server, lambda: is_empty(server))
    assert is_empty(server)


@contextlib.contextmanager
def serving(tls: bool = False, **settings: Any) -> Iterator[Server]:
    if tls:
        pem = issued("localhost")
        settings |= {"ssl_certfile": pem.certificate, "ssl_keyfile": pem.key}
    with Server(an_app(), port=0, **settings) as server:
        turn(server, lambda: True)
        yield server


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_nothing_is_left_of_a_closed_connection(tls: bool) -> None:
    with serving(tls) as server:

        def life() -> None:
            for data in MIDST.values():
                live(server, data, tls=tls, reset=False)
                live(server, data, tls=tls, reset=True)

        assert left_behind(life) == {}


def test_nothing_is_left_of_a_handshake() -> None:
    with serving(tls=True) as server:

        def life() -> None:
            for words in (b"", b"\x16\x03\x01", ask(), b"\x16\x03\x01\x00\x05hello"):
                live(server, words, tls=False, reset=False)
                live(server, words, tls=False, reset=True)

        assert left_behind(life) == {}


def test_nothing_is_left_of_a_client_whose_call_still_runs_once_that_ends() -> None:
    with Server(app := an_app(), port=0, threads=1) as server:
        begun, may_end = threading.Event(), threading.Event()

        @app.post("/slow", blocking=True)
        def slow(request: Request) -> bytes:
            begun.set()
            may_end.wait(10)
            return request.body

        def life() -> None:
            begun.clear()
            may_end.clear()
            for _ in range(3):  # one runs, two wait
                live(server, ask("/slow", method="POST", body=bytes(200_000)), tls=False, reset=True)
            assert begun.wait(10)
            may_end.set()
            threads = [each for each in threading.enumerate() if each.name.startswith("microsock-")]
            turn(server)
            assert threads

        assert left_behind(life) == {}


def crowd(server: Server, tls: bool) -> contextlib.ExitStack:
    """Clients in the middle of everything."""
    stack = contextlib.ExitStack()
    for data in MIDST.values():
        client = socket.create_connection(server.address)
        stream = stack.enter_context(shaken(client, server) if tls else client)
        stream.setblocking(True)
        stream.sendall(data[:60_000])
    stack.enter_context(socket.create_connection(server.address))  # with TLS in the middle of its handshake
    turn(server, lambda: True)
    return stack


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("grace", [0.05, 0.0], ids=["drained", "cut"])
def test_nothing_is_left_of_a_server_that_has_stopped(tls: bool, grace: float, tmp_path: Path) -> None:
    def life() -> None:
        settings = {"grace": grace, "control": str(tmp_path / "c"), "rate_limit": "1000/second", "compression": True}
        with serving(tls, **settings) as server, crowd(server, tls):
            server.shutdown(kill=True, timeout=grace)
            assert not server.is_listening

    assert left_behind(life) == {}


def test_nothing_is_left_of_a_server_that_never_took_a_turn() -> None:
    def life() -> None:
        Server(an_app(), port=0).shutdown()

    assert left_behind(life) == {}
