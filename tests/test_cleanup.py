"""A generator whose peer has gone: waits that need no peer go on working in ``except`` and ``finally``, for a while."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from by_hand import ByHand
from wire import HANDSHAKE, asked, message, opened, received

from microsock import App, Overloaded, Server, WebSocket, WebSocketClosed, blocking, sleep
from microsock.testing import TestClient

PATIENCE = 10.0
LOG = list[Any]


@pytest.fixture
def log() -> LOG:
    return []


def tidy(log: LOG) -> Any:
    """What a handler does when all is over."""
    log.append("saving")
    log.append((yield from blocking(len, "abc")))
    yield from sleep(1)
    log.append("saved")


def in_finally(log: LOG) -> Callable[[WebSocket], Any]:
    def talk(ws: WebSocket) -> Any:
        try:
            while True:
                yield from ws.text()
        finally:
            yield from tidy(log)

    return talk


def in_except(log: LOG) -> Callable[[WebSocket], Any]:
    def talk(ws: WebSocket) -> Any:
        try:
            yield from sleep(1000)
        except WebSocketClosed:
            yield from tidy(log)

    return talk


def when_closed(log: LOG) -> Callable[[WebSocket], Any]:
    def talk(ws: WebSocket) -> Any:
        try:
            while True:
                try:
                    yield from ws.text()
                except WebSocketClosed:
                    log.append("swallowed")
        finally:
            log.append("closed")
            yield from blocking(int)
            yield from sleep(1)
            log.append("saved")

    return talk


def leaves(connection: Any) -> None:
    connection.close()


def resets(connection: Any) -> None:
    connection.close(reset=True)


def half_closes(connection: Any) -> None:
    connection.half_close()


@pytest.mark.parametrize("leave", [leaves, resets, half_closes])
@pytest.mark.parametrize("kind", [in_finally, in_except])
def test_sleep_and_blocking_work_after_the_peer_has_gone(
    kind: Any, leave: Callable[[Any], None], log: LOG, caplog: pytest.LogCaptureFixture
) -> None:
    app = App()
    app.websocket("/ws")(kind(log))
    client, connection = asked(app, HANDSHAKE)
    leave(connection)
    assert log == ["saving", 3]
    client.advance(1)
    assert log == ["saving", 3, "saved"]
    assert client.world.timers.next_due() is None
    assert not client.world.site.cleanups
    assert not caplog.records


def test_they_work_too_where_a_generator_is_closed_that_waits_for_its_peer_again(
    log: LOG, caplog: pytest.LogCaptureFixture
) -> None:
    app = App()
    app.websocket("/ws")(when_closed(log))
    client, connection = asked(app, HANDSHAKE)
    connection.close()
    assert log == ["swallowed", "closed"]
    client.advance(1)
    assert log == ["swallowed", "closed", "saved"]
    assert not caplog.records


def test_what_a_call_raises_comes_there_too(log: LOG, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise KeyError("on purpose")

    app = App()

    @app.websocket("/ws")
    def talk(ws: WebSocket) -> Any:
        try:
            yield from ws.text()
        finally:
            try:
                yield from blocking(fail)
            except KeyError:
                log.append("caught")
            yield from blocking(fail)

    _, connection = asked(app, HANDSHAKE)
    connection.close()
    assert log == ["caught"]
    assert "error in WebSocket handler 'talk'" in caplog.text
    assert "KeyError: 'on purpose'" in caplog.text


def test_a_full_pool_is_told_there_too(log: LOG) -> None:
    app = App()

    @app.websocket("/ws")
    def talk(ws: WebSocket) -> Any:
        try:
            yield from ws.text()
        finally:
            for _ in range(100):
                try:
                    yield from blocking(int)
                except Overloaded:
                    log.append("full")

    client = TestClient(app)
    ByHand(client, limit=0)
    client.websocket("/ws").close()
    assert log == ["full"] * 100


@pytest.mark.parametrize("seconds", [4.9, 5.1])
def test_all_of_it_has_the_close_timeout(seconds: float, log: LOG, caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    @app.websocket("/ws")
    def talk(ws: WebSocket) -> Any:
        try:
            yield from ws.text()
        finally:
            try:
                for _ in range(10):
                    yield from sleep(seconds / 10)
                log.append("saved")
            finally:
                log.append("end")

    client, connection = asked(app, HANDSHAKE, close_timeout=5)
    connection.close()
    client.advance(10)
    assert log == (["saved", "end"] if seconds < 5 else ["end"])
    cut = ["handler 'talk' still waited after its client had gone; it was cut"]
    assert caplog.messages == ([] if seconds < 5 else cut)
    assert client.world.timers.next_due() is None
    assert not client.world.site.cleanups


def test_a_call_that_does_not_end_is_cut_too(log: LOG, caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    @app.websocket("/ws")
    def talk(ws: WebSocket) -> Any:
        try:
            yield from ws.text()
        finally:
            yield from blocking(log.append, "called")
            log.append("saved")

    client = TestClient(app, close_timeout=5)
    by_hand = ByHand(client)
    client.websocket("/ws").close()
    client.advance(4.9)
    assert not caplog.records
    client.advance(0.1)
    assert caplog.messages == ["handler 'talk' still waited after its client had gone; it was cut"]
    by_hand.run_next()
    assert log == []


@pytest.mark.parametrize("blocks", [1, 3, 50])
def test_blocks_that_wait_even_when_they_are_cut_come_to_their_end(
    blocks: int, log: LOG, caplog: pytest.LogCaptureFixture
) -> None:
    app = App()

    @app.websocket("/ws")
    def talk(ws: WebSocket) -> Any:
        try:
            yield from ws.text()
        finally:
            for number in range(blocks):
                try:
                    yield from sleep(1000)
                except GeneratorExit:
                    log.append(number)

    client, connection = asked(app, HANDSHAKE)
    connection.close()
    client.advance(5)
    assert log == list(range(blocks))
    assert len(caplog.records) == 1
    assert client.world.timers.next_due() is None


def test_it_may_read_what_came_before_the_end_and_then_clean_up(log: LOG) -> None:
    app = App()

    @app.websocket("/ws")
    def talk(ws: WebSocket) -> Any:
        try:
            yield from sleep(1000)
        except WebSocketClosed:
            yield from sleep(1)
            log.append((yield from ws.text()))
            yield from blocking(int)
            log.append((yield from ws.text()))
            yield from ws.flushed()
            log.append("not reached")

    client, connection = asked(app, HANDSHAKE + message("a") + message("b"))
    connection.close()
    client.advance(2)
    assert log == ["a", "b"]


def test_what_it_sends_there_is_its_own_end_and_no_error(log: LOG, caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    @app.websocket("/ws")
    def talk(ws: WebSocket) -> Any:
        try:
            yield from ws.text()
        finally:
            yield from sleep(1)
            ws.send("too late")

    client, connection = asked(app, HANDSHAKE)
    connection.close()
    client.advance(1)
    assert not caplog.records


def test_after_its_own_close_the_time_counts_from_when_it_hears_of_it(
    log: LOG, caplog: pytest.LogCaptureFixture
) -> None:
    app = App()

    @app.websocket("/ws")
    def talk(ws: WebSocket) -> Any:
        ws.close(4000)
        try:
            yield from ws.text()
        except WebSocketClosed:
            yield from sleep(4)
            log.append("saved")
            yield from sleep(4)
            log.append("not reached")

    client, ws = opened(app)
    assert ws.closed == (4000, "")
    client.advance(10)
    assert log == ["saved"]
    assert len(caplog.records) == 1


# A server that stops.


def test_a_client_that_is_closed_gives_it_its_time(log: LOG, caplog: pytest.LogCaptureFixture) -> None:
    app = App()
    app.websocket("/ws")(in_finally(log))
    with app.test_client() as client:
        client.websocket("/ws")
    assert log == ["saving", 3, "saved"]
    assert not caplog.records


def test_each_worker_gives_it_its_time(log: LOG) -> None:
    app = App()
    app.websocket("/ws")(in_finally(log))
    with app.test_client(workers=2) as client:
        client.worker(1).websocket("/ws")
        client.worker(2).websocket("/ws")
    assert log.count("saved") == 2


@pytest.mark.parametrize("stop", ["drain", "leave", "kill"])
@pytest.mark.server
def test_a_server_that_stops_waits_for_it_unless_it_is_killed(
    stop: str, log: LOG, caplog: pytest.LogCaptureFixture
) -> None:
    app = App()
    entered, go_on = threading.Event(), threading.Event()

    def save() -> None:
        entered.set()
        go_on.wait(PATIENCE)

    @app.websocket("/ws")
    def talk(ws: WebSocket) -> Any:
        try:
            yield from ws.text()
        finally:
            yield from blocking(save)
            log.append("saved")

    from websockets.sync.client import connect

    server = Server(app, "127.0.0.1", 0)
    thread = threading.Thread(target=server.run)
    thread.start()
    with connect(f"ws://127.0.0.1:{server.port}/ws") as ws:
        ws.ping().wait(PATIENCE)
        if stop == "leave":
            service = server._started()
            server.post(lambda: service.leave(PATIENCE))
        else:
            server.shutdown(kill=stop == "kill", timeout=0 if stop == "kill" else PATIENCE)
        if stop != "kill":
            assert entered.wait(PATIENCE)
            go_on.set()
    thread.join(PATIENCE)
    go_on.set()
    assert not thread.is_alive()
    assert log == ([] if stop == "kill" else ["saved"])
    assert ("handler 'talk' still waited" in caplog.text) is (stop == "kill")


# HTTP: it sees GeneratorExit.


@pytest.mark.parametrize("at", ["a piece", "sleep", "blocking"])
def test_a_stream_may_wait_too_where_it_is_closed(at: str, log: LOG, caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    @app.get("/")
    def stream(request: Any) -> Any:
        try:
            yield "x"
            if at == "sleep":
                yield from sleep(1000)
            if at == "blocking":
                yield from blocking(int)
            while True:
                yield "x" * 50_000
        except GeneratorExit:
            log.append("left")
            raise
        finally:
            log.append((yield from blocking(len, "abc")))
            yield from sleep(1)
            log.append("saved")

    client = TestClient(app)
    if at == "blocking":
        client.world.site.executor = Patient(client.world.site.executor)
    connection = client.raw_connection(capacity=1000)
    connection.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    connection.close()
    client.advance(1)
    assert log == ["left", 3, "saved"]
    assert not caplog.records
    assert not client.world.site.cleanups


class Patient:
    """Never makes its first call."""

    def __init__(self, executor: Any) -> None:
        self.executor, self.calls = executor, 0

    def submit(self, function: Callable[[], Any], done: Any) -> Any:
        self.calls += 1
        return self.executor.submit(function, done) if self.calls > 1 else self

    def cancel(self) -> None: ...

    def stop(self) -> None: ...


def test_a_stream_that_yields_after_its_client_has_left_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    @app.get("/")
    def stream(request: Any) -> Any:
        try:
            while True:
                yield "x" * 50_000
        finally:
            yield from sleep(1)
            yield "more"

    client = TestClient(app)
    connection = client.raw_connection(capacity=1000)
    connection.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    connection.close()
    client.advance(1)
    assert "error while closing the streamed body of handler 'stream'" in caplog.text
    assert "generator ignored GeneratorExit" in caplog.text


def test_a_stream_that_waits_too_long_after_its_client_has_left_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    @app.get("/")
    def stream(request: Any) -> Any:
        try:
            yield "x"
            yield from sleep(1000)
        finally:
            yield from sleep(1000)

    client, connection = asked(app, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    connection.close()
    client.advance(4.9)
    assert not caplog.records
    client.advance(0.1)
    assert caplog.messages == ["handler 'stream' still waited after its client had gone; it was cut"]


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_a_stream_whose_head_is_enough_may_clean_up(method: str, log: LOG) -> None:
    app = App()

    @app.get("/")
    def stream(request: Any) -> Any:
        try:
            yield "x"
        finally:
            yield from sleep(1)
            log.append("saved")

    with app.test_client() as client:
        pending = client.start(method, "/")
        client.advance(1)
        assert pending.result().status_code == 200
    assert log == ["saved"]


# Whose end is it.


def pair(app: App, path: str = "/ws") -> tuple[TestClient, Any, Any]:
    client = TestClient(app)
    return client, client.websocket(path), client.websocket(path)


def test_the_end_of_another_websocket_is_an_error_of_a_generator(caplog: pytest.LogCaptureFixture) -> None:
    app = App()
    sockets: list[WebSocket] = []
    told: LOG = []

    @app.websocket("/ws")
    def talk(ws: WebSocket) -> Any:
        sockets.append(ws)
        while True:
            text = yield from ws.text()
            sockets[0].send(text)

    talk.on_error(lambda ws, error: told.append((ws, error)))
    _, gone, healthy = pair(app)
    gone.close()
    healthy.send("hello")
    assert healthy.closed == (1011, "internal error")
    assert "error in WebSocket handler 'talk'" in caplog.text
    ((ws, error),) = told
    assert ws is sockets[1]
    assert isinstance(error, WebSocketClosed)
    assert error.websocket_id == sockets[0].id


@pytest.mark.parametrize("in_thread", [False, True])
def test_and_of_a_function_which_may_go_on(in_thread: bool, caplog: pytest.LogCaptureFixture) -> None:
    app = App()
    sockets: list[WebSocket] = []

    @app.websocket("/ws", blocking=in_thread)
    def talk(ws: WebSocket, message: str) -> str:
        sockets[0].send(message)
        return "sent"

    @talk.on_open
    def on_open(ws: WebSocket) -> None:
        sockets.append(ws)

    @talk.on_error
    def on_error(ws: WebSocket, error: Exception) -> bool:
        ws.send(type(error).__name__)
        return True

    _, gone, healthy = pair(app)
    gone.close()
    healthy.send("hello")
    assert received(healthy) == ["WebSocketClosed"]
    assert healthy.closed is None
    assert "error in WebSocket handler 'talk'" in caplog.text


def test_an_end_that_a_call_in_a_thread_met_is_told_apart_too(log: LOG, caplog: pytest.LogCaptureFixture) -> None:
    app = App()
    sockets: list[WebSocket] = []

    @app.websocket("/ws")
    def talk(ws: WebSocket) -> Any:
        sockets.append(ws)
        which = yield from ws.text()
        if which == "own":
            ws.close(4000)
        yield from blocking((ws if which == "own" else sockets[0]).send, "x")

    client, gone, healthy = pair(app)
    gone.close()
    own = client.websocket("/ws")
    own.send("own")
    assert own.closed == (4000, "")
    assert not caplog.records
    healthy.send("other")
    assert healthy.closed == (1011, "internal error")


@pytest.mark.parametrize("event", ["open", "close", "error"])
def test_a_hook_that_sends_to_another_closed_one_is_logged(event: str, caplog: pytest.LogCaptureFixture) -> None:
    app = App()
    sockets: list[WebSocket] = []

    @app.websocket("/ws")
    def talk(ws: WebSocket, message: str) -> None:
        raise ValueError

    def to_the_first(ws: WebSocket) -> None:
        sockets.append(ws)
        if ws is not sockets[0]:
            sockets[0].send("news")

    if event == "open":
        talk.on_open(to_the_first)
    if event == "close":
        talk.on_close(lambda ws, code, reason: to_the_first(ws))
    if event == "error":
        talk.on_error(lambda ws, error: to_the_first(ws))
    client = TestClient(app)
    for _ in range(2):
        ws = client.websocket("/ws")
        if event == "error":
            ws.send("x")
        ws.close()
    told = [record for record in caplog.records if record.exc_info and record.exc_info[0] is WebSocketClosed]
    assert len(told) == 1


def test_its_own_end_is_none_in_hooks_either(caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    @app.websocket("/ws")
    def talk(ws: WebSocket, message: str) -> None:
        ws.close()
        ws.send("x")

    talk.on_close(lambda ws, code, reason: ws.send("x"))
    _, ws = opened(app)
    ws.send("x")
    assert ws.closed == (1000, "")
    assert not caplog.records


def test_the_open_ones_are_those_that_are_not_closing_either(log: LOG) -> None:
    app = App()

    @app.websocket("/ws")
    def talk(ws: WebSocket, message: str) -> None:
        if message == "go":
            ws.close(4000)
        else:
            for other in app.websockets:
                other.send(message)

    client, away, talker = pair(app)
    listener = client.websocket("/ws")
    away.pause()
    away.send("go")
    assert [ws.close_code for ws in app.websockets] == [None, None]
    talker.send("hello")
    assert received(listener) == ["hello"]
    talker.close()
    assert len(app.websockets) == 1


def test_one_that_another_thread_has_closed_is_not_open_either() -> None:
    app = App()

    @app.websocket("/ws")
    def talk(ws: WebSocket, message: str) -> None: ...

    opened(app)
    (ws,) = app.websockets
    thread = threading.Thread(target=ws.close)
    thread.start()
    thread.join(PATIENCE)
    assert app.websockets == []
