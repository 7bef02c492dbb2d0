"""A real server and real threads: blocking calls beside the loop, and what other threads may ask of it."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from running import running
from websockets.sync.client import ClientConnection, connect

from microsock import App, EventStream, Overloaded, Request, Server, WebSocket, blocking

pytestmark = pytest.mark.server

PATIENCE = 10.0


class Gate:
    """An app with handlers that wait until they are let through."""

    def __init__(self, **settings: object) -> None:
        self.app = App(access_log=False, **settings)
        self.open = threading.Event()
        self.entered = threading.Semaphore(0)
        self.on_loop: set[str] = set()

        @self.app.get("/wait", blocking=True)
        def wait(request: Request) -> str:
            self.pass_through()
            return threading.current_thread().name

        @self.app.get("/quick")
        def quick(request: Request) -> str:
            return threading.current_thread().name

        @self.app.get("/report")
        def report(request: Request) -> Any:
            yield (yield from blocking(self.pass_through))
            yield " " + threading.current_thread().name

        @self.app.get("/news")
        def news(request: Request) -> EventStream:
            return EventStream("news")

        @self.app.websocket("/wait", blocking=True)
        def talk(ws: WebSocket, message: str) -> str:
            ws.send("working")
            self.app.publish("news", message)
            self.pass_through()
            return threading.current_thread().name

        @talk.on_open
        def joined(ws: WebSocket) -> None:
            self.on_loop.add(threading.current_thread().name)
            ws.subscribe("news")

    def pass_through(self) -> str:
        self.entered.release()
        assert self.open.wait(PATIENCE)
        return threading.current_thread().name

    def wait_for(self, count: int = 1) -> None:
        for _ in range(count):
            assert self.entered.acquire(timeout=PATIENCE)


@pytest.fixture
def gate() -> Gate:
    return Gate()


@contextlib.contextmanager
def served(app: App, **settings: object) -> Iterator[Server]:
    """The server, run by a thread called "loop"."""
    server = Server(app, port=0, **settings)  # type: ignore[arg-type]
    thread = threading.Thread(target=server.run, name="loop")
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join(PATIENCE)
        assert not thread.is_alive()


def get(server: Server, path: str) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{server.port}{path}", timeout=PATIENCE)


def websocket(server: Server, path: str) -> ClientConnection:
    return connect(f"ws://127.0.0.1:{server.port}{path}", open_timeout=PATIENCE, close_timeout=PATIENCE)


def elsewhere(function: Any, *args: object) -> tuple[threading.Thread, list[Any]]:
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(function(*args)))
    thread.start()
    return thread, results


def test_a_slow_handler_runs_in_a_thread_while_others_are_served(gate: Gate) -> None:
    with served(gate.app) as server:
        thread, answers = elsewhere(get, server, "/wait")
        gate.wait_for()
        assert get(server, "/quick").text == "loop"
        gate.open.set()
        thread.join(PATIENCE)
        assert answers[0].text == "microsock-1"


def test_a_generator_goes_on_in_the_loops_thread(gate: Gate) -> None:
    gate.open.set()
    with served(gate.app) as server:
        assert get(server, "/report").text == "microsock-1 loop"


def test_past_the_bound_503_tells_when_to_come_back(gate: Gate) -> None:
    with served(gate.app, threads=1, max_queued_calls=1) as server:
        asked = [elsewhere(get, server, "/wait") for _ in range(2)]
        gate.wait_for()
        refused = None
        while refused is None:
            # One of the two may still be on its way; then this one waits in its place, and that one is refused.
            asked.append(elsewhere(get, server, "/wait"))
            asked[-1][0].join(0.5)
            refused = next((answers[0] for _, answers in asked if answers), None)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        gate.open.set()
        for thread, _ in asked:
            thread.join(PATIENCE)
        statuses = [answers[0].status_code for _, answers in asked]
        assert statuses.count(200) >= 2
        assert set(statuses) == {200, 503}


def test_a_websocket_function_works_in_a_thread_and_answers_from_the_loop(gate: Gate) -> None:
    with served(gate.app) as server, websocket(server, "/wait") as ws:
        ws.send("hello")
        assert ws.recv(PATIENCE) == "working"
        assert ws.recv(PATIENCE) == "hello"
        gate.wait_for()
        gate.open.set()
        assert ws.recv(PATIENCE) == "microsock-1"
    assert gate.on_loop == {"loop"}


def test_many_threads_publish_and_every_message_arrives_once_and_in_the_order_of_each_thread(gate: Gate) -> None:
    threads, each = 4, 200
    with served(gate.app) as server, websocket(server, "/wait") as ws:

        def talk(name: int) -> None:
            for number in range(each):
                gate.app.publish("news", f"{name} {number}")

        for thread in [elsewhere(talk, name)[0] for name in range(threads)]:
            thread.join(PATIENCE)
        received = [str(ws.recv(PATIENCE)).split() for _ in range(threads * each)]
        for name in range(threads):
            assert [int(number) for who, number in received if who == str(name)] == list(range(each))


def test_another_thread_sends_to_a_socket_closes_it_and_has_things_done_later(gate: Gate) -> None:
    with served(gate.app) as server, websocket(server, "/wait") as ws:
        theirs = gate.app.websockets[0]
        theirs.send("from outside")
        assert ws.recv(PATIENCE) == "from outside"
        gate.app.after(0.01, lambda: theirs.send(threading.current_thread().name))
        assert ws.recv(PATIENCE) == "loop"
        theirs.close(4000, "enough")
        with pytest.raises(Exception, match="4000"):
            ws.recv(PATIENCE)


def test_a_loop_that_is_too_far_behind_says_so_to_other_threads_and_not_to_itself(gate: Gate) -> None:
    held = threading.Event()

    @gate.app.get("/hold")
    def hold(request: Request) -> str:
        held.set()
        gate.pass_through()
        for number in range(20_000):
            gate.app.publish("nobody", str(number))
        return "done"

    with served(gate.app) as server:
        thread, answers = elsewhere(get, server, "/hold")
        assert held.wait(PATIENCE)
        with pytest.raises(Overloaded, match="calls wait for the loop"):
            for number in range(20_000):
                gate.app.publish("nobody", str(number))
        gate.open.set()
        thread.join(PATIENCE)
        assert answers[0].text == "done"
        get(server, "/quick")  # a turn or more later
        gate.app.publish("nobody", "fits again")


def test_results_come_back_though_the_mailbox_is_full(gate: Gate) -> None:
    @gate.app.get("/hold")
    def hold(request: Request) -> str:
        fill = elsewhere(fill_mailbox, gate.app)
        fill[0].join(PATIENCE)
        gate.open.set()
        return "held"

    with served(gate.app) as server:
        waiting = elsewhere(get, server, "/wait")
        gate.wait_for()
        holding = elsewhere(get, server, "/hold")
        for thread, answers in (waiting, holding):
            thread.join(PATIENCE)
            assert answers[0].status_code == 200


def fill_mailbox(app: App) -> None:
    with contextlib.suppress(Overloaded):
        while True:
            app.publish("nobody", "x")


def test_an_event_stream_over_a_real_socket_ends_with_the_server(gate: Gate) -> None:
    with served(gate.app) as server, socket.create_connection(("127.0.0.1", server.port), PATIENCE) as client:
        client.sendall(b"GET /news HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received = read_until(client, b"-0\n\n\r\n")
        assert b"\r\n: open\n\n\r\n" in received
        gate.app.publish("news", "hello")
        received += read_until(client, b"data: hello\n\n\r\n")
        server.shutdown()
        rest = read_until(client, None)
        assert rest == b"0\r\n\r\n"


def read_until(client: socket.socket, end: bytes | None) -> bytes:
    received = b""
    while end is None or not received.endswith(end):
        piece = client.recv(4096)
        if not piece:
            break
        received += piece
    return received


HUNG = """
import threading
from microsock import App

app = App(grace=0.2)


@app.get("/", blocking=True)
def hang(request):
    threading.Event().wait()
"""


def test_a_call_that_never_ends_does_not_keep_the_process(tmp_path: Any) -> None:
    (tmp_path / "hung.py").write_text(HUNG)
    with running(str(tmp_path / "hung.py")) as server:
        with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            httpx.get(f"{server.url}/nothing", timeout=PATIENCE)  # so the call before it has been made
            try:
                assert server.stop() == 0
            except subprocess.TimeoutExpired:
                pytest.fail("the process waits for the call")
        assert any("connections cut: 1" in line for line in server.errors)
