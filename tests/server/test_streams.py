"""All of a stream arrives as fast as its client takes it: every size of piece, reader and transport.

What wakes a stream stands in docs/design.md, "Flow control".
"""

from __future__ import annotations

import contextlib
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from certs import client_context
from serving import served, tls_settings
from wire import HANDSHAKE, ask, asked, body_of, message

from microsock import App, Request, Server, WebSocket, blocking, sleep
from microsock.testing import build_frame

from .line import Line

pytestmark = pytest.mark.usefixtures("untraced")

PIECES = [1, 1000, 8192, 32_768, 65_000, 65_535, 65_536, 65_537, 131_072, 262_144, 1_000_000, 3_000_000]
FEW_PIECES = [1, 8192, 65_535, 65_536, 1_000_000]
PATIENCE = 10.0


def streaming() -> App:
    """Streams ``count`` pieces of ``size`` bytes, each of another letter; echoes messages, and pushes news."""
    app = App(access_log=False)

    @app.get("/{size:int}/{count:int}")
    def pieces(request: Request, size: int, count: int) -> Iterator[bytes]:
        for number in range(count):
            yield piece_of(number, size)

    @app.websocket("/ws")
    def echo(ws: WebSocket, message: bytes) -> bytes:
        return message

    @echo.on_open
    def follow(ws: WebSocket) -> None:
        ws.subscribe("news")

    return app


def piece_of(number: int, size: int) -> bytes:
    return bytes([65 + number % 26]) * size


def whole(size: int, count: int) -> bytes:
    return b"".join(piece_of(number, size) for number in range(count))


