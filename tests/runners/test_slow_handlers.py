"""Handlers that take long: off the loop in threads, or in a worker of their own; and two workers that compute."""

from __future__ import annotations

import socket
import statistics
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
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
    time.sleep(2)
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

    def seconds_while(self, busy: Callable[[], bool]) -> list[float]:
        found = []
        while busy():
            began = time.perf_counter()
            assert self.ask("x") == "x"
            found.append(time.perf_counter() - began)
            time.sleep(0.005)
        return found


def answer(sock: socket.socket) -> bytes:
    data = sock.recv(4096)
    sock.close()
    return data


def test_50_slow_calls_on_8_threads_all_answer_and_delay_no_echo(site: Path) -> None:
    with workers(site, count=1) as server:
        echo = Echo(server)
        began = time.monotonic()
        calls = [server.connect(ask("/called")) for _ in range(50)]
        answers: list[bytes] = []
        reader = threading.Thread(target=lambda: answers.extend(map(answer, calls)))
        reader.start()
        seconds = echo.seconds_while(reader.is_alive)
        # Seven rounds of eight, and not fifty calls one after the other.
        assert 1.2 < time.monotonic() - began < 5
        assert [each[-6:] for each in answers] == [b"called"] * 50
        assert len(seconds) > 50
        assert statistics.quantiles(seconds, n=100)[97] < QUICK, f"longest {max(seconds) * 1000:.0f} ms"
        # The longest: what other programs do on this machine is in it.
        assert max(seconds) < 4 * QUICK
        echo.sock.close()
        assert server.stop() == 0


def test_a_slow_handler_in_one_worker_delays_nobody_on_the_other(site: Path) -> None:
    with workers(site, count=2) as server:
        pids: set[str] = set()
        wait_until(lambda: pids.add(server.get()) or len(pids) == 2)  # type: ignore[func-returns-value]
        # One of each worker; who of the two is held shows in the end.
        echoes: dict[str, Echo] = {}
        while len(echoes) < 2:
            echo = Echo(server)
            if echoes.setdefault(echo.pid, echo) is not echo:
                echo.sock.close()
        held = server.connect(ask("/held"))
        time.sleep(0.1)
        slowest = {pid: [0.0] for pid in echoes}

        def time_them(pid: str) -> None:
            slowest[pid] = echoes[pid].seconds_while(lambda: time.monotonic() < until)

        until = time.monotonic() + 1.5
        threads = [threading.Thread(target=time_them, args=(pid,)) for pid in echoes]
        for thread in threads:
            thread.start()
        new = [server.get() for _ in range(20)]
        assert time.monotonic() < until, "those who come now wait for the held one"
        for thread in threads:
            thread.join()
        assert answer(held).endswith(b"held")
        (free,) = set(new)
        assert len(slowest[free]) > 50
        assert statistics.quantiles(slowest[free], n=100)[97] < QUICK
        assert max(slowest[free]) < 4 * QUICK
        (other,) = slowest.keys() - {free}
        assert max(slowest[other]) > 1, "none was held"
        for echo in echoes.values():
            echo.sock.close()
        assert server.stop() == 0


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
