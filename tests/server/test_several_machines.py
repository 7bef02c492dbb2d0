"""Two servers and a real Redis between them: what they count and publish, they do as one."""

from __future__ import annotations

import http.client
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from redis_server import RedisServer, redis_server
from running import Running, running, started, wait_for_banner
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from microsock.cli import main

pytestmark = pytest.mark.server

_ = redis_server

# Longer than a lease, and than any of it takes on a busy machine.
PATIENCE = 40.0

APP = """
from microsock import App
app = App()
ticks = 0

@app.get("/")
def index(request):
    return "hello"

@app.get("/count")
def count(request):
    return str(app.topic("all").count())

@app.get("/ticks")
def show_ticks(request):
    return str(ticks)

@app.post("/close")
def close(request):
    app.topic("all").close(4001, "over")
    return ""

@app.post("/retain/{text}")
def retain(request, text):
    app.publish("all", text, retain=True)
    return ""

@app.websocket("/live")
def live(ws, message):
    app.publish("all", message)

@live.on_open
def joined(ws):
    ws.subscribe("all")

@app.every(0.2)
def tick():
    global ticks
    ticks += 1
"""


@pytest.fixture
def app(tmp_path: Path) -> str:
    (tmp_path / "shop.py").write_text(APP)
    return str(tmp_path / "shop.py")


@contextmanager
def two(app: str, redis: RedisServer, *arguments: str) -> Iterator[tuple[Running, Running]]:
    """A server that is alone on its machine, and one with two workers."""
    common = ["--no-access-log", "--bus", redis.url, "--rate-limit-store", redis.url, *arguments, app]
    with running(*common) as alone, running("-w", "2", *common) as workers:
        yield alone, workers


