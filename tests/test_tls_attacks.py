"""Clients that mean harm over TLS: what is said in plain HTTP about slow, silent and broken ones holds here too."""

from __future__ import annotations

import contextlib
import random
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from certs import client_context, issued
from running import PATIENCE, Running, running
from tools import needed

pytestmark = [pytest.mark.server, pytest.mark.timed]

DEADLINE = 1.0
APP = f"""
from microsock import App

app = App(
    access_log=False, head_timeout={DEADLINE}, body_timeout={DEADLINE}, keep_alive_timeout={DEADLINE},
    write_timeout={DEADLINE}, tls_timeout={DEADLINE},
)


@app.get("/")
def index(request):
    return "hello"


@app.get("/large")
def large(request):
    return b"x" * (24 << 20)


@app.post("/")
def take(request):
    print("TAKEN", flush=True)
    return request.body
"""
HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
BODY = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    site = tmp_path_factory.mktemp("attacked")
    (site / "shop.py").write_text(APP)
    pem = issued("localhost")
    with running("--ssl-certfile", pem.certificate, "--ssl-keyfile", pem.key, str(Path(site, "shop.py"))) as server:
        yield server


class Client:
    """TLS over a socket that stays in our hands, so that either can be broken without the other."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = client_context().wrap_bio(self._in, self._out, server_hostname="localhost")
        self._until_done(self.tls.do_handshake)

    def send(self, data: bytes) -> None:
        """Raises ``OSError`` once the server has closed."""
        self.tls.write(data)
        self._flush()

    def close_notify(self) -> None:
        """End our side as TLS does it; the server's may go on."""
        with pytest.raises(ssl.SSLWantReadError):
            self.tls.unwrap()
        self._flush()

    def read(self) -> bytes:
        """What comes next; empty at the server's goodbye, ``EOFError`` at an end without one."""
        return self._until_done(lambda: self.tls.read(1 << 16)) or b""

    def rest(self) -> bytes:
        """What the server still says, up to its end."""
        received = b""
        try:
            while data := self.read():
                received += data
        except (EOFError, ssl.SSLError, ConnectionError):
            pass
        return received

    def _until_done(self, call: Callable[[], bytes | None]) -> bytes | None:
        while True:
            try:
                result = call()
            except ssl.SSLWantReadError:
                self._flush()
                data = self.sock.recv(1 << 16)
                if not data:
                    raise EOFError from None
                self._in.write(data)
            else:
                self._flush()
                return result

    def _flush(self) -> None:
        if self._out.pending:
            self.sock.sendall(self._out.read())


@pytest.fixture
def client(server: Running) -> Iterator[Client]:
    client = Client(server.port)
    with client.sock:
        yield client


def assert_serves(server: Running) -> None:
    client = Client(server.port)
    with client.sock:
        client.send(HEAD + b"Connection: close\r\n\r\n")
        assert client.rest().endswith(b"hello")


@pytest.mark.parametrize(("first", "drop"), [(HEAD, b"x"), (BODY, b"x"), (b"", b"")])
def test_who_drips_or_says_nothing_is_cut_at_the_deadline(
    server: Running, client: Client, first: bytes, drop: bytes
) -> None:
    began = time.monotonic()
    client.sock.settimeout(0.2)
    if first:
        client.send(first)
    while True:
        try:
            if drop:
                client.send(drop)
            if not client.read():
                break
        except TimeoutError:
            assert time.monotonic() - began < 3 * DEADLINE
        except (OSError, EOFError):
            break
        assert_serves(server)
    assert DEADLINE * 0.9 < time.monotonic() - began < 3 * DEADLINE


def test_who_never_reads_is_cut_and_delays_nobody(server: Running, client: Client) -> None:
    client.send(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
    began, slowest = time.monotonic(), 0.0
    while time.monotonic() - began < 3 * DEADLINE:
        asked = time.monotonic()
        assert_serves(server)
        slowest = max(slowest, time.monotonic() - asked)
    assert slowest < 1
    assert len(client.rest()) < 24 << 20


@pytest.mark.parametrize("with_goodbye", [True, False])
def test_who_ends_its_side_behind_a_whole_request_gets_the_answer(client: Client, with_goodbye: bool) -> None:
    client.send(HEAD + b"\r\n")
    if with_goodbye:
        client.close_notify()
    client.sock.shutdown(socket.SHUT_WR)
    assert client.rest().endswith(b"hello")


@pytest.mark.parametrize("with_goodbye", [True, False])
def test_a_body_that_is_cut_off_reaches_no_handler(server: Running, client: Client, with_goodbye: bool) -> None:
    # Without a goodbye anybody on the way may have cut it (RFC 8446 section 6.1); with one it is incomplete too.
    client.send(BODY + b"half")
    if with_goodbye:
        client.close_notify()
    client.sock.shutdown(socket.SHUT_WR)
    assert client.rest()[:12] in (b"", b"HTTP/1.1 400")


def test_nobody_may_negotiate_anew(server: Running) -> None:
    # CVE-2011-1473: a handshake costs the server many times what it costs the client.
    words = [needed("openssl"), "s_client", "-tls1_2", "-connect", f"127.0.0.1:{server.port}"]
    found = subprocess.run(words, input=b"R\nR\n", capture_output=True, timeout=PATIENCE, check=False)
    assert b"RENEGOTIATING" in found.stdout + found.stderr
    assert b"no renegotiation" in found.stdout + found.stderr
    assert_serves(server)


def test_bytes_that_are_no_tls_harm_nobody(server: Running) -> None:
    rng = random.Random(5)
    hello = first_words()
    for _ in range(200):
        said = bytearray(hello[: rng.randrange(1, len(hello) + 1)])
        for _ in range(rng.choice((0, 1, 1, 5))):
            said[rng.randrange(len(said))] = rng.randrange(256)
        with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as sock:
            sock.sendall(said + rng.randbytes(rng.choice((0, 0, 5, 5000))))
    assert_serves(server)


def test_bytes_that_are_no_tls_behind_the_handshake_end_the_connection(server: Running) -> None:
    for nonsense in (
        b"GET / HTTP/1.1\r\n\r\n",
        bytes(5000),
        b"\x17\x03\x03\xff\xff" + bytes(5000),
        b"\x17\x03\x03\x00\x00",
    ):
        client = Client(server.port)
        with client.sock:
            client.sock.sendall(nonsense)
            with contextlib.suppress(OSError):  # the server may have ended it already
                client.sock.shutdown(socket.SHUT_WR)
            assert b"200" not in client.rest()
    assert_serves(server)


def first_words() -> bytes:
    out = ssl.MemoryBIO()
    tls = client_context().wrap_bio(ssl.MemoryBIO(), out, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return out.read()
