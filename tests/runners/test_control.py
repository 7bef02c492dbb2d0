"""A running server and the commands it is given from outside: published to, asked, stopped; one process and several."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from running import PATIENCE, Running, running
from websockets.sync.client import ClientConnection, connect

import microsock
from microsock.adapters import control_client

pytestmark = pytest.mark.server

APP = """
from microsock import App, WebSocket
app = App()
@app.websocket("/news")
def listen(ws: WebSocket, message: str) -> str:
    return message
@listen.on_open
def joined(ws: WebSocket) -> None:
    ws.subscribe("news")
app.status()
"""


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    path = tmp_path / "news_app.py"
    path.write_text(APP)
    runtime = tmp_path / "run"
    runtime.mkdir(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    return str(path)


@pytest.fixture(params=[1, 3], ids=["sequential", "three workers"])
def server(request: pytest.FixtureRequest, app: str) -> Iterator[Running]:
    with running("--workers", str(request.param), app) as server:
        yield server


def listening(server: Running, count: int, stack: ExitStack) -> list[ClientConnection]:
    found = []
    for _ in range(count):
        ws = stack.enter_context(connect(f"{server.websocket_url}/news", proxy=None))
        ws.send("here")
        assert ws.recv(timeout=PATIENCE) == "here"
        found.append(ws)
    return found


def eventually(server: Running, followers: int) -> dict[str, object]:
    """The status once so many follow the topic: workers tell each other behind their turns."""
    end = time.monotonic() + PATIENCE
    while True:
        status = control_client.status(server.port)
        if status["topics"]["followers"] == followers or time.monotonic() > end:
            return status
        time.sleep(0.02)


def test_what_is_published_from_outside_reaches_everybody(server: Running) -> None:
    with ExitStack() as stack:
        sockets = listening(server, 12, stack)
        microsock.publish("news", {"n": 1}, server=server.port)
        assert [ws.recv(timeout=PATIENCE) for ws in sockets] == ['{"n":1}'] * 12


def test_the_status_over_the_control_socket_is_the_one_over_http(server: Running) -> None:
    with ExitStack() as stack:
        listening(server, 6, stack)
        status = eventually(server, 6)
        page = httpx.get(f"{server.url}/_status", trust_env=False).json()
        assert (
            status["websockets"]
            == page["websockets"]
            == {
                "open": 6,
                "total": 6,
                "messages_received": 0,
                "messages_sent": 0,
            }
        )
        assert (
            status["topics"]
            == page["topics"]
            == {
                "count": 1,
                "followers": 6,
                "most_followed": [{"topic": "news", "followers": 6}],
            }
        )
        assert status["pid"] == server.process.pid
        text = httpx.get(f"{server.url}/_status?format=prometheus", trust_env=False).text
        assert "microsock_websockets_open 6\n" in text


def test_a_server_that_is_told_to_stop_says_who_ends_and_goes(server: Running) -> None:
    assert control_client.stop(server.port) == server.process.pid
    assert server.process.wait(PATIENCE) == 0
    with pytest.raises(ConnectionError, match=f"no server at port {server.port}"):
        control_client.status(server.port)


def test_a_reload_says_what_it_does(server: Running) -> None:
    said = control_client.reload(server.port)
    assert said in ("the workers are being replaced", "certificates and logs; one process cannot reload its code")
    assert httpx.get(f"{server.url}/_status", trust_env=False).status_code == 200


def test_the_control_socket_lies_beside_the_pid_file(app: str, tmp_path: Path) -> None:
    pid_file = tmp_path / "app.pid"
    with running("--pid-file", str(pid_file), app):
        assert control_client.status(f"{pid_file}.sock")["requests"]["total"] == 0
    assert not Path(f"{pid_file}.sock").exists()


def test_what_a_killed_worker_counted_is_not_lost(app: str) -> None:
    with running("--workers", "2", app) as server:
        for _ in range(20):
            httpx.get(f"{server.url}/nowhere", trust_env=False)
        before = control_client.status(server.port)
        for worker in json.loads(json.dumps(before["workers"])):
            os.kill(worker["pid"], signal.SIGKILL)
        end = time.monotonic() + PATIENCE
        while (after := control_client.status(server.port))["restarts"] < 2 and time.monotonic() < end:
            time.sleep(0.02)
        assert after["requests"]["by_status"] == {"404": 20}
        assert after["restarts"] == 2


def test_usr1_dumps_what_goes_on_into_the_log(app: str) -> None:
    with running(app) as server, ExitStack() as stack:
        listening(server, 1, stack)
        server.process.send_signal(signal.SIGUSR1)
        end = time.monotonic() + PATIENCE
        while not any("WS /news" in line for line in server.errors) and time.monotonic() < end:
            time.sleep(0.02)
        assert any("dump of the only process: 1 connections" in line for line in server.errors)
        assert any("'news' 1" in line for line in server.errors)
