"""Handlers that take long: off the loop in threads, or in a worker of their own; and two workers that compute."""

from __future__ import annotations

import select
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from pace import quickest
from wire import ask, handshake

from microsock.testing import build_frame, read_frames

from .workers import Workers, wait_until, workers

pytestmark = [pytest.mark.server, pytest.mark.timed, pytest.mark.usefixtures("unmeasured")]

APP = """
import os, time
from microsock import App

app = App(access_log=False)

@app.get("/")
def index(request):
    return str(os.getpid())

@app.get("/called", blocking=True)
def called(request):
    time.sleep(0.2)
    return "called"

@app.get("/held")
def held(request):
    open("holds", "w").close()
    while not os.path.exists("free"):
        time.sleep(0.01)
    return "held"

@app.get("/computed")
def computed(request):
    began = time.monotonic()
    sum(number * number for number in range(1_000_000))
    return f"{began} {time.monotonic()}"

@app.websocket("/ws")
def echo(ws, message):
    return message if message != "pid" else str(os.getpid())
"""
QUICK = 0.05
CALLS, CALL, THREADS = 50, 0.2, 8


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "shop.py").write_text(APP)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


class Echo:
    """A WebSocket to a worker, and how long its echoes take, in seconds."""

    def __init__(self, server: Workers) -> None:
        self.sock = server.connect(handshake())
        assert self.sock.recv(4096).startswith(b"HTTP/1.1 101 ")
        self.pid = self.ask("pid")

    def ask(self, message: str) -> str:
        self.sock.sendall(build_frame(1, message.encode()))
        (frame,) = read_frames(bytearray(self.sock.recv(4096)))
        return frame.payload.decode()

    def seconds(self) -> float:
        began = time.perf_counter()
        assert self.ask("x") == "x"
        return time.perf_counter() - began


class Delays:
    """How long echoes take beside something slow, and meanwhile those of a server that has nothing else to do."""

    def __init__(self) -> None:
        self.beside: list[float] = []
        self.alone: list[float] = []

    def watch(self, echo: Echo, other: Echo, busy: Callable[[], bool]) -> None:
        while busy():
            self.beside.append(echo.seconds())
            self.alone.append(other.seconds())
            time.sleep(0.005)

    def of(self, percent: int) -> float:
        """By how much they are longer, of so many of a hundred."""
        beside, alone = (statistics.quantiles(each, n=100)[percent - 1] for each in (self.beside, self.alone))
        return beside - alone


def answer(sock: socket.socket) -> bytes:
    data = sock.recv(4096)
    sock.close()
    return data


@pytest.fixture
def quiet(site: Path) -> Iterator[Echo]:
    """Of a server that does nothing else: how quick an echo is on this machine now."""
    with workers(site, count=1) as server:
        echo = Echo(server)
        yield echo
        echo.sock.close()
        assert server.stop() == 0


def test_50_slow_calls_on_8_threads_all_answer_and_delay_no_echo(site: Path, quiet: Echo) -> None:
    with workers(site, count=1) as server:
        echo = Echo(server)

        def longest_delay() -> float:
            delays, answers = Delays(), list[bytes]()
            began = time.monotonic()
            calls = [server.connect(ask("/called")) for _ in range(CALLS)]
            reader = threading.Thread(target=lambda: answers.extend(map(answer, calls)))
            reader.start()
            delays.watch(echo, quiet, reader.is_alive)
            # Seven rounds of eight, and not fifty calls one after the other.
            assert CALLS / THREADS * CALL < time.monotonic() - began < CALLS * CALL / 2
            assert [each[-6:] for each in answers] == [b"called"] * CALLS
            assert len(delays.beside) > 50
            # Nearly all are quick; the longest is no call's length, as it would be if the loop made one.
            return max(delays.of(98) / QUICK, (max(delays.beside) - max(delays.alone)) / CALL)

        assert quickest(longest_delay, 1) < 1
        echo.sock.close()
        assert server.stop() == 0


def test_a_slow_handler_in_one_worker_delays_nobody_on_the_other(site: Path, quiet: Echo) -> None:
    def longest_delay() -> float:
        for name in ("holds", "free"):
            (site / name).unlink(missing_ok=True)
        with workers(site, count=2) as server:
            echoes = one_of_each(server)
            held = server.connect(ask("/held"))
            wait_until((site / "holds").exists)
            # Those who come now do not wait for the held one; it is held until they all have their answer.
            (free,) = {server.get() for _ in range(20)}
            (other,) = echoes.keys() - {free}
            waiting = echoes[other].sock
            waiting.sendall(build_frame(1, b"x"))
            delays, left = Delays(), iter(range(100))
            delays.watch(echoes[free], quiet, lambda: next(left, None) is not None)
            assert not select.select([waiting], [], [], 0)[0], "none was held"
            (site / "free").touch()
            assert answer(held).endswith(b"held")
            assert waiting.recv(100).endswith(b"x")
            for echo in echoes.values():
                echo.sock.close()
            assert server.stop() == 0
        return max(delays.of(98) / QUICK, (max(delays.beside) - max(delays.alone)) / (4 * QUICK))

    assert quickest(longest_delay, 1) < 1


def one_of_each(server: Workers) -> dict[str, Echo]:
    """An echo of each of two workers."""
    pids: set[str] = set()
    wait_until(lambda: pids.add(server.get()) or len(pids) == 2)  # type: ignore[func-returns-value]
    echoes: dict[str, Echo] = {}
    while len(echoes) < 2:
        echo = Echo(server)
        if echoes.setdefault(echo.pid, echo) is not echo:
            echo.sock.close()
    return echoes


@pytest.mark.parametrize(("count", "overlap"), [(1, False), (2, True)])
def test_two_workers_compute_at_the_same_time_and_one_does_not(site: Path, count: int, overlap: bool) -> None:
    # What that is worth on a quiet machine (1.7 times as many answers) `python -m benchmarks.two_workers` measures.
    with workers(site, count=count) as server:
        pids: set[str] = set()
        wait_until(lambda: pids.add(server.get()) or len(pids) == count)  # type: ignore[func-returns-value]
        clients = [server.connect(ask("/computed")) for _ in range(12)]
        spans = sorted(tuple(map(float, answer(client).rpartition(b"\r\n")[2].split())) for client in clients)
        assert any(next_begin < end for (_, end), (next_begin, _) in pairwise(spans)) is overlap
        assert server.stop() == 0
