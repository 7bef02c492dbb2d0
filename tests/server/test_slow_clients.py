"""Slow, idle and half-finished clients cost a normal one nothing, and each is closed at its deadline."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path

import pytest
from running import Running, running
from soak.clients import descriptors

DEADLINE = 2.0
APP = """
from microsock import App

app = App(head_timeout=2, body_timeout=2, keep_alive_timeout=2, write_timeout=2)


@app.get("/")
def index(request):
    return "hello"


@app.get("/large")
def large(request):
    return b"x" * (8 << 20)


@app.post("/")
def take(request):
    return "taken"
"""
HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
# What a client says at first, and what it drips, a byte at a time, behind it.
IDLE = (b"", b"")
KEPT_ALIVE = (HEAD + b"\r\n", b"")
HALF_HEAD = (HEAD, b"")
DRIPPED_HEAD = (HEAD + b"X-Slow: ", b"a")
HALF_BODY = (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nabc", b"")
DRIPPED_BODY = (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nabc", b"d")
DRIPPED_CHUNKS = (b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n", b"d")
NEVER_READS = (b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n", b"")
CROWD = [
    (IDLE, 300),
    (KEPT_ALIVE, 200),
    (HALF_HEAD, 60),
    (DRIPPED_HEAD, 60),
    (HALF_BODY, 60),
    (DRIPPED_BODY, 60),
    (DRIPPED_CHUNKS, 30),
    (NEVER_READS, 30),
]


@pytest.fixture
def app(tmp_path: Path, unmeasured: None) -> str:
    (tmp_path / "app.py").write_text(APP)
    return str(tmp_path / "app.py")


@pytest.fixture
def server(app: str) -> Iterator[Running]:
    with running("--no-access-log", app) as server:
        yield server


@pytest.fixture
def quiet(app: str) -> Iterator[Running]:
    """One with a single client: how long a request takes on this machine now."""
    with running("--no-access-log", app) as server:
        yield server


class Slow:
    """One slow client; reads only to see whether it was closed, and not even that where it never reads."""

    def __init__(self, port: int, says: bytes, drips: bytes) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.opened = time.monotonic()
        self.drips = drips
        self.closed_after: float | None = None
        self.sock.sendall(says)
        self.sock.setblocking(False)

    def drip(self) -> None:
        if self.drips and self.closed_after is None:
            self._unless_closed(lambda: self.sock.send(self.drips))

    def look(self) -> None:
        """Read what is there; at the end of the stream it was closed."""
        self._unless_closed(self._drain)

    def _drain(self) -> None:
        while data := self.sock.recv(1 << 20):
            del data
        self._closed()

    def _unless_closed(self, action: Callable[[], object]) -> None:
        try:
            action()
        except BlockingIOError:
            pass
        except ConnectionError:
            self._closed()

    def _closed(self) -> None:
        if self.closed_after is None:
            self.closed_after = time.monotonic() - self.opened


@contextmanager
def crowd(port: int) -> Iterator[dict[tuple[bytes, bytes], list[Slow]]]:
    with ExitStack() as stack:
        clients = {kind: [Slow(port, *kind) for _ in range(count)] for kind, count in CROWD}
        for slow in chain.from_iterable(clients.values()):
            stack.callback(slow.sock.close)
        yield clients


def milliseconds_of_a_request(port: int) -> float:
    started = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(HEAD + b"Connection: close\r\n\r\n")
        answer = b"".join(iter(lambda: sock.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"hello")
    return (time.perf_counter() - started) * 1000


@pytest.mark.server
@pytest.mark.timed
def test_a_normal_client_is_served_at_once_beside_500_idle_and_300_slow_ones(server: Running, quiet: Running) -> None:
    before = descriptors(server.process.pid)
    with crowd(server.port) as clients:
        readers = [slow for kind, group in clients.items() if kind != NEVER_READS for slow in group]
        times, alone = list[float](), list[float]()
        until = time.monotonic() + DEADLINE * 2
        # Longer than that only where it is too busy for a hundred requests.
        while len(times) < 100 or (time.monotonic() < until and descriptors(server.process.pid) > before):
            for _ in range(20):
                times.append(milliseconds_of_a_request(server.port))
                alone.append(milliseconds_of_a_request(quiet.port))
            for slow in readers:
                slow.drip()
                slow.look()
        for slow in readers:
            slow.look()
        assert len(times) >= 100
        p99, p99_alone = (sorted(each)[int(len(each) * 0.99)] for each in (times, alone))
        assert p99 - p99_alone < 100, f"p99 is {p99:.0f} ms, and {p99_alone:.0f} ms without the crowd"

        # Nobody is closed before his time, and nobody much later.
        early = [slow.closed_after for slow in readers if slow.closed_after and slow.closed_after < DEADLINE - 0.1]
        assert early == []
        assert {kind: sum(slow.closed_after is None for slow in group) for kind, group in clients.items()} == {
            kind: 0 if kind != NEVER_READS else 30 for kind, _ in CROWD
        }
        wait_until_cut(clients[NEVER_READS])


def wait_until_cut(clients: list[Slow]) -> None:
    """Those who never read get no more than the kernel had taken by their deadline: never the whole answer."""
    for slow in clients:
        slow.sock.settimeout(5)
        received = 0
        try:
            while data := slow.sock.recv(1 << 20):
                received += len(data)
        except ConnectionError:
            pass
        assert received < 8 << 20
