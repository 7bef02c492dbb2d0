"""A handler that waits and then answers: a generator that yields nothing of its own. What it returns counts."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest
from wire import asked, body_of, opened, received, statuses

from microsock import (
    App,
    Event,
    EventStream,
    HTTPError,
    Pending,
    Request,
    Response,
    WebSocket,
    abort,
    blocking,
    sleep,
)
from microsock.signatures import has_own_yield

ASK = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def waiting(value: Callable[[], object], wait: Callable[[], Any] = lambda: blocking(int)) -> Callable[..., Any]:
    def handler(request: Request) -> Any:
        yield from wait()
        return value()

    return handler


def plain(value: Callable[[], object]) -> Callable[..., Any]:
    def handler(request: Request) -> Any:
        return value()

    return handler


def raised(error: Exception) -> Any:
    raise error


ANSWERS: dict[str, Callable[[], object]] = {
    "str": lambda: "text",
    "empty str": lambda: "",
    "bytes": lambda: b"bytes",
    "dict": lambda: {"rows": [1, 2]},
    "empty dict": dict,
    "list": list,
    "tuple of two": lambda: ({"saved": 1}, 201),
    "tuple of three": lambda: ("x", 202, {"X-Own": "1", "Content-Type": "text/csv"}),
    "Response": lambda: Response("x", 203, {"X-Own": "1"}),
    "no content": lambda: ("", 204),
    "not modified": lambda: Response(status=304),
    "abort": lambda: abort(409, "not now"),
    "error": lambda: raised(KeyError("on purpose")),
    "error with a handler": lambda: raised(ZeroDivisionError()),
    "an exception that is returned": lambda: HTTPError(418),
    "what is no answer": lambda: {1, 2},
    "a number": lambda: 0,
    "a tuple that is none": lambda: ("x",),
}


@pytest.mark.parametrize("wait", [lambda: sleep(0), lambda: blocking(int)], ids=["sleep", "blocking"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("answer", ANSWERS)
def test_what_it_returns_is_answered_as_a_plain_handlers(answer: str, method: str, wait: Callable[[], Any]) -> None:
    def app_with(handler: Callable[..., Any]) -> App:
        app = App(rate_limit="100/minute")
        app.get("/")(handler)
        app.error(ZeroDivisionError)(lambda request, error: ("divided", 400))

        @app.error(409)
        def conflict(request: Request, error: HTTPError) -> str:
            return f"<{error.message}>"

        @app.on_response
        def stamp(request: Request, response: Response) -> None:
            response.headers.add("X-Seen", str(len(response.body)))

        return app

    expected: list[Any] = []
    got: list[Any] = []
    for found, handler in ((expected, plain(ANSWERS[answer])), (got, waiting(ANSWERS[answer], wait))):
        with app_with(handler).test_client() as client:
            pending = client.start(method, "/")
            client.advance(0)
            found += [pending.result().status_code, pending.result().headers.multi_items(), pending.result().content]
    if answer == "an exception that is returned":  # only what comes later may be one
        assert got[0] == 418
    else:
        assert got == expected


def test_what_is_no_answer_is_told_with_the_handlers_name(caplog: pytest.LogCaptureFixture) -> None:
    app = App()
    app.get("/")(waiting(lambda: 5))
    _, connection = asked(app, ASK)
    assert statuses(connection.receive()) == [500]
    told = caplog.records[0].exc_info
    assert told is not None
    assert "handler 'handler' returned 5" in str(told[1])


@pytest.mark.parametrize(("version", "count"), [("1.0", 1), ("1.1", 2)])
def test_its_answer_has_a_length_and_keeps_the_connection(version: str, count: int) -> None:
    app = App()
    app.get("/")(waiting(lambda: {"rows": 1}))
    data = f"GET / HTTP/{version}\r\nHost: a\r\n\r\n".encode()
    _, connection = asked(app, data * 2)
    answer = connection.receive()
    assert b"Content-Length: 10\r\n" in answer
    assert body_of(answer).startswith(b'{"rows":1}')
    assert statuses(answer) == [200] * count


def test_others_are_served_meanwhile() -> None:
    app = App()
    app.get("/")(waiting(lambda: "late", lambda: sleep(5)))
    app.get("/quick")(plain(lambda: "quick"))
    with app.test_client() as client:
        pending = client.start("GET", "/")
        assert client.get("/quick").text == "quick"
        assert not pending.done
        client.advance(5)
        assert pending.result().text == "late"


def test_one_whose_client_leaves_sees_generator_exit() -> None:
    app = App()
    notes: list[str] = []

    @app.get("/")
    def handler(request: Request) -> Any:
        try:
            yield from sleep(5)
        except GeneratorExit:
            notes.append("left")
            raise
        return "late"

    client, connection = asked(app, ASK)
    connection.close()
    assert notes == ["left"]
    client.advance(10)


def test_it_may_end_at_once_where_there_was_nothing_to_wait_for() -> None:
    app = App()

    @app.get("/")
    def handler(request: Request) -> Any:
        if request.args:
            yield from sleep(1)
        return {"at": "once"}

    with app.test_client() as client:
        assert client.get("/").json() == {"at": "once"}


def test_it_may_wait_in_helpers_and_behind_wrappers() -> None:
    def load(name: str) -> Generator[Any, Any, str]:
        yield from sleep(0)
        return (yield from blocking(str.upper, name))

    def timed(handler: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(handler)
        def wrapper(*arguments: Any, **params: Any) -> Any:
            result = yield from handler(*arguments, **params)
            return result, 203

        return wrapper

    def logged(handler: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(handler)
        def wrapper(*arguments: Any, **params: Any) -> Any:
            return handler(*arguments, **params)

        return wrapper

    app = App()

    @app.get("/{name}")
    @logged
    @timed
    @logged
    def handler(request: Request, name: str) -> Any:
        return {"name": (yield from load(name))}

    with app.test_client() as client:
        pending = client.start("GET", "/ada")
        client.advance(0)
        assert (pending.result().status_code, pending.result().json()) == (203, {"name": "ADA"})


def test_a_hook_may_put_another_stream_around_one_that_has_waited() -> None:
    app = App()

    @app.get("/")
    def handler(request: Request) -> Any:
        yield from sleep(1)
        yield "a"
        yield "b"

    @app.on_response
    def shout(request: Request, response: Response) -> Any:
        for piece in response.stream or ():
            yield "<" + (piece.decode() if isinstance(piece, bytes) else str(piece)) + ">"

    with app.test_client() as client:
        pending = client.start("GET", "/")
        client.advance(1)
        assert pending.result().text == "<a><b>"


# What it may return beside a whole body.


def test_it_may_return_a_stream_events_or_what_comes_later() -> None:
    app = App()
    later = Pending()

    def pieces() -> Iterator[str]:
        yield "a"
        yield "b"

    app.get("/stream")(waiting(pieces))
    app.get("/typed")(waiting(lambda: (pieces(), 201, {"Content-Type": "text/csv"})))
    app.get("/again")(waiting(lambda: waiting(lambda: "again")(None)))
    app.get("/later")(waiting(lambda: later))
    app.get("/events")(waiting(lambda: EventStream("news")))
    with app.test_client() as client:
        assert client.get("/stream").text == "ab"
        typed = client.get("/typed")
        assert (typed.status_code, typed.headers["Content-Type"], typed.text) == (201, "text/csv", "ab")
        assert client.get("/again").text == "again"
        pending = client.start("GET", "/later")
        later.complete("done")
        client.advance(0)
        assert pending.result().text == "done"
        with client.events("/events") as events:
            app.publish("news", "hello")
            assert events.receive().data == "hello"


def test_the_status_and_lines_around_it_hold_unless_it_says_otherwise() -> None:
    app = App()

    def answers(value: object) -> Any:
        yield from blocking(int)
        return value

    @app.get("/body")
    def body(request: Request) -> Any:
        return answers("a,b"), 201, {"X-Own": "1", "Content-Type": "text/csv"}

    @app.get("/tuple")
    def whole(request: Request) -> Any:
        return answers(("x", 202, {"X-Own": "2"})), 201, {"X-Own": "1", "X-More": "1"}

    with app.test_client() as client:
        found = client.get("/body")
        assert (found.status_code, found.headers["Content-Type"], found.headers["X-Own"]) == (201, "text/csv", "1")
        assert found.headers["Content-Length"] == "3"
        found = client.get("/tuple")
        assert (found.status_code, found.headers["X-Own"], found.headers["X-More"]) == (202, "2", "1")


def test_an_error_handler_may_wait_too() -> None:
    app = App()

    @app.error(404)
    def missing(request: Request, error: HTTPError) -> Any:
        name = yield from blocking(str.upper, "missing")
        return {"error": name}

    @app.error(405)
    def method(request: Request, error: HTTPError) -> Any:
        yield from blocking(int)
        return "x", 410

    app.get("/")(plain(lambda: ""))
    with app.test_client() as client:
        found = client.get("/nowhere")
        assert (found.status_code, found.json()) == (404, {"error": "MISSING"})
        found = client.post("/")
        assert (found.status_code, found.headers["Allow"]) == (410, "GET, HEAD, OPTIONS")


# Streams.


@pytest.mark.parametrize("piece", ["", "a", Event("a")])
def test_a_value_returned_behind_a_piece_is_an_error(piece: Any, caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    @app.get("/")
    def handler(request: Request) -> Any:
        yield piece
        yield from blocking(int)
        return {"rows": 1}

    _, connection = asked(app, ASK)
    answer = connection.receive()
    assert "handler 'handler' has yielded pieces of a stream and then returned {'rows': 1}" in caplog.text
    if piece == "":  # nothing has left yet
        assert statuses(answer) == [500]
    else:
        assert statuses(answer) == [200]
        assert not answer.endswith(b"0\r\n\r\n")
        assert connection.closed or connection.ended


def test_a_generator_that_ends_without_a_piece_is_an_empty_stream() -> None:
    app = App()

    @app.get("/")
    def handler(request: Request) -> Any:
        yield from sleep(0)
        for _ in range(0):
            yield "x"

    @app.get("/bare")
    def bare(request: Request) -> Any:
        for _ in range(0):
            yield "x"

    @app.get("/delegated")
    def delegated(request: Request) -> Any:
        yield from ()

    with app.test_client() as client:
        for path in ("/", "/bare", "/delegated"):
            pending = client.start("GET", path)
            client.advance(0)
            assert (pending.result().status_code, pending.result().content) == (200, b"")


def test_one_that_has_only_waited_and_returns_none_has_forgotten_something(caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    @app.get("/")
    def forgetful(request: Request) -> Any:
        yield from blocking(int)

    with app.test_client() as client:
        assert client.get("/").status_code == 500
    assert "handler 'forgetful' has waited and then returned None; return its answer" in caplog.text


def test_the_end_of_an_iterator_of_a_programs_own_says_nothing() -> None:
    class Pieces:
        def __iter__(self) -> Pieces:
            return self

        def __next__(self) -> str:
            raise StopIteration("a value")

    app = App()
    app.get("/")(plain(Pieces))
    with app.test_client() as client:
        assert client.get("/").content == b""


def test_a_yield_of_ones_own_is_seen_in_the_code() -> None:
    def own() -> Any:
        yield

    def delegating() -> Any:
        try:
            yield from own()
            return (yield from own())
        finally:
            yield from own()

    def both() -> Any:
        with memoryview(b""):
            yield from own()
        lambda: (yield)
        yield 1

    def nested() -> Any:
        def inner() -> Any:
            yield 1

        yield from inner()

    assert has_own_yield(own())
    assert has_own_yield(both())
    assert has_own_yield(piece for piece in "ab")
    assert not has_own_yield(delegating())
    assert not has_own_yield(nested())
    assert has_own_yield(Foreign())


class Foreign(Generator[Any, Any, Any]):
    """As compiled by others: there is no code to see."""

    def send(self, value: Any) -> Any:
        raise StopIteration

    def throw(self, *error: Any) -> Any:
        raise StopIteration


# WebSockets.


@pytest.mark.parametrize(
    ("value", "sent"), [("bye", "bye"), (b"bye", b"bye"), ({"bye": 1}, '{"bye":1}'), ([], "[]"), ("", "")]
)
def test_what_a_websockets_generator_returns_is_its_last_message(value: Any, sent: str | bytes) -> None:
    app = App()

    @app.websocket("/ws")
    def talk(ws: WebSocket) -> Any:
        yield from ws.text()
        return value

    _, ws = opened(app)
    ws.send("x")
    assert received(ws) == [sent]
    assert ws.closed == (1000, "")


def test_none_is_no_message_and_nothing_is_sent_behind_its_own_close() -> None:
    app = App()

    @app.websocket("/none")
    def none(ws: WebSocket) -> Any:
        yield from ws.text()

    @app.websocket("/closed")
    def closed(ws: WebSocket) -> Any:
        yield from ws.text()
        ws.close(4000, "own")
        return "late"

    for path, end in (("/none", (1000, "")), ("/closed", (4000, "own"))):
        _, ws = opened(app, path)
        ws.send("x")
        assert received(ws) == []
        assert ws.closed == end


def test_what_cannot_be_sent_is_an_error_of_the_handler(caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    @app.websocket("/ws")
    def talk(ws: WebSocket) -> Any:
        yield from ws.text()
        return {1, 2}

    _, ws = opened(app)
    ws.send("x")
    assert ws.closed == (1011, "internal error")
    assert "error in WebSocket handler 'talk'" in caplog.text


def test_what_is_returned_after_the_peer_has_gone_is_nobodys(caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    @app.websocket("/ws")
    def talk(ws: WebSocket) -> Any:
        try:
            yield from ws.text()
        finally:
            return "late"  # noqa: B012 - what people write

    client, ws = opened(app)
    ws.close()
    client.advance(1)
    assert not caplog.records
