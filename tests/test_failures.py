"""Whatever a handler, hook or job raises ends that call: 500, 1011 or a line in the log. The server goes on."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import hypothesis.errors
import pytest
from wire import opened

from microsock import App, HTTPError, Request, Response, Server, SetupError, WebSocket, WebSocketClosed, blocking, sleep
from microsock.failures import error_text, log_failure, reraise_if_fatal
from microsock.testing import TestClient, WebSocketRefused

PATIENCE = 10.0

Fail = Callable[[], Any]


class Cancelled(BaseException):
    """As trio's, gevent's or a library's own."""


class Unspeakable(Exception):
    """Cannot be made a str."""

    def __str__(self) -> str:
        raise SystemExit("str")

    __repr__ = __str__


class Unclassed(BaseException):
    """Raises where it is asked for its class, as ``isinstance`` does."""

    @property
    def __class__(self) -> Any:
        raise ZeroDivisionError("class")

    @__class__.setter
    def __class__(self, value: Any) -> None:
        raise AssertionError


class Unlinked(Exception):
    """Raises where a traceback is made of it."""

    def __getattribute__(self, name: str) -> Any:
        if name == "__notes__":
            raise Cancelled("notes")
        return super().__getattribute__(name)


class Statusless(HTTPError):
    """Does not call ours."""

    def __init__(self) -> None:
        pass


class Unborn(Exception):
    """Cannot be made."""

    def __init__(self) -> None:
        raise Cancelled("init")


def recursion() -> NoReturn:
    recursion()


def raising(make: Callable[[], BaseException]) -> Fail:
    def fail() -> NoReturn:
        raise make()

    return fail


FAILURES: dict[str, Fail] = {
    "ValueError": raising(ValueError),
    "SystemExit": raising(lambda: SystemExit(1)),
    "CancelledError": raising(asyncio.CancelledError),
    "BaseException": raising(Cancelled),
    "GeneratorExit": raising(GeneratorExit),
    "StopIteration": raising(lambda: StopIteration("value")),
    "BaseExceptionGroup": raising(lambda: BaseExceptionGroup("several", [Cancelled(), SystemExit(2)])),
    "MemoryError": raising(MemoryError),
    "RecursionError": recursion,
    "str raises": raising(Unspeakable),
    "class raises": raising(Unclassed),
    "notes raise": raising(Unlinked),
    "init raises": raising(Unborn),
    "HTTPError without a status": raising(Statusless),
    "WebSocketClosed of nobody": raising(lambda: WebSocketClosed(4000)),
}


@pytest.fixture(params=FAILURES)
def fail(request: pytest.FixtureRequest) -> Fail:
    found: Fail = FAILURES[request.param]
    return found


class Pieces:
    """An iterator that fails where it is told to."""

    def __init__(self, where: str, fail: Fail) -> None:
        self.where, self.fail = where, fail
        self.pieces = iter(["one", "two"])

    def __iter__(self) -> Pieces:
        if self.where == "iter":
            self.fail()
        return self

    def __next__(self) -> str:
        piece = next(self.pieces, None)
        if piece == self.where:
            self.fail()
        if piece is None:
            raise StopIteration
        return piece

    def close(self) -> None:
        if self.where == "close":
            self.fail()


@contextlib.contextmanager
def still_serving(app: App) -> Iterator[TestClient]:
    """A client of the app, which is asked for another page afterwards."""

    @app.get("/ok")
    def ok(request: Request) -> str:
        return "ok"

    with app.test_client() as client:
        yield client
        assert client.get("/ok").text == "ok"


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


# HTTP.


@pytest.mark.parametrize("in_thread", [False, True])
def test_a_handler_that_fails_is_answered_with_500(
    fail: Fail, in_thread: bool, caplog: pytest.LogCaptureFixture
) -> None:
    app = App()

    @app.get("/", blocking=in_thread)
    def handler(request: Request) -> Any:
        fail()

    with still_serving(app) as client:
        assert client.get("/").status_code == 500
        assert client.head("/").status_code == 500
    assert errors(caplog) == ["GET / failed", "HEAD / failed"]


