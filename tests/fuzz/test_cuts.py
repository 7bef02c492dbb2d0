"""A script of requests and frames gives the same bytes wherever it is cut, in memory and through a socket."""

from __future__ import annotations

import random
import re
import select
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from microsock import App, Server
from microsock.testing import TestClient, build_frame

from .watch import UPGRADE, answers_to, cut, make_app

pytestmark = pytest.mark.usefixtures("untraced")

# Each script ends its connection: by asking, or by breaking the protocol. None expects a 100: a body that is there
# already makes it needless.
HTTP_SCRIPT = (
    b"GET /echo?a=1 HTTP/1.1\r\nHost: a\r\n\r\n"
    b"\r\nPOST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
    b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n"
    b"7\r\n, world\r\n0\r\nX: y\r\n\r\n"
    b"HEAD /about HTTP/1.1\r\nHost: a\r\nCookie: a=b; c=\"d\"\r\n\r\n"
    b"GET /pieces?piece=one&piece=two HTTP/1.1\r\nHost: a\r\n\r\n"
    b"DELETE /pieces HTTP/1.1\r\nHost: a\r\n\r\n"
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"
    b"POST /echo HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi"
    b"GET http://b/%2Fx%20y HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n"
    b"GET /never HTTP/1.1\r\nHost: a\r\n\r\n"
)  # fmt: skip
FRAMES_SCRIPT = b"".join(
    [
        build_frame(1, "hello"),
        build_frame(9, b"ping"),
        build_frame(1, "fragments with ünïcödé in them"[:17], fin=False),
        build_frame(9, b"between"),
        build_frame(10, b"pong"),
        build_frame(0, " and more", fin=False),
        build_frame(0, b""),
        build_frame(2, bytes(range(200))),
        build_frame(1, b""),
        build_frame(2, bytes(range(100))),
        build_frame(8, b"\x03\xe8bye"),
    ]
)
REFUSED = {
    "a bare LF": b"GET / HTTP/1.1\nHost: a\r\n\r\n",
    "no Host": b"GET / HTTP/1.1\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    "a long line": b"GET /" + b"x" * 450 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "a long head": b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: %b\r\n" % (b"y" * 300) * 4 + b"\r\n",
    "many lines": b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 25 + b"\r\n",
    "a large body": b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2001\r\n\r\n" + b"x" * 100,
    "a bad chunk": b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nx\r\n",
    "an old version": b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
    "a bad handshake": (UPGRADE % b"/ws").replace(b"Version: 13", b"Version: 12")
    + b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
}
BROKEN = {
    "no mask": build_frame(1, "a", mask=None),
    "a reserved bit": build_frame(1, "a", rsv=4),
    "an unknown opcode": build_frame(3, "a"),
    "bad UTF-8": build_frame(1, b"hell\xff"),
    "a large message": build_frame(2, bytes(401)),
    "a large message in fragments": build_frame(2, bytes(300), fin=False) + build_frame(0, bytes(300)),
    "a continuation of nothing": build_frame(0, "a"),
    "a long ping": build_frame(9, bytes(126)),
    "a bad close": build_frame(8, b"\x03\xed"),
}
SCRIPTS = {
    "requests": HTTP_SCRIPT,
    "frames to a function": UPGRADE % b"/ws" + FRAMES_SCRIPT,
    "frames to a generator": UPGRADE % b"/generator" + FRAMES_SCRIPT,
}
SCRIPTS |= {f"refused: {what}": b"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n" + data for what, data in REFUSED.items()}
SCRIPTS |= {f"broken: {what}": UPGRADE % b"/ws" + build_frame(1, "first") + data for what, data in BROKEN.items()}


@pytest.fixture(scope="module")
def app() -> App:
    return make_app()


@pytest.fixture(scope="module")
def client(app: App) -> Iterator[TestClient]:
    with app.test_client() as client:
        yield client


def _in_memory(client: TestClient, pieces: Sequence[bytes]) -> bytes:
    with client.raw_connection() as connection:
        received = answers_to(connection, pieces)
        assert connection.ended, "the script is to end the connection"
    return received


def _places(data: bytes) -> list[int]:
    """All there are between two bytes, but for the inside of a long run of one byte, which is the same everywhere."""
    return [place for place in range(1, len(data)) if len(set(data[max(0, place - 4) : place + 4])) > 1]


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_cut_at_any_place_gives_the_same_bytes(client: TestClient, script: str) -> None:
    data = SCRIPTS[script]
    whole = _in_memory(client, [data])
    for place in _places(data):
        assert _in_memory(client, cut(data, [place])) == whole, f"cut behind {data[:place]!r}"


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_that_comes_byte_by_byte_gives_the_same_bytes(client: TestClient, script: str) -> None:
    data = SCRIPTS[script]
    assert _in_memory(client, [data[place : place + 1] for place in range(len(data))]) == _in_memory(client, [data])


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_that_is_read_byte_by_byte_gives_the_same_bytes(client: TestClient, script: str) -> None:
    data = SCRIPTS[script]
    with client.raw_connection(capacity=1) as connection:
        assert answers_to(connection, [data]) == _in_memory(client, [data])


@pytest.fixture(scope="module")
def server(app: App) -> Iterator[Server]:
    server = Server(app, port=0, access_log=False, allowed_hosts="*")
    thread = threading.Thread(target=server.run)
    thread.start()
    yield server
    server.shutdown()
    thread.join()


@pytest.mark.server
@pytest.mark.parametrize("script", SCRIPTS)
def test_a_socket_gives_the_same_bytes_as_memory(client: TestClient, server: Server, script: str) -> None:
    data = SCRIPTS[script]
    whole = _in_memory(client, [data])
    chance = random.Random(script)
    samples = [[data]] + [cut(data, chance.sample(range(1, len(data)), 3)) for _ in range(5)]
    for pieces in samples:
        assert _masked(_by_socket(server, pieces)) == _masked(whole)


def _by_socket(server: Server, pieces: Sequence[bytes]) -> bytes:
    received = b""
    with _connected(server) as sock:
        for piece in pieces:
            sock.sendall(piece)
            # Long enough, mostly, for the server to read this piece alone.
            if select.select([sock], [], [], 0.002)[0]:
                received += sock.recv(1 << 16)
        while data := sock.recv(1 << 16):
            received += data
    return received


@contextmanager
def _connected(server: Server) -> Iterator[socket.socket]:
    with socket.create_connection(server.address, timeout=5) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield sock


def _masked(data: bytes) -> bytes:
    return re.sub(rb"\r\nDate: [^\r\n]*", b"\r\nDate: -", data)
