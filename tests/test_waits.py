"""What generator handlers wait for."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Generator
from typing import Any

import pytest

from microsock import App, Request, WebSocket, blocking, sleep
from microsock.messages import encode_message
from microsock.response import to_response
from microsock.testing import NeverWaitedFor, TestClient
from microsock.waits import Flushed, Receive, Sleep, Wait, Waiting, checked_seconds, expect_wait


def test_sleep_waits_for_seconds_and_returns_nothing() -> None:
    sleeping = iter(sleep(2))
    assert next(sleeping) == Sleep(2.0)
    with pytest.raises(StopIteration) as over:
        sleeping.send(None)
    assert over.value.value is None


def test_a_helper_generator_passes_waits_through() -> None:
    def helper() -> Waiting[str]:
        yield from sleep(1)
        return "done"

    def handler() -> Waiting[str]:
        return (yield from helper()) + "!"

    running = handler()
    assert next(running) == Sleep(1.0)
    with pytest.raises(StopIteration) as over:
        next(running)
    assert over.value.value == "done!"


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), "1", None, True])
def test_a_duration_that_is_none_is_refused(seconds: Any) -> None:
    with pytest.raises(ValueError) as caught:
        sleep(seconds)
    assert str(caught.value) == f"sleep takes a number of seconds from 0 up, not {seconds!r}"


def test_a_duration_is_a_float() -> None:
    assert repr(checked_seconds("sleep", 3)) == "3.0"


@pytest.mark.parametrize("wait", [Receive(), Receive(1.5), Sleep(0.0), Flushed()])
def test_a_wait_is_what_a_handler_may_yield(wait: Wait) -> None:
    assert expect_wait(wait, "quiz") is wait


def naps() -> Generator[Wait, Any, None]:
    yield from sleep(1)


@pytest.mark.parametrize(
    ("yielded", "message"),
    [
        (None, "handler 'quiz' has a bare 'yield'; write 'message = yield from ws.receive()'"),
        (naps(), "handler 'quiz' yielded naps(…); write 'yield from' in front of it"),
        (
            "hello",
            "handler 'quiz' yielded 'hello'; write 'ws.send(…)' to send and 'yield from ws.receive()' to wait",
        ),
    ],
)
def test_anything_else_is_refused_with_what_to_write(yielded: object, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        expect_wait(yielded, "quiz")
    assert str(caught.value) == message


# A wait that nobody waits for.


def line_here() -> int:
    return inspect.currentframe().f_back.f_lineno  # type: ignore[union-attr]


VERBS: dict[str, Callable[[WebSocket], object]] = {
    "sleep": lambda ws: sleep(1),
    "blocking": lambda ws: blocking(int),
    "ws.receive": lambda ws: ws.receive(),
    "ws.text": lambda ws: ws.text(timeout=1),
    "ws.binary": lambda ws: ws.binary(),
    "ws.json": lambda ws: ws.json(),
    "ws.flushed": lambda ws: ws.flushed(),
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_that_is_not_waited_for_gives_a_warning_at_its_line(verb: str) -> None:
    app = App()
    told: list[warnings.WarningMessage] = []

    @app.websocket("/ws")
    def talk(ws: WebSocket, message: str) -> None:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            VERBS[verb](ws)
        told.extend(caught)

    with pytest.raises(NeverWaitedFor), app.test_client() as client, client.websocket("/ws") as ws:
        ws.send("x")
    (warning,) = told
    line = inspect.getsourcelines(VERBS[verb])[1]
    assert issubclass(warning.category, RuntimeWarning)
    assert (warning.filename, warning.lineno) == (__file__, line)
    expected = f"'<lambda>' never waited for {verb}(…) in line {line}; write 'yield from' in front of it"
    assert str(warning.message) == expected


@pytest.mark.parametrize("kept", [False, True])
def test_it_names_the_handler(kept: bool) -> None:
    lines: list[int] = []

    def save(request: Request) -> str:
        if kept:
            waiting = blocking(int)  # noqa: F841
            lines.append(line_here() - 1)
            for _ in range(300):
                pass
        else:
            blocking(int)
            lines.append(line_here() - 1)
        return ""

    with pytest.warns(RuntimeWarning) as caught:
        save(Request("GET", "/"))
    assert [str(each.message).partition(";")[0] for each in caught] == [
        f"'save' never waited for blocking(…) in line {lines[0]}"
    ]


def test_one_that_is_waited_for_gives_none() -> None:
    app = App()

    @app.get("/")
    def handler(request: Request) -> Any:
        first = sleep(0)
        yield from first
        return [(yield from blocking(int)), [*()]]

    with app.test_client() as client:
        pending = client.start("GET", "/")
        client.advance(0)
        assert pending.result().json() == [0, []]


def test_one_that_never_comes_to_its_end_was_waited_for() -> None:
    app = App()

    @app.websocket("/ws")
    def talk(ws: WebSocket) -> Any:
        yield from ws.text()

    with app.test_client() as client:
        client.websocket("/ws").close()


def test_it_is_waited_for_once() -> None:
    waiting = sleep(1)
    list(waiting)
    with pytest.raises(RuntimeError, match=r"sleep\(…\) was waited for already; call it again"):
        list(waiting)


def test_each_place_is_told_of_once_unless_filters_say_otherwise() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            sleep(1)
        assert len(caught) == 1
        warnings.simplefilter("always")
        for _ in range(3):
            sleep(1)
    assert len(caught) == 4


def forgetting() -> App:
    app = App()

    @app.get("/")
    def save(request: Request) -> str:
        sleep(1)
        return "saved"

    @app.get("/ok")
    def ok(request: Request) -> str:
        return "ok"

    @app.websocket("/ws")
    def talk(ws: WebSocket, message: str) -> str:
        blocking(int)
        return message

    return app


FORGOTTEN = r"test_waits\.py:[0-9]+: 'save' never waited for sleep\(…\) in line [0-9]+; write 'yield from'"

CALLS: dict[str, Callable[[TestClient], object]] = {
    "get": lambda client: client.get("/ok"),
    "start": lambda client: client.start("GET", "/ok"),
    "websocket": lambda client: client.websocket("/ws"),
    "raw": lambda client: client.raw(b""),
    "advance": lambda client: client.advance(1),
    "drain": lambda client: client.drain(),
    "close": lambda client: client.close(),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("filters", ["error", "ignore"])
def test_the_test_client_raises_at_its_next_call(call: str, filters: Any) -> None:
    client = forgetting().test_client()
    with warnings.catch_warnings():
        warnings.simplefilter(filters)
        assert client.get("/").text == "saved"
        with pytest.raises(NeverWaitedFor, match=FORGOTTEN):
            CALLS[call](client)
        assert client.is_closed or client.get("/ok").text == "ok"  # it is told once
    client.close()


def test_it_raises_when_it_is_closed_unless_the_test_fails_anyway() -> None:
    with pytest.raises(NeverWaitedFor, match=FORGOTTEN), forgetting().test_client() as client:
        client.get("/")
    with pytest.raises(RuntimeWarning), forgetting().test_client(workers=2) as client:
        client.get("/")
    with pytest.raises(ZeroDivisionError), forgetting().test_client() as client:
        client.get("/")
        raise ZeroDivisionError


def test_its_websockets_raise_at_their_next_call_too() -> None:
    client = forgetting().test_client()
    ws = client.websocket("/ws")
    ws.send("x")
    with pytest.raises(NeverWaitedFor, match="'talk' never waited for blocking"):
        ws.receive()
    assert ws.receive() == "x"
    client.close()


def test_what_is_dropped_where_no_test_client_runs_is_pythons_to_tell() -> None:
    with pytest.warns(RuntimeWarning, match="never waited for sleep"):
        sleep(1)
    forgetting().test_client().close()


def test_one_that_is_yielded_is_told_in_an_error(caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    @app.get("/")
    def handler(request: Request) -> Any:
        yield sleep(1)

    @app.websocket("/ws")
    def talk(ws: WebSocket) -> Any:
        yield ws.text()

    with app.test_client() as client:
        assert client.get("/").status_code == 500
        assert "not Waitable (sleep); write 'yield from' in front of it" in caplog.text
        assert client.websocket("/ws").closed == (1011, "internal error")
        assert "handler 'talk' yielded ws.text(…); write 'yield from' in front of it" in caplog.text


def test_one_that_is_sent_or_returned_says_what_it_is() -> None:
    waiting = sleep(1)
    with pytest.raises(TypeError, match=r"sleep\(…\) without 'yield from'"):
        encode_message(waiting)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"sleep\(…\) without 'yield from'"):
        to_response(waiting, "handler")
    waiting.told()


def test_a_blocking_call_of_what_is_async_is_refused() -> None:
    async def later() -> None: ...

    with pytest.raises(TypeError, match=r"blocking takes a plain function, and .* is 'async def'; write 'def'"):
        blocking(later)