def ask(server: Running, path: str = "/", method: str = "GET") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    try:
        connection.request(method, path, headers={"Connection": "close"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def eventually(holds: Callable[[], bool], told: Callable[[], str] = str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, told()
        time.sleep(0.02)


def sockets(stack: ExitStack, servers: tuple[Running, Running], each: int) -> list[ClientConnection]:
    """So many on each server, once each server knows of those on the other."""
    found = [stack.enter_context(connect(f"{s.websocket_url}/live")) for s in servers for _ in range(each)]
    for server in servers:
        eventually(lambda server=server: ask(server, "/count")[1] == str(len(found)))  # type: ignore[misc]
    return found


def logged(server: Running, text: str) -> Callable[[], bool]:
    return lambda: any(text in line for line in list(server.errors))


def test_exactly_10_of_100_requests_are_let_through_over_two_servers(app: str, redis_server: RedisServer) -> None:
    with two(app, redis_server, "--rate-limit", "10/minute") as servers:
        statuses = [ask(servers[number % 2])[0] for number in range(100)]
    assert (statuses.count(200), statuses.count(429)) == (10, 90)


def test_one_publish_reaches_all_sockets_of_both_in_one_order(app: str, redis_server: RedisServer) -> None:
    with two(app, redis_server) as servers, ExitStack() as stack:
        clients = sockets(stack, servers, 12)
        clients[0].send("one for all")
        assert [client.recv(PATIENCE) for client in clients] == ["one for all"] * 24
        for number in range(50):
            clients[number % 24].send(str(number))
        orders = {tuple(client.recv(PATIENCE) for _ in range(50)) for client in clients}
        assert len(orders) == 1
        assert ask(servers[0], "/close", "POST")[0] == 200
        for client in clients:
            with pytest.raises(ConnectionClosed) as closed:
                client.recv(PATIENCE)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4001


def test_both_survive_that_redis_restarts(app: str, redis_server: RedisServer) -> None:
    with two(app, redis_server, "--rate-limit", "1000/minute") as servers, ExitStack() as stack:
        clients = sockets(stack, servers, 2)
        redis_server.stop()
        for server in servers:
            assert ask(server)[0] == 200
            eventually(logged(server, "what is published reaches this machine only"))
            eventually(logged(server, "rate limits are counted on each machine"))
        clients[0].send("alone")
        assert [client.recv(PATIENCE) for client in clients[:2]] == ["alone", "alone"]
        redis_server.start()
        for server in servers:
            eventually(logged(server, "is back after"))
            assert ask(server)[0] == 200
        # Each server says how many follow as soon as it is back.
        eventually(lambda: all(ask(server, "/count")[1] == "4" for server in servers))
        clients[0].send("together")
        assert [client.recv(PATIENCE) for client in clients] == ["together"] * 4
        assert any("messages that may have reached this machine only: 1" in line for line in servers[0].errors)


def test_a_redis_that_does_not_answer_holds_nobody_up_for_long(app: str, redis_server: RedisServer) -> None:
    with two(app, redis_server, "--rate-limit", "1000/minute") as servers, ExitStack() as stack:
        clients = sockets(stack, servers, 1)
        redis_server.freeze()
        try:
            for server in servers:
                asked = time.monotonic()
                assert ask(server)[0] == 200
                assert time.monotonic() - asked < 5
            clients[1].send("alone")
            assert clients[1].recv(PATIENCE) == "alone"
            assert servers[0].stop() == 0
        finally:
            redis_server.freeze(False)
        eventually(logged(servers[1], "is back after"))


def test_when_the_parent_of_workers_is_killed_its_bridge_goes_too(app: str, redis_server: RedisServer) -> None:
    command = [sys.executable, "-m", "microsock", "-w", "2", "--port", "0", "--bus", redis_server.url, app]
    with started(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        server = wait_for_banner(process)
        eventually(lambda: len(processes_of(app)) == 4)  # the parent, two workers and the bridge
        process.kill()
        eventually(lambda: not processes_of(app))
        server.reader.join(PATIENCE)


def processes_of(app: str) -> list[int]:
    """Those with an app's path in their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if app.encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found


def test_a_server_that_starts_without_redis_serves_and_joins_later(app: str, redis_server: RedisServer) -> None:
    redis_server.stop()
    with two(app, redis_server) as servers, ExitStack() as stack:
        first = stack.enter_context(connect(f"{servers[0].websocket_url}/live"))
        first.send("alone")
        assert first.recv(PATIENCE) == "alone"
        eventually(lambda: ask(servers[0], "/ticks")[1] != "0")
        redis_server.start()
        eventually(lambda: ask(servers[1], "/count")[1] == "1")


def test_a_job_runs_in_one_worker_of_all_and_moves_when_that_server_ends(app: str, redis_server: RedisServer) -> None:
    common = ["--no-access-log", "--bus", redis_server.url, app]
    with running(*common) as one, running(*common) as other:
        eventually(lambda: ask(one, "/ticks")[1] != "0" or ask(other, "/ticks")[1] != "0")
        leads, follows = (one, other) if ask(one, "/ticks")[1] != "0" else (other, one)
        before = int(ask(leads, "/ticks")[1])
        eventually(lambda: int(ask(leads, "/ticks")[1]) > before + 3)
        assert ask(follows, "/ticks")[1] == "0"
        assert leads.stop() == 0
        eventually(lambda: ask(follows, "/ticks")[1] != "0")


def test_a_retained_value_is_there_for_a_server_that_starts_later(app: str, redis_server: RedisServer) -> None:
    common = ["--no-access-log", "--bus", redis_server.url, app]
    with running(*common) as first, ExitStack() as stack:
        stack.enter_context(connect(f"{first.websocket_url}/live"))
        assert ask(first, "/retain/now", "POST")[0] == 200
        with running("-w", "2", *common) as second:
            eventually(lambda: ask(second, "/count")[1] == "1")
            assert stack.enter_context(connect(f"{second.websocket_url}/live")).recv(PATIENCE) == "now"


def test_apps_with_other_prefixes_or_databases_do_not_meet(app: str, redis_server: RedisServer) -> None:
    own, other = f"{redis_server.url}?prefix=shop", redis_server.url.removesuffix("/0") + "/1"
    limit = ["--no-access-log", "--rate-limit", "1/hour"]
    with (
        running(*limit, "--rate-limit-store", redis_server.url, app) as first,
        running(*limit, "--rate-limit-store", own, app) as second,
        running(*limit, "--rate-limit-store", other, app) as third,
    ):
        for server in (first, second, third):
            assert [ask(server)[0], ask(server)[0]] == [200, 429]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_wrong_url_is_told_before_anything_is_bound(
    workers: str, app: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend("/")
    monkeypatch.setattr(sys, "modules", sys.modules.copy())
    assert main(["--port", "0", "-w", workers, "--bus", "amqp://host", app]) == 2
    assert "error: bus is one of kind 'amqp'; expected redis://host:port/db" in capsys.readouterr().err