def count_for(size: int, total: int) -> int:
    """How many pieces make about ``total`` bytes; four at least, and a thousand at most."""
    return min(max(4, total // size), 1000)


def unchunked(data: bytes) -> bytes:
    """A chunked body put together (RFC 9112 section 7.1); what is missing of it fails."""
    body = bytearray()
    while True:
        line, _, data = data.partition(b"\r\n")
        size = int(line, 16)
        if not size:
            assert data == b"\r\n"
            return bytes(body)
        body += data[:size]
        assert data[size : size + 2] == b"\r\n"
        data = data[size + 2 :]


# In memory: what a socket's buffers do, byte by byte, however large they are.


@pytest.mark.parametrize("size", PIECES)
@pytest.mark.parametrize("capacity", [5000, 65_536, 131_072, 262_144, 4 << 20])
@pytest.mark.parametrize("taken", [10_000, 1 << 20])
def test_a_stream_ends_whatever_its_pieces_the_kernel_and_the_reader_are(size: int, capacity: int, taken: int) -> None:
    count = count_for(size, 500_000)
    client, connection = asked(streaming(), ask(f"/{size}/{count}"), capacity=capacity)
    answer = bytearray()
    while piece := connection.receive(taken):
        answer += piece
    assert unchunked(body_of(bytes(answer))) == whole(size, count)
    client.close()


@pytest.mark.parametrize("size", PIECES)
def test_a_stream_to_a_client_of_http_1_0_ends_with_the_connection(size: int) -> None:
    count = count_for(size, 1_000_000)
    client, connection = asked(streaming(), ask(f"/{size}/{count}", version="1.0"))
    assert body_of(connection.receive()) == whole(size, count)
    assert connection.ended
    client.close()


@pytest.mark.parametrize("size", [1, 65_535, 65_536, 1_000_000])
def test_the_test_client_gets_all_of_a_stream(size: int) -> None:
    with streaming().test_client() as client:
        assert client.get(f"/{size}/20").content == whole(size, 20)


@pytest.mark.parametrize("size", [1, 65_536, 1_000_000])
def test_requests_behind_a_stream_are_answered(size: int) -> None:
    _, connection = asked(streaming(), ask(f"/{size}/9") + ask("/1/1") + ask(f"/{size}/9"))
    assert connection.receive().count(b"HTTP/1.1 200 OK") == 3


def test_a_stream_whose_pieces_are_empty_lets_others_be_served() -> None:
    app, yielded = App(), [0]

    @app.get("/")
    def polling(request: Request) -> Iterator[str]:
        while yielded[0] < 1000:
            yielded[0] += 1
            yield ""
        yield "done"

    line = Line(app)
    line.transport.deliver(ask())
    turns = 0
    while not line.transport.has_output or turns < 1000:
        line.connection.handle(*line.transport.ready())
        before = yielded[0]
        line.world._turn()
        assert yielded[0] <= before + 2
        turns += 1
    assert unchunked(body_of(line.take())) == b"done"


class Slow:
    """An app whose pieces take 40 ms each on the virtual clock, and its clients."""

    def __init__(self) -> None:
        self.app = App()
        self.pulled = 0

        @self.app.get("/")
        def rows(request: Request) -> Iterator[str]:
            for number in range(50):
                self.line.world._clock += 0.04
                self.pulled += 1
                yield f"{number}\n"

        self.line = Line(self.app)


def test_a_turn_ends_after_some_milliseconds_however_few_pieces_it_has_pulled() -> None:
    slow = Slow()
    slow.line.transport.deliver(ask())
    for _ in range(5):
        before = slow.pulled
        slow.line.connection.handle(*slow.line.transport.ready())
        # The first turn pulls the first piece with the head, and one more.
        assert slow.pulled - before <= 2
    slow.line.world.settle()
    assert unchunked(body_of(slow.line.take())).count(b"\n") == 50


def test_a_stream_that_waits_goes_on_by_its_own_wake_up() -> None:
    app = App()

    @app.get("/")
    def mixed(request: Request) -> Any:
        for number in range(6):
            yield piece_of(number, 100_000)
            yield from sleep(1)
            yield from blocking(int)
            yield b""

    client, connection = asked(app, ask())
    answer = b""
    for _ in range(7):
        answer += connection.receive()
        client.advance(1)
    assert unchunked(body_of(answer)) == whole(100_000, 6)


# Over real sockets.

Connect = Callable[[], socket.socket]


@pytest.fixture(scope="module", params=["plain", "TLS", "Unix"])
def connect(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connect]:
    """Gives a new connection to a server of one transport."""
    settings = tls_settings() if request.param == "TLS" else {}
    path = Path(tmp_path_factory.mktemp("streams")) / "a.sock"
    address = f"unix:{path}" if request.param == "Unix" else "127.0.0.1"
    server = Server(streaming(), address, None if request.param == "Unix" else 0, **settings)

    def connected() -> socket.socket:
        if request.param == "Unix":
            client = socket.socket(socket.AF_UNIX)
            client.connect(str(path))
        else:
            client = socket.create_connection(server.address, PATIENCE)
        if request.param == "TLS":
            client = client_context().wrap_socket(client, server_hostname="localhost")
        client.settimeout(PATIENCE)
        return client

    with served(server):
        yield connected


def download(client: socket.socket, request: bytes, pause: float = 0.0, every: float = math.inf) -> bytes:
    """All that comes until the end; the reader pauses for some seconds whenever so many bytes have come."""
    with contextlib.closing(client):
        client.sendall(request)
        answer, rest_at = bytearray(), every
        while piece := client.recv(65_536):
            answer += piece
            if len(answer) > rest_at:
                rest_at += every
                time.sleep(pause)
        return bytes(answer)


FAST, SLOW, PAUSING = (0.0, math.inf), (0.001, 100_000), (0.05, 1_200_000)


@pytest.mark.server
@pytest.mark.parametrize("size", FEW_PIECES)
@pytest.mark.parametrize("reader", [FAST, SLOW, PAUSING], ids=["fast", "slow", "pausing"])
def test_a_download_is_whole(connect: Connect, size: int, reader: tuple[float, float]) -> None:
    count = count_for(size, 3_000_000)
    answer = download(connect(), ask(f"/{size}/{count}", "Connection: close"), *reader)
    assert unchunked(body_of(answer)) == whole(size, count)


@pytest.mark.server
@pytest.mark.parametrize("size", [65_536, 1_000_000])
def test_a_download_is_whole_for_a_client_of_http_1_0(connect: Connect, size: int) -> None:
    answer = download(connect(), ask(f"/{size}/20", version="1.0"))
    assert body_of(answer) == whole(size, 20)


# The same for what a WebSocket's peer has sent, which is parsed as there is room for its answers.


def messages(size: int) -> tuple[bytes, int]:
    """About two megabytes of messages of one size, and how long their echoes are."""
    count = min(2_000_000 // size, 1000)
    return message(bytes(size)) * count, len(build_frame(2, bytes(size), mask=None)) * count


@pytest.mark.parametrize("size", [100, 10_000, 30_000, 65_535, 65_536, 200_000, 1_000_000])
@pytest.mark.parametrize("capacity", [5000, 131_072, 262_144, 4 << 20])
def test_messages_that_wait_for_room_are_answered(size: int, capacity: int) -> None:
    sent, due = messages(size)
    client, connection = asked(streaming(), HANDSHAKE + sent, capacity=capacity)
    assert len(body_of(connection.receive())) == due
    client.close()


def test_messages_that_wait_for_room_are_answered_though_a_push_has_used_the_room_first() -> None:
    app = streaming()
    line = Line(app)
    line.send(HANDSHAKE + message(bytes(10_000)) * 60)
    due, got = len(build_frame(2, bytes(10_000), mask=None)) * 60, len(body_of(line.transport.take(1 << 20) or b""))
    pushed = 0
    while got + line.connection.queued_bytes < due or pushed == 0:
        # The push sends what is queued before the loop tells of any room.
        app.publish("news", b"x")
        pushed += 3
        line.world.settle()
        piece = line.transport.take(1 << 20)
        assert piece, "it has stalled"
        got += len(piece)
    line.go_on()
    assert got + len(line.take()) == due + pushed


@pytest.mark.server
@pytest.mark.parametrize("size", [10_000, 65_536, 200_000])
def test_an_echo_is_whole_for_a_peer_that_reads_late(connect: Connect, size: int) -> None:
    sent, due = messages(size)
    with contextlib.closing(connect()) as client:
        client.sendall(HANDSHAKE)
        answer = bytearray()
        while b"\r\n\r\n" not in answer:
            answer += client.recv(65_536)
        sender = threading.Thread(target=client.sendall, args=(sent,))
        sender.start()
        time.sleep(0.1)
        while len(body_of(bytes(answer))) < due:
            answer += client.recv(1 << 20)
        sender.join()
