"""SIGTERM while there is everything at once: sockets, streams, calls, a backlog, and peers that do nothing."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest
from pace import quickest
from wire import ask, handshake

from microsock.testing import build_frame, read_frames

from .workers import STOPPING, Workers, workers

pytestmark = [pytest.mark.server, pytest.mark.timed]

GRACE = 2.0
APP = """
import time
from microsock import App, EventStream, sleep

app = App(access_log=False)
LARGE = bytes(20_000_000)

@app.get("/")
def index(request):
    return "index"

@app.get("/events")
def events(request):
    return EventStream("news")

@app.get("/finite")
def finite(request):
    for number in range(4):
        yield f"{number}\\n"
        yield from sleep(0.12)

@app.get("/endless")
def endless(request):
    number = 0
    while True:
        number += 1
        yield f"{number}\\n"
        yield from sleep(0.2)

@app.get("/large")
def large(request):
    return LARGE

@app.get("/held")
def held(request):
    # Both may come to one worker, which hears only behind them that it is to stop; half a second later it is killed.
    time.sleep(0.15)
    return "held"

@app.get("/called", blocking=True)
def called(request):
    time.sleep(0.5)
    return "called"

@app.websocket("/ws")
def echo(ws, message):
    return message
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "shop.py").write_text(APP)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


class Crowd:
    """One client of each kind that takes its answer, connected and, where it can be, half served."""

    def __init__(self, server: Workers) -> None:
        self.websocket = server.connect(handshake())
        self.websocket.recv(1000)
        self.idle = server.connect(ask())
        self.idle.recv(1000)
        self.half_head = server.connect(b"GET / HTTP/1.1\r\nHost:")
        self.events = server.connect(ask("/events"))
        self.events.recv(1000)
        self.finite = server.connect(ask("/finite"))
        self.finite.recv(1000)
        self.called = server.connect(ask("/called"))
        time.sleep(0.2)
        # As many as there may be workers are busy now; the others' requests lie in the kernel.
        self.held = [server.connect(ask("/held")) for _ in range(2)]
        self.backlog = [server.connect(ask()) for _ in range(10)]

    def all(self) -> list[socket.socket]:
        several = (*self.held, *self.backlog)
        return [self.websocket, self.idle, self.half_head, self.events, self.finite, self.called, *several]

    def expect_their_due(self) -> None:
        """Each gets what the page on flow control promises; the last of them after about 1.2 s."""
        assert [rest(each)[-4:] for each in self.held] == [b"held"] * 2
        assert {rest(each)[-5:] for each in self.backlog} == {b"index"}
        assert close_code(self.websocket) == 1001
        self.websocket.sendall(build_frame(8, b"\x03\xe9"))
        assert rest(self.websocket) == b""
        assert rest(self.events).endswith(b"0\r\n\r\n")
        assert rest(self.idle) == b""
        assert rest(self.half_head) == b""
        called = rest(self.called)
        assert called.endswith(b"called")
        assert b"Connection: close" in called
        assert rest(self.finite).endswith(b"3\n\r\n0\r\n\r\n")


def rest(sock: socket.socket) -> bytes:
    """All there is up to the end."""
    data = b""
    while part := sock.recv(65536):
        data += part
    return data


def close_code(sock: socket.socket) -> int:
    (frame,) = read_frames(bytearray(sock.recv(1000)))
    return int.from_bytes(frame.payload[:2], "big")


@pytest.mark.parametrize("count", [1, 2])
def test_when_all_take_what_is_due_the_end_comes_within_a_second_of_the_last_answer(site: Path, count: int) -> None:
    def seconds_behind_the_last_answer() -> float:
        with workers(site, count=count) as server:
            assert server.get() == "index"
            crowd = Crowd(server)
            server.process.terminate()
            crowd.expect_their_due()
            last = time.monotonic()
            assert server.wait() == 0
            seconds = time.monotonic() - last
            for each in crowd.all():
                each.close()
        assert server.errors[3:] == [STOPPING]
        return seconds

    assert quickest(seconds_behind_the_last_answer, 1) < 1


@pytest.mark.parametrize("count", [1, 2])
def test_peers_that_do_nothing_cost_the_grace_time_and_others_not_their_answers(site: Path, count: int) -> None:
    def seconds_too_late() -> float:
        answered, ended = seconds_with_peers_that_do_nothing(site, count)
        assert ended > GRACE - 0.1
        return max(answered - (GRACE - 0.5), ended - (GRACE + 1))

    assert quickest(seconds_too_late, 0) < 0


def seconds_with_peers_that_do_nothing(site: Path, count: int) -> tuple[float, float]:
    """When those who take their answers had them all, and when the server had ended."""
    with workers(site, "--grace", str(GRACE), count=count) as server:
        assert server.get() == "index"
        deaf = server.connect(ask("/large"), receive_buffer=4096)
        silent = server.connect(handshake())
        silent.recv(1000)
        endless = server.connect(ask("/endless"))
        endless.recv(1000)
        crowd = Crowd(server)
        began = time.monotonic()
        server.process.terminate()
        crowd.expect_their_due()
        answered = time.monotonic() - began
        assert server.wait() == 0
        ended = time.monotonic() - began
        # Cut, and not to be mistaken for whole: no last chunk, not all of the length that was announced.
        assert not rest(endless).endswith(b"0\r\n\r\n")
        assert len(what_is_left(deaf)) < 20_000_000
        for each in (deaf, silent, endless, *crowd.all()):
            each.close()
    assert "connections cut" in server or "connection cut" in server
    return answered, ended


def what_is_left(sock: socket.socket) -> bytes:
    """What the kernels have of it, up to the cut."""
    data = b""
    try:
        while part := sock.recv(1 << 20):
            data += part
    except ConnectionError:
        pass
    return data
