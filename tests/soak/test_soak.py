"""What open sockets may cost and must survive, in a real server process. The long forms stand in `docs/design.md`."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest
from running import Running, running

from microsock.testing import build_frame

from . import many
from .clients import connected, descriptors, resident_bytes, send

MEGABYTE = 1 << 20

pytestmark = [pytest.mark.server, pytest.mark.timed, pytest.mark.usefixtures("unmeasured")]


@pytest.fixture
def server(unmeasured: None) -> Iterator[Running]:
    with running("--ping-interval", "1", "--ping-timeout", "1", "tests/soak/subject.py") as server:
        yield server


def test_one_publish_reaches_a_thousand_sockets() -> None:
    cost = many.run(1000)
    assert cost.bytes_each < 8 << 10
    assert cost.seconds < 10


def test_a_client_that_never_reads_costs_its_bound_and_is_closed(server: Running) -> None:
    with connected(server.port, "/flooded", receive_buffer=4096) as lazy, connected(server.port, "/flood") as pusher:
        before, held = resident_bytes(server.process.pid), descriptors(server.process.pid)
        for _ in range(40):
            send(pusher, "40 MiB in all")
            time.sleep(0.05)
        # Eight times the bound, and what is pushed until that has lasted for a quarter of a second.
        assert resident_bytes(server.process.pid) - before < 16 * MEGABYTE
        wait_until_closed(server.process.pid, held)
        assert bytes_until_the_end(lazy) < 16 * MEGABYTE


def wait_until_closed(pid: int, held: int) -> None:
    """Until the server holds one connection fewer, though nothing was read from it."""
    end = time.monotonic() + 8
    while descriptors(pid) >= held:
        assert time.monotonic() < end, "it is still open"
        time.sleep(0.05)


def bytes_until_the_end(sock: socket.socket) -> int:
    """See how much there is up to the end, which has to have come."""
    sock.settimeout(1)
    received = 0
    try:
        while data := sock.recv(65536):
            received += len(data)
    except ConnectionError:
        pass
    return received


@pytest.mark.parametrize("rate", [400_000])
def test_a_slow_client_with_a_megabyte_queued_survives(server: Running, rate: int) -> None:
    # Longer than the write timeout (1.5 s) and several heartbeats (1 s), but never without progress.
    with connected(server.port, "/megabyte", receive_buffer=16384) as slow:
        send(slow, "please")
        started, received = time.monotonic(), b""
        while len(received) < MEGABYTE + 10:
            time.sleep(0.02)
            allowed = int((time.monotonic() - started) * rate) - len(received)
            part = slow.recv(max(allowed, 1))
            assert part, f"cut after {len(received)} bytes"
            received += part
        assert time.monotonic() - started > 2
        assert received.count(b"x") >= MEGABYTE
        assert is_open(slow)


def is_open(sock: socket.socket) -> bool:
    """Whether a ping is still answered, behind whatever else comes."""
    sock.settimeout(5)
    sock.sendall(build_frame(9, b"still there?"))
    received = b""
    while b"still there?" not in received:
        data = sock.recv(65536)
        if not data:
            return False
        received += data
    return True


def test_a_generator_that_sleeps_survives_a_flood_with_flat_memory(server: Running) -> None:
    with connected(server.port, "/asleep") as flooder:
        before = resident_bytes(server.process.pid)
        flooder.setblocking(False)
        message = build_frame(2, bytes(65536))
        rest, sent, until = message, 0, time.monotonic() + 1.5
        while time.monotonic() < until:
            try:
                count = flooder.send(rest)
            except BlockingIOError:
                time.sleep(0.01)
                continue
            sent += count
            rest = rest[count:] or message
        assert sent > MEGABYTE // 4
        assert resident_bytes(server.process.pid) - before < 8 * MEGABYTE
        flooder.settimeout(5)
        # Pings of the heartbeat come first.
        received = b""
        while b"awake after 65536 bytes" not in received:
            data = flooder.recv(4096)
            assert data, "cut while it slept"
            received += data