def test_a_generator_that_fails_before_its_first_piece_is_answered_with_500(
    fail: Fail, caplog: pytest.LogCaptureFixture
) -> None:
    app = App()

    @app.get("/")
    def handler(request: Request) -> Any:
        fail()
        yield ""

    with still_serving(app) as client:
        assert client.get("/").status_code == 500
    assert errors(caplog) == ["GET / failed"]


@pytest.mark.parametrize("wait", [lambda: sleep(0), lambda: blocking(int)])
def test_and_so_is_one_that_fails_after_a_wait(
    fail: Fail, wait: Callable[[], Any], caplog: pytest.LogCaptureFixture
) -> None:
    app = App()

    @app.get("/")
    def handler(request: Request) -> Any:
        yield from wait()
        fail()

    with still_serving(app) as client:
        assert client.get("/").status_code == 500
    assert errors(caplog) == ["GET / failed"]


def test_what_a_blocking_call_raises_comes_where_it_is_waited_for(fail: Fail, caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    @app.get("/")
    def handler(request: Request) -> Any:
        yield from blocking(fail)

    with still_serving(app) as client:
        assert client.get("/").status_code == 500
    assert errors(caplog) == ["GET / failed"]


def test_a_stream_that_fails_later_ends_without_its_last_chunk(fail: Fail, caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    @app.get("/")
    def handler(request: Request) -> Iterator[str]:
        yield "one"
        fail()

    with still_serving(app) as client:
        answer = client.raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert answer.endswith(b"3\r\none\r\n")
    assert errors(caplog) == ["error in the streamed body of handler 'handler'"]


def test_a_generator_that_fails_when_its_client_leaves_is_logged(fail: Fail, caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    @app.get("/")
    def handler(request: Request) -> Any:
        try:
            yield "one"
            yield from sleep(100)
        finally:
            fail()

    with still_serving(app) as client:
        client.raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    if fail is not FAILURES["GeneratorExit"]:  # which is how it may end here
        assert errors(caplog) == ["error while closing the streamed body of handler 'handler'"]


@pytest.mark.parametrize(("where", "status"), [("iter", 500), ("one", 500), ("two", 200), ("close", 200)])
def test_iterators_of_a_programs_own_may_fail_anywhere(
    fail: Fail, where: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    app = App()

    @app.get("/")
    def handler(request: Request) -> Iterator[str]:
        return Pieces(where, fail)

    ends = fail is FAILURES["StopIteration"] and where in ("one", "two")  # which is how an iterator ends
    with still_serving(app) as client:
        answer = client.raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 %d " % (200 if ends else status))
    assert len(errors(caplog)) == (0 if ends else 1)


def test_hooks_around_responses_and_errors_may_fail(fail: Fail, caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    @app.error
    def on_error(request: Request, error: HTTPError) -> Any:
        fail()

    @app.error(KeyError)
    def on_key_error(request: Request, error: KeyError) -> Any:
        fail()

    @app.get("/key")
    def key(request: Request) -> str:
        raise KeyError

    with still_serving(app) as client:
        assert client.get("/missing").status_code == 404
        assert client.get("/key").status_code == 500
        assert errors(caplog) == [
            "the error handler for GET /missing raised",
            "the error handler for GET /key raised",
            "GET /key failed",
        ]


def test_a_hook_that_sees_all_responses_may_fail(fail: Fail, caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    @app.on_response
    def hook(request: Request, response: Response) -> Any:
        fail()

    @app.get("/")
    def home(request: Request) -> str:
        return ""

    with app.test_client() as client:
        assert client.get("/").status_code == 500
        assert client.get("/missing").status_code == 500
    assert set(errors(caplog)) == {"on_response 'hook' raised for GET /", "on_response 'hook' raised for GET /missing"}


def test_guards_may_fail(fail: Fail, caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    def guard(request: Request) -> Any:
        fail()

    def key(request: Request) -> Any:
        fail()

    app.status(guard=guard)

    @app.get("/limited")
    @app.limit("5/minute", key=key)
    def limited(request: Request) -> str:
        return ""

    @app.connect
    def connect(client: Any, clients: Any) -> Any:
        fail()

    with still_serving(app) as client:
        for path in ("/_status", "/limited", "/connect"):
            assert client.get(path).status_code == 500, path
    assert errors(caplog) == ["GET /_status failed", "GET /limited failed", "GET /connect failed"]


def test_one_that_says_goodbye_may_fail(fail: Fail, caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    @app.connect
    def connect(client: Any, clients: Any) -> None:
        pass

    @app.disconnect
    def disconnect(client: Any) -> Any:
        fail()

    with app.test_client() as client:
        client.get("/connect")
        assert client.get("/disconnect").status_code == 500
        client.get("/connect")
    assert errors(caplog) == ["GET /disconnect failed", "@app.disconnect 'disconnect' raised for 127.0.0.1"]


# By the clock.


def test_a_job_that_fails_is_logged_and_comes_again(fail: Fail, caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    @app.every(10)
    def often() -> Any:
        fail()

    def once() -> Any:
        fail()

    with still_serving(app) as client:
        app.after(5, once)
        client.advance(25)
    assert errors(caplog) == ["error in job 'once'", "error in job 'often'", "error in job 'often'"]


def test_one_that_stops_may_fail_and_the_others_are_called(fail: Fail, caplog: pytest.LogCaptureFixture) -> None:
    app = App()
    called = []

    @app.on_stop
    def failing() -> Any:
        fail()

    @app.on_stop
    def other() -> None:
        called.append("other")

    app.test_client().close()
    assert called == ["other"]
    assert errors(caplog) == ["on_stop 'failing' raised"]


# WebSockets.


def told(app: App) -> list[BaseException]:
    """What ``on_error`` of the app's one WebSocket is told."""
    errors: list[BaseException] = []
    (route,) = app.router.websockets
    route.on_error(lambda ws, error: errors.append(error))
    return errors


@pytest.mark.parametrize("in_thread", [False, True])
def test_a_function_that_fails_closes_its_websocket_with_1011(
    fail: Fail, in_thread: bool, caplog: pytest.LogCaptureFixture
) -> None:
    app = App()

    @app.websocket("/ws", blocking=in_thread)
    def talk(ws: WebSocket, message: str) -> Any:
        fail()

    seen = told(app)
    with still_serving(app) as client, client.websocket("/ws") as ws:
        ws.send("hello")
        assert ws.closed == (1011, "internal error")
    assert errors(caplog) == ["error in WebSocket handler 'talk'"]
    assert len(seen) == 1


@pytest.mark.parametrize("where", ["start", "message", "sleep", "blocking", "in call"])
def test_and_so_does_a_generator(fail: Fail, where: str, caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    @app.websocket("/ws")
    def talk(ws: WebSocket) -> Any:
        if where == "start":
            fail()
        if where == "sleep":
            yield from sleep(0)
        if where == "blocking":
            yield from blocking(int)
        if where == "in call":
            yield from blocking(fail)
        yield from ws.text()
        fail()

    seen = told(app)
    with still_serving(app) as client, client.websocket("/ws") as ws:
        client.advance(0)
        if ws.closed is None:
            ws.send("hello")
        assert ws.closed == (1011, "internal error")
    assert errors(caplog) == ["error in WebSocket handler 'talk'"]
    assert len(seen) == 1


def test_a_generator_that_fails_after_its_peer_has_gone_is_logged(fail: Fail, caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    @app.websocket("/ws")
    def talk(ws: WebSocket) -> Any:
        try:
            yield from ws.text()
        finally:
            fail()

    with still_serving(app) as client:
        client.websocket("/ws").close()
    if fail is not FAILURES["WebSocketClosed of nobody"]:  # taken for its own, since that has ended
        assert errors(caplog) == ["error in WebSocket handler 'talk'"]


@pytest.mark.parametrize("generator", [False, True])
def test_hooks_of_a_websocket_may_fail(fail: Fail, generator: bool, caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    def once(ws: WebSocket) -> Any:
        yield from ws.text()
        raise ValueError

    def each(ws: WebSocket, message: str) -> Any:
        raise ValueError

    route = app.websocket("/ws")(once if generator else each)
    route.on_error(lambda ws, error: fail())
    with still_serving(app) as client, client.websocket("/ws") as ws:
        ws.send("hello")
        assert ws.closed == (1011, "internal error")
        name = "once" if generator else "each"
        assert errors(caplog) == [
            f"error in WebSocket handler {name!r}",
            f"error in on_error of WebSocket handler {name!r}",
        ]
        caplog.clear()

        @route.on_open
        def on_open(ws: WebSocket) -> Any:
            fail()

        assert client.websocket("/ws").closed == (1011, "internal error")
        assert errors(caplog) == [
            f"error in WebSocket handler {name!r}",
            f"error in on_error of WebSocket handler {name!r}",
        ]


def test_on_close_may_fail(fail: Fail, caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    @app.websocket("/ws")
    def talk(ws: WebSocket, message: str) -> None:
        pass

    talk.on_close(lambda ws, code, reason: fail())
    with still_serving(app) as client:
        client.websocket("/ws").close()
    if fail is not FAILURES["WebSocketClosed of nobody"]:
        assert errors(caplog) == ["error in WebSocket handler 'talk'"]


def test_on_upgrade_may_fail(fail: Fail, caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    @app.websocket("/ws")
    def talk(ws: WebSocket, message: str) -> None:
        pass

    talk.on_upgrade(lambda request: fail())
    with still_serving(app) as client, pytest.raises(WebSocketRefused) as refused:
        client.websocket("/ws")
    assert refused.value.response.status_code == 500
    assert errors(caplog) == ["GET /ws failed"]


def test_what_wraps_a_generator_function_may_fail_before_it_gives_one(
    fail: Fail, caplog: pytest.LogCaptureFixture
) -> None:
    import functools

    app = App()

    def talk(ws: WebSocket) -> Any:
        yield from ws.text()

    @functools.wraps(talk)
    def wrapper(ws: WebSocket) -> Any:
        fail()

    app.websocket("/ws")(wrapper)
    with still_serving(app) as client, client.websocket("/ws") as ws:
        assert ws.closed == (1011, "internal error")
    assert errors(caplog) == ["error in WebSocket handler 'talk'"]


def test_what_wraps_a_generator_function_and_gives_none_is_told(caplog: pytest.LogCaptureFixture) -> None:
    import functools

    app = App()

    def talk(ws: WebSocket) -> Any:
        yield from ws.text()

    @functools.wraps(talk)
    def wrapper(ws: WebSocket) -> Any:
        return 7

    app.websocket("/ws")(wrapper)
    _, ws = opened(app)
    assert ws.closed == (1011, "internal error")
    assert "handler 'talk' wraps a generator function, and gave 7" in caplog.text


# At the start.


@pytest.mark.server
def test_a_start_hook_that_fails_ends_the_start_with_its_reason(fail: Fail) -> None:
    app = App()

    @app.on_start
    def start() -> Any:
        fail()

    server = Server(app, "127.0.0.1", 0)
    with pytest.raises(SetupError, match="on_start raised "):
        server.run()
    assert not server.is_listening


# What goes through.


def test_ctrl_c_on_the_main_thread_goes_through(caplog: pytest.LogCaptureFixture) -> None:
    app, due = App(), list[str]()

    def interrupt() -> None:
        if due:  # once: what the request leaves is cleaned up by the same code
            due.clear()
            raise KeyboardInterrupt

    @app.get("/")
    def handler(request: Request) -> str:
        interrupt()
        return ""

    @app.get("/group")
    def group(request: Request) -> str:
        raise BaseExceptionGroup("of a task group", [ValueError(), BaseExceptionGroup("", [KeyboardInterrupt()])])

    @app.get("/stream/{where}")
    def stream(request: Request, where: str) -> Iterator[str]:
        return Pieces(where, interrupt)

    def key(request: Request) -> str:
        interrupt()
        return ""

    @app.get("/limited")
    @app.limit("5/minute", key=key)
    def limited(request: Request) -> str:
        return ""

    for path in ("/", "/group", "/stream/iter", "/stream/one", "/stream/two", "/stream/close", "/limited"):
        with app.test_client() as client:
            due.append(path)
            with pytest.raises(KeyboardInterrupt):
                client.get(path)
    assert not caplog.records


OUTCOMES: dict[str, Callable[[], object]] = {
    "fail": lambda: pytest.fail("on purpose"),
    "skip": lambda: pytest.skip("on purpose"),
    "xfail": lambda: pytest.xfail("on purpose"),
    "exit": lambda: pytest.exit("on purpose"),
    "assume": raising(hypothesis.errors.UnsatisfiedAssumption),
    "stop": raising(lambda: hypothesis.errors.StopTest(1)),
}


@pytest.mark.parametrize("in_thread", [False, True])
@pytest.mark.parametrize("outcome", OUTCOMES)
def test_what_ends_a_test_goes_through_a_test_client(outcome: str, in_thread: bool) -> None:
    app = App()

    @app.get("/", blocking=in_thread)
    def handler(request: Request) -> str:
        OUTCOMES[outcome]()
        return ""

    @app.websocket("/ws", blocking=in_thread)
    def talk(ws: WebSocket, message: str) -> None:
        OUTCOMES[outcome]()

    kinds = (
        *(pytest.fail.Exception, pytest.skip.Exception, pytest.exit.Exception),
        *(hypothesis.errors.UnsatisfiedAssumption, hypothesis.errors.StopTest),
    )

    def use() -> None:
        with app.test_client() as client:
            with pytest.raises(kinds):
                client.get("/")
            with client.websocket("/ws") as ws, pytest.raises(kinds):
                ws.send("hello")

    use()
    thread = threading.Thread(target=use)  # also where the test client is not used on the main thread
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_elsewhere_it_is_an_error_as_any_other() -> None:
    raised: list[BaseException] = []

    def try_it() -> None:
        for error in (KeyboardInterrupt(), pytest.fail.Exception("on purpose"), SystemExit()):
            try:
                reraise_if_fatal(error)
            except BaseException as again:
                raised.append(again)

    thread = threading.Thread(target=try_it)
    thread.start()
    thread.join(PATIENCE)
    assert raised == []


# In the log.


def test_an_error_is_told_in_words_whatever_it_does() -> None:
    assert error_text(ValueError("no")) == "ValueError: no"
    assert error_text(Unspeakable()) == "Unspeakable"


@pytest.mark.parametrize("make", [Unclassed, Unlinked, Unspeakable, ValueError])
@pytest.mark.parametrize("inside", ["itself", "cause", "group"])
def test_it_is_logged_whatever_it_does(
    make: Callable[[], BaseException], inside: str, caplog: pytest.LogCaptureFixture
) -> None:
    error = make()
    if inside == "group" and make is not Unclassed:  # of which no group can be made
        error = BaseExceptionGroup("several", [make()])
    elif inside == "cause":
        error = ValueError()
        error.__cause__ = make()
    log_failure(error, "it %s", "failed")
    (record,) = caplog.records
    assert record.getMessage() == "it failed"
    assert record.exc_info is not None
    assert logging.Formatter().format(record)


# A real server.


@pytest.mark.server
def test_a_server_goes_on_after_each_of_them(caplog: pytest.LogCaptureFixture) -> None:
    app = App(access_log=False, threads=1)
    failures = [*FAILURES.values(), raising(KeyboardInterrupt)]

    @app.get("/{number:int}")
    def here(request: Request, number: int) -> Any:
        failures[number]()

    @app.get("/thread/{number:int}", blocking=True)
    def there(request: Request, number: int) -> Any:
        failures[number]()

    @app.get("/ok", blocking=True)
    def ok(request: Request) -> str:
        return threading.current_thread().name

    with Server(app, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.run)
        thread.start()
        for number in range(len(failures)):
            server.post(failures[number])
            for path in (f"/{number}", f"/thread/{number}"):
                assert asked(server.port, path).startswith(b"HTTP/1.1 500 "), path
        assert asked(server.port, "/ok").endswith(b"microsock-1")
        server.shutdown()
        thread.join(PATIENCE)
        assert not thread.is_alive()


def asked(port: int, path: str) -> bytes:
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as peer:
        peer.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        return b"".join(iter(lambda: peer.recv(65536), b""))
