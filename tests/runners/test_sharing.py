"""What real workers count and mark together: rate limits and connected clients."""

from __future__ import annotations

import os
import random
import re
import signal
import socket
from pathlib import Path

import pytest

from .workers import Workers, wait_until, workers

pytestmark = pytest.mark.server

APP = """
import os
from microsock import App

app = App()

@app.get("/")
def index(request):
    return str(os.getpid())

@app.get("/scarce")
@app.limit("7/hour")
def scarce(request):
    return str(os.getpid())

@app.connect
def connect(client, clients):
    return str(os.getpid())

@app.disconnect
def disconnect(client):
    with open("left", "a") as file:
        file.write(client.key + "\\n")
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an app."""
    (tmp_path / "shop.py").write_text(APP)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    tmp_path.chmod(0o700)
    return tmp_path


def ask(server: Workers, path: str) -> tuple[int, str]:
    """Status and body over a fresh connection."""
    with server.connect(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()) as client:
        answer = whole(client)
    found = re.match(rb"HTTP/1.1 (\d+) ", answer)
    assert found is not None, answer
    return int(found[1]), answer.partition(b"\r\n\r\n")[2].decode()


def whole(client: socket.socket) -> bytes:
    pieces = []
    while piece := client.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


def answers(server: Workers, path: str, count: int) -> tuple[int, int]:
    """How many of so many requests were let through, and how many were refused for their rate."""
    told = [ask(server, path)[0] for _ in range(count)]
    return told.count(200), told.count(429)


def test_of_100_requests_over_fresh_connections_4_workers_let_exactly_10_through(site: Path) -> None:
    with workers(site, "--rate-limit", "10/hour", count=4) as server:
        assert answers(server, "/", 100) == (10, 90)
        assert server.stop() == 0


def test_a_count_survives_the_workers_that_counted(site: Path) -> None:
    with workers(site, count=3) as server:
        assert answers(server, "/scarce", 5) == (5, 0)
        before = server.pids()
        os.kill(random.choice(before), signal.SIGKILL)
        wait_until(lambda: len(set(server.pids()) - set(before)) == 1)
        assert answers(server, "/scarce", 1) == (1, 0)
        server.signal(signal.SIGHUP)
        wait_until(lambda: not set(server.pids()) & set(before) and len(server.pids()) == 3)
        assert answers(server, "/scarce", 5) == (1, 4)
        assert server.stop() == 0


def test_a_client_connects_once_for_all_workers_and_is_disconnected_once_at_the_end(site: Path) -> None:
    with workers(site, "--connection-required", count=3) as server:
        assert {ask(server, "/")[0] for _ in range(10)} == {400}
        assert ask(server, "/connect")[0] == 200
        assert {ask(server, "/")[0] for _ in range(30)} == {200}
        before = server.pids()
        server.signal(signal.SIGHUP)
        wait_until(lambda: not set(server.pids()) & set(before) and len(server.pids()) == 3)
        assert {ask(server, "/")[0] for _ in range(10)} == {200}
        assert not (site / "left").exists()
        assert server.stop() == 0
        assert (site / "left").read_text().split() == ["127.0.0.1"]


SLOW = """
import time

@app.on_start
def start():
    for turn, seconds in (("first", 0.0), ("second", 1.0)):
        try:
            open(turn, "x").close()
        except FileExistsError:
            continue
        time.sleep(seconds)
        break
"""


def test_a_worker_that_is_replaced_before_it_was_ready_disconnects_nobody(site: Path) -> None:
    (site / "shop.py").write_text(APP + SLOW)
    with workers(site, "--connection-required", count=2) as server:
        wait_until((site / "second").exists)
        assert ask(server, "/connect")[0] == 200
        before = server.pids()
        server.signal(signal.SIGHUP)
        wait_until(lambda: not set(server.pids()) & set(before) and len(server.pids()) == 2)
        assert {ask(server, "/")[0] for _ in range(10)} == {200}
        assert not (site / "left").exists()
        assert server.stop() == 0
        assert (site / "left").read_text().split() == ["127.0.0.1"]
