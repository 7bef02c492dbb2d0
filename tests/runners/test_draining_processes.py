"""TERM with every kind of connection open, by real processes: what DESIGN's page on flow control promises."""

from __future__ import annotations

import os
import signal
import socket
import time
from functools import partial
from pathlib import Path

import pytest
from pace import quickest
from wire import handshake

from microsock.testing import read_frames

from .workers import PATIENCE, Workers, wait_until, workers

pytestmark = [pytest.mark.server, pytest.mark.timed]

APP = """
import os, time
from microsock import App, EventStream, sleep

app = App(access_log=False)

@app.get("/")
def index(request):
    return "index"

@app.get("/slow")
def slow(request):
    yield from sleep(0.7)
    yield "slowly"

@app.get("/events")
def events(request):
    return EventStream("news")

@app.get("/finite")
def finite(request):
    for number in range(3):
        yield f"{number}\\n"
        yield from sleep(0.4)

@app.get("/large")
def large(request):
    return bytes(20_000_000)

@app.get("/held")
def held(request):
    time.sleep(0.5)
    return "held"

@app.websocket("/ws")
def echo(ws, message):
    return message
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "shop.py").write_text(APP)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


def ask(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def rest(sock: socket.socket) -> bytes:
    """All there is up to the end."""
    data = b""
    while part := sock.recv(65536):
        data += part
    return data


def open_websocket(server: Workers) -> socket.socket:
    sock = server.connect(handshake("/ws"))
    assert sock.recv(1000).startswith(b"HTTP/1.1 101 ")
    return sock


def code_of(frames: bytes) -> int:
    (frame,) = read_frames(bytearray(frames))
    return int.from_bytes(frame.payload[:2], "big")


@pytest.mark.parametrize("count", [1, 2])
def test_term_ends_every_kind_of_connection_as_it_should_and_within_a_second_of_the_last_answer(
    site: Path, count: int
) -> None:
    assert quickest(partial(seconds_behind_the_last_answer, site, count), 1) < 1


def seconds_behind_the_last_answer(site: Path, count: int) -> float:
    with workers(site, count=count) as server:
        assert server.get() == "index"
        chat = open_websocket(server)
        events, finite, slow, idle = (server.connect(ask(path)) for path in ("/events", "/finite", "/slow", "/"))
        events.recv(1000), finite.recv(1000), idle.recv(1000)
        time.sleep(0.2)
        waiting = server.connect(ask("/"))  # in flight or in the backlog
        server.process.terminate()
        assert code_of(chat.recv(1000)) == 1001
        chat.sendall(bytes([0x88, 0x80, 0, 0, 0, 0]))
        assert b"0\r\n\r\n" in rest(events)
        assert rest(waiting).endswith(b"index")
        assert b"2\n" in rest(finite)
        assert b"slowly" in rest(slow)
        last = time.monotonic()
        assert rest(idle) == b""
        for each in (chat, events, finite, slow, idle, waiting):
            each.close()
        assert server.wait() == 0
        return time.monotonic() - last


@pytest.mark.parametrize("count", [1, 2])
def test_a_peer_that_does_not_read_or_answer_a_close_is_cut_when_the_grace_time_ends(site: Path, count: int) -> None:
    def seconds_to_stop() -> float:
        with workers(site, "--grace", "0.5", count=count) as server:
            deaf = server.connect(ask("/large"), receive_buffer=4096)
            chat = open_websocket(server)
            deaf.recv(10)
            began = time.monotonic()
            assert server.stop() == 0
            seconds = time.monotonic() - began
            deaf.close()
            chat.close()
        assert "connections cut" in server
        assert seconds >= 0.5
        return seconds

    assert quickest(seconds_to_stop, 1.5) < 1.5


def test_who_waits_in_the_backlog_behind_a_busy_worker_is_still_answered(site: Path) -> None:
    with workers(site, "--runner", "preforked", count=1) as server:
        assert server.get() == "index"
        held = server.connect(ask("/held"))
        time.sleep(0.1)
        behind = [server.connect(ask("/")) for _ in range(5)]
        server.process.terminate()
        assert rest(held).endswith(b"held")
        assert [rest(each)[-5:] for each in behind] == [b"index"] * 5
        for each in (held, *behind):
            each.close()
        assert server.wait() == 0


def test_a_worker_that_is_told_alone_leaves_the_backlog_as_it_was(site: Path) -> None:
    with workers(site) as server:
        assert server.get() == "index"
        before = server.pids()
        os.kill(before[0], signal.SIGTERM)
        wait_until(lambda: len(now := server.pids()) == 2 and before[0] not in now)
        # As many as there are workers are answered now, by whichever takes them.
        held = [server.connect(ask("/held")) for _ in range(4)]
        time.sleep(0.1)
        # Where the backlog had no room, the kernel would take no notice of most of them for a second.
        behind = [socket.create_connection(("127.0.0.1", server.port), 0.3) for _ in range(6)]
        for each in behind:
            each.settimeout(PATIENCE)
            each.sendall(ask("/"))
            assert each.recv(1000).endswith(b"index")
        for each in (*held, *behind):
            each.close()
        assert server.stop() == 0


def test_hup_tells_websockets_1012_and_ends_event_streams_while_finite_answers_go_on(site: Path) -> None:
    with workers(site, "--keep-alive-timeout", "1") as server:
        assert server.get() == "index"
        chat, events, finite = open_websocket(server), server.connect(ask("/events")), server.connect(ask("/finite"))
        events.recv(1000)
        server.signal(signal.SIGHUP)
        assert code_of(chat.recv(1000)) == 1012
        chat.sendall(bytes([0x88, 0x80, 0, 0, 0, 0]))
        assert b"0\r\n\r\n" in rest(events)
        assert b"2\n" in rest(finite)
        wait_until(lambda: "reload: all workers are new" in server)
        for each in (chat, events, finite):
            each.close()
        assert server.stop() == 0
