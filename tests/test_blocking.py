"""Slow calls off the loop: routes with blocking=True and the verb blocking(). Threads are in tests/server."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from by_hand import ByHand
from wire import ask, asked, body_of, handshake, message, statuses

from microsock import (
    App,
    HTTPError,
    Overloaded,
    Pending,
    Request,
    Response,
    WebSocket,
    WebSocketClosed,
    abort,
    blocking,
    sleep,
)
from microsock.testing import TestClient


def slow(value: str, *, fail: bool = False) -> str:
    if fail:
        raise KeyError(value)
    return value.upper()


class Slow:
    """An app whose handlers take their time elsewhere."""

    def __init__(self) -> None:
        self.app = App()
        self.calls: list[str] = []
        self.notes: list[object] = []

        @self.app.get("/slow/{name}", blocking=True)
        def get(request: Request, name: str) -> dict[str, str]:
            self.calls.append(name)
            return {"name": name, "param": request.params["name"]}

        @self.app.post("/abort", blocking=True)
        def refuse(request: Request) -> str:
            abort(409, "not now")

        @self.app.get("/breaks", blocking=True)
        def breaks(request: Request) -> str:
            raise ValueError("on purpose")

        @self.app.get("/none", blocking=True)
        def nothing(request: Request) -> Any:
            return Pending() if "later" in request.args else None

        @self.app.get("/quick")
        def quick(request: Request) -> str:
            return "quick"

        @self.app.get("/report")
        def report(request: Request) -> Any:
            try:
                first = yield from blocking(slow, "one")
                yield first
                try:
                    yield from blocking(slow, "two", fail=True)
                except (KeyError, Overloaded) as error:
                    yield f" {type(error).__name__}"
                yield from sleep(1)
                yield " end"
            finally:
                self.notes.append("over")

        @self.app.websocket("/socket", blocking=True)
        def socket(ws: WebSocket, message: str) -> str | None:
            self.calls.append(message)
            if message == "fail":
                raise ValueError("on purpose")
            if message == "talk":
                ws.send("x" * 100)
                ws.send("y" * 100)
            return None if message == "quiet" else message.upper()

        @socket.on_close
        def closed(ws: WebSocket, code: int, reason: str) -> None:
            self.notes.append((code, reason))

        @self.app.websocket("/quiz")
        def quiz(ws: WebSocket) -> Any:
            try:
                while True:
                    asked = yield from ws.text()
                    try:
                        ws.send((yield from blocking(slow, asked, fail=asked == "fail")))
                    except (KeyError, Overloaded) as error:
                        ws.send(type(error).__name__)
            except WebSocketClosed as end:
                self.notes.append(end.code)


@pytest.fixture
def app() -> Slow:
    return Slow()


@pytest.fixture
def client(app: Slow) -> Iterator[TestClient]:
    with app.app.test_client() as client:
        yield client


# HTTP.


def test_in_the_test_client_blocking_handlers_answer_like_any_other(client: TestClient) -> None:
    assert client.get("/slow/ann").json() == {"name": "ann", "param": "ann"}
    assert client.head("/slow/ann").status_code == 200
    assert client.post("/abort").text == "409 not now\n"


def test_hooks_and_error_handlers_have_their_say(app: Slow, caplog: pytest.LogCaptureFixture) -> None:
    @app.app.on_response
    def stamp(request: Request, response: Response) -> None:
        response.headers["X-Stamp"] = "once"

    @app.app.error(409)
    def conflict(request: Request, error: HTTPError) -> dict[str, str]:
        return {"error": error.message}

    with app.app.test_client() as client:
        answer = client.post("/abort")
        assert (answer.status_code, answer.json()) == (409, {"error": "not now"})
        assert answer.headers.get_list("X-Stamp") == ["once"]
        assert client.get("/breaks").status_code == 500
        assert client.get("/none").status_code == 500
        assert client.get("/none?later").status_code == 500
    assert "handler 'nothing' returned None" in caplog.text
    assert "on purpose" in caplog.text


def test_others_are_served_while_one_is_slow(app: Slow, client: TestClient) -> None:
    by_hand = ByHand(client)
    pending = client.start("GET", "/slow/ann")
    assert client.get("/quick").text == "quick"
    assert not pending.done
    assert app.calls == []
    by_hand.run_next()
    assert pending.result().json()["name"] == "ann"


def test_a_half_closed_peer_gets_its_answer(app: Slow) -> None:
    client, connection = asked(app.app, b"")
    by_hand = ByHand(client)
    connection.send(ask("/slow/ann"))
    connection.half_close()
    assert connection.receive() == b""
    by_hand.run_next()
    assert body_of(connection.receive()) == b'{"name":"ann","param":"ann"}'


def test_the_call_of_a_peer_that_has_gone_is_not_made(app: Slow) -> None:
    client, connection = asked(app.app, b"")
    by_hand = ByHand(client)
    connection.send(ask("/slow/ann"))
    connection.close(reset=True)
    by_hand.run_next()
    assert app.calls == []


def test_too_many_waiting_calls_are_refused_with_503(app: Slow, client: TestClient) -> None:
    @app.app.error(503)
    def busy(request: Request, error: HTTPError) -> dict[str, str]:
        return {"error": error.message}

    by_hand = ByHand(client, limit=1)
    pending = client.start("GET", "/slow/ann")
    refused = client.get("/slow/bob")
    assert (refused.status_code, refused.json()) == (503, {"error": "the server is too busy"})
    assert refused.headers["Retry-After"] == "1"
    by_hand.run_next()
    assert pending.result().status_code == 200
    assert app.calls == ["ann"]


def test_a_blocking_answer_is_finished_when_the_server_stops(app: Slow) -> None:
    client, connection = asked(app.app, b"")
    by_hand = ByHand(client)
    connection.send(ask("/slow/ann"))
    client.drain()
    client.advance(9)
    by_hand.run_next()
    answer = connection.receive()
    assert statuses(answer) == [200]
    assert b"Connection: close" in answer
    assert connection.ended


def test_a_call_that_outlasts_the_grace_time_is_cut(app: Slow) -> None:
    client, connection = asked(app.app, b"", grace=5)
    by_hand = ByHand(client)
    connection.send(ask("/slow/ann"))
    client.drain()
    client.advance(5)
    assert connection.closed
    by_hand.run_next()
    assert connection.receive() == b""


# Generators over HTTP.


def test_a_generator_waits_for_what_a_call_returns_or_raises(app: Slow) -> None:
    client, connection = asked(app.app, ask("/report"))
    assert body_of(connection.receive()) == b"3\r\nONE\r\n9\r\n KeyError\r\n"
    client.advance(1)
    assert connection.receive() == b"4\r\n end\r\n0\r\n\r\n"


def test_an_overload_is_raised_in_the_generator(app: Slow) -> None:
    client, connection = asked(app.app, b"")
    by_hand = ByHand(client, limit=1)
    connection.send(ask("/report"))
    connection.send(ask("/quick"))  # not parsed before the report's end
    by_hand.limit = 0
    by_hand.run_next()
    assert body_of(connection.receive()) == b"3\r\nONE\r\nb\r\n Overloaded\r\n"


def test_a_generator_whose_peer_half_closes_in_a_call_goes_on_until_it_sleeps(app: Slow) -> None:
    client, connection = asked(app.app, b"")
    by_hand = ByHand(client)
    connection.send(ask("/report"))
    connection.half_close()
    by_hand.run_next()
    assert app.notes == []
    by_hand.run_next()
    assert body_of(connection.receive()) == b"3\r\nONE\r\n9\r\n KeyError\r\n"
    assert app.notes == ["over"]


def test_a_generator_that_is_closed_in_a_call_never_hears_of_it(app: Slow) -> None:
    client, connection = asked(app.app, b"")
    by_hand = ByHand(client)
    connection.send(ask("/report"))
    connection.close(reset=True)
    assert app.notes == ["over"]
    by_hand.run_next()


def test_only_a_generator_can_wait_for_a_call(app: Slow, caplog: pytest.LogCaptureFixture) -> None:
    @app.app.get("/wrapped")
    def wrapped(request: Request) -> Any:
        return iter([*blocking(slow, "one")])

    with app.app.test_client() as client:
        assert client.get("/wrapped").status_code == 500
    assert "only a generator can wait for blocking()" in caplog.text


def test_blocking_takes_a_function_and_its_arguments() -> None:
    with pytest.raises(TypeError, match=r"^blocking takes a function and its arguments, not 'ONE'"):
        blocking(slow("one"))  # type: ignore[arg-type]


# WebSocket functions.


def test_one_message_of_a_connection_is_worked_on_at_a_time(app: Slow, client: TestClient) -> None:
    by_hand = ByHand(client)
    with client.websocket("/socket") as ann, client.websocket("/socket") as bob:
        for text in ("a", "b", "c"):
            ann.send(text)
        bob.send("other")
        assert len(by_hand.waiting) == 2
        for _ in range(4):
            by_hand.run_next()
        assert app.calls == ["a", "other", "b", "c"]
        assert [ann.receive() for _ in range(3)] == ["A", "B", "C"]
        assert bob.receive() == "OTHER"


def test_while_a_message_is_worked_on_a_flood_behind_it_stops_at_the_high_water_mark(app: Slow) -> None:
    client, connection = asked(app.app, b"")
    by_hand = ByHand(client)
    connection.send(handshake("/socket"))
    connection.receive()
    for _ in range(40):
        connection.send(message("x" * 10_000))
    assert len(by_hand.waiting) == 1
    unread = connection._wire.transport._inbound
    assert len(unread) > 250_000
    while by_hand.waiting:
        by_hand.run_next()
        connection.receive()
    assert len(app.calls) == 40


def test_a_function_that_returns_nothing_sends_nothing(client: TestClient) -> None:
    with client.websocket("/socket") as ws:
        ws.send("quiet")
        ws.send("loud")
        assert ws.receive() == "LOUD"


def test_what_it_sends_meanwhile_is_an_answer_and_comes_first(app: Slow) -> None:
    with app.app.test_client(max_queued_bytes=1) as client, client.websocket("/socket") as ws:
        ws.send("talk")
        assert [ws.receive() for _ in range(3)] == ["x" * 100, "y" * 100, "TALK"]


def test_an_error_is_logged_and_closes_with_1011(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    ws = client.websocket("/socket")
    ws.send("fail")
    assert ws.closed == (1011, "internal error")
    assert caplog.records[0].exc_info is not None
    assert caplog.records[0].levelno == logging.ERROR


def test_too_many_waiting_calls_close_with_1013(app: Slow, client: TestClient) -> None:
    by_hand = ByHand(client, limit=1)
    with client.websocket("/socket") as first:
        first.send("a")
        second = client.websocket("/socket")
        second.send("b")
        assert second.closed == (1013, "the server is too busy")
        by_hand.run_next()
        assert first.receive() == "A"


def test_a_peer_that_is_lost_in_the_middle_of_a_call_ends_it(app: Slow, client: TestClient) -> None:
    by_hand = ByHand(client)
    ws = client.websocket("/socket")
    ws.send("a")
    ws.drop(reset=True)
    assert app.notes == [(1006, "")]
    by_hand.run_next()
    assert app.calls == []


def test_a_close_that_comes_in_the_middle_of_a_call_is_read_behind_it(app: Slow, client: TestClient) -> None:
    by_hand = ByHand(client)
    ws = client.websocket("/socket")
    ws.send("a")
    ws.close(1000, "bye")
    assert app.notes == []
    by_hand.run_next()
    assert app.notes == [(1000, "bye")]
    assert ws.receive() == "A"


def test_the_server_says_goodbye_in_the_middle_of_a_call(app: Slow, client: TestClient) -> None:
    by_hand = ByHand(client)
    ws = client.websocket("/socket")
    ws.send("a")
    client.drain()
    assert ws.closed is not None
    assert ws.closed[0] == 1001
    by_hand.run_next()
    assert app.notes == [(1001, "the server is going away")]


# WebSocket generators.


def test_a_script_waits_for_what_a_call_returns_or_raises(client: TestClient) -> None:
    with client.websocket("/quiz") as ws:
        ws.send("ann")
        assert ws.receive() == "ANN"
        ws.send("fail")
        assert ws.receive() == "KeyError"


def test_messages_wait_while_a_script_waits_for_a_call(client: TestClient) -> None:
    by_hand = ByHand(client)
    with client.websocket("/quiz") as ws:
        ws.send("a")
        ws.send("b")
        by_hand.run_next()
        by_hand.run_next()
        assert (ws.receive(), ws.receive()) == ("A", "B")


def test_an_overload_is_raised_in_a_script(client: TestClient) -> None:
    ByHand(client, limit=0)
    with client.websocket("/quiz") as ws:
        ws.send("a")
        assert ws.receive() == "Overloaded"


def test_a_script_whose_peer_leaves_in_a_call_is_told_at_once(app: Slow, client: TestClient) -> None:
    by_hand = ByHand(client)
    ws = client.websocket("/quiz")
    ws.send("a")
    ws.close(4000)
    assert app.notes == [4000]
    by_hand.run_next()
    assert app.notes == [4000]


def test_a_script_may_make_a_call_after_the_end(app: Slow, caplog: pytest.LogCaptureFixture) -> None:
    @app.app.websocket("/stubborn")
    def stubborn(ws: WebSocket) -> Any:
        try:
            yield from ws.text()
        except WebSocketClosed:
            try:
                yield from blocking(slow, "too late")
            finally:
                app.notes.append("closed")

    with app.app.test_client() as client:
        client.websocket("/stubborn").close()
        assert app.notes == ["closed"]
    assert not caplog.records


def test_a_stopped_client_makes_no_calls(app: Slow) -> None:
    client = app.app.test_client()
    client.close()
    call = client.world.site.executor.submit(lambda: app.calls.append("made"), lambda value, error: None)
    call.cancel()
    client.world.settle()
    assert app.calls == []
