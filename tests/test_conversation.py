"""WebSockets that a function answers, and the hooks around it. Generators and pushed messages have their own files."""

from __future__ import annotations

from typing import Any

import pytest
from wire import HANDSHAKE, asked, message, opened, received

from microsock import App, WebSocket, WebSocketClosed
from microsock.site import AccessEntry, Answered, SocketClosed
from microsock.testing import TestClient
from microsock.testing.frames import CONTINUATION, TEXT

LOG = list[Any]


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def log() -> LOG:
    return []


# Messages.


def test_a_function_is_called_once_a_message_in_order(app: App, log: LOG) -> None:
    @app.websocket("/ws/{room}")
    def chat(ws: WebSocket, message: str | bytes, room: str) -> None:
        log.append((room, message))

    _, ws = opened(app, "/ws/blue")
    for sent in ("a", b"b", "c"):
        ws.send(sent)
    assert log == [("blue", "a"), ("blue", b"b"), ("blue", "c")]


def test_what_a_function_returns_is_sent_back_and_none_is_not(app: App) -> None:
    @app.websocket("/ws")
    def echo(ws: WebSocket, message: str) -> Any:
        return {"text": "a", "bytes": b"b", "dict": {"c": 1}, "list": ["d"], "empty": ""}.get(message)

    _, ws = opened(app)
    for sent in ("text", "nothing", "bytes", "dict", "list", "empty"):
        ws.send(sent)
    assert received(ws) == ["a", b"b", '{"c":1}', '["d"]', ""]


def test_fragments_arrive_as_one_message(app: App) -> None:
    @app.websocket("/ws")
    def echo(ws: WebSocket, message: str) -> str:
        return message

    _, ws = opened(app)
    ws.send_frame(opcode=TEXT, payload="a", fin=False)
    assert received(ws) == []
    ws.send_frame(opcode=CONTINUATION, payload="b")
    assert received(ws) == ["ab"]


@pytest.mark.parametrize(
    ("path", "sent", "code"),
    [
        ("/text", b"a", 1003),
        ("/binary", "a", 1003),
        ("/json", b"{}", 1003),
        ("/json", "{", 1007),
        ("/json", "[]", 1007),
    ],
)
def test_a_message_of_a_wrong_type_closes_with_its_code_and_no_traceback(
    app: App, path: str, sent: str | bytes, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    @app.websocket("/text")
    def text(ws: WebSocket, message: str) -> None: ...

    @app.websocket("/binary")
    def binary(ws: WebSocket, message: bytes) -> None: ...

    @app.websocket("/json")
    def json(ws: WebSocket, message: dict[str, Any]) -> None: ...

    _, ws = opened(app, path)
    ws.send(sent)
    assert ws.closed is not None
    assert ws.closed[0] == code
    assert caplog.records == []


def test_messages_behind_our_close_are_not_given_to_the_handler(app: App, log: LOG) -> None:
    @app.websocket("/ws")
    def once(ws: WebSocket, message: str) -> None:
        log.append(message)
        ws.close(4000, "enough")

    _, connection = asked(app, HANDSHAKE + message("a") + message("b"))
    connection.send(message("c"))
    assert log == ["a"]


def test_a_message_that_is_too_large_closes_with_1009(app: App) -> None:
    @app.websocket("/ws", max_message_size=10)
    def ws_small(ws: WebSocket, message: str) -> str:
        return message

    _, ws = opened(app, max_message_size=5)
    ws.send("x" * 10)
    ws.send("x" * 11)
    assert (received(ws), ws.closed) == (["x" * 10], (1009, "message over 10 bytes"))


# Hooks.


def what_of(ws: WebSocket) -> str:
    return str(ws.params["what"])


def hooked(app: App, log: LOG) -> None:
    @app.websocket("/ws/{what}")
    def talk(ws: WebSocket, message: str, what: str) -> str | None:
        log.append(message)
        if message == "raise":
            raise ValueError("on purpose")
        if message == "close":
            ws.close(4000, "bye")
            ws.send("too late")
        return message

    @talk.on_open
    def on_open(ws: WebSocket, what: str) -> None:
        log.append(f"open {what}")
        if what == "raise":
            raise ValueError("on purpose")
        if what == "refuse":
            ws.close(4001, "go away")

    @talk.on_close
    def on_close(ws: WebSocket, code: int, reason: str) -> None:
        log.append(f"close {code} {reason}".rstrip())
        if ws.params["what"] == "speak":
            ws.send("too late")
        if ws.params["what"] == "fail":
            raise ValueError("on purpose")

    @talk.on_error
    def on_error(ws: WebSocket, error: Exception) -> bool:
        log.append(f"error {error}")
        if ws.params["what"] == "fail":
            raise ValueError("again")
        return what_of(ws) == "keep"


def test_the_hooks_run_in_order(app: App, log: LOG) -> None:
    hooked(app, log)
    _, ws = opened(app, "/ws/a")
    ws.send("hello")
    ws.close(3000, "done")
    assert log == ["open a", "hello", "close 3000 done"]


@pytest.mark.parametrize("what", ["raise", "refuse"])
def test_an_on_open_that_raises_or_closes_ends_it_before_any_message(app: App, log: LOG, what: str) -> None:
    hooked(app, log)
    _, connection = asked(app, HANDSHAKE.replace(b"/ws", b"/ws/" + what.encode()) + message("hello"))
    connection.close()
    assert "hello" not in log
    assert log[-1].startswith("close ")


def test_a_handlers_exception_is_logged_and_closes_with_1011(
    app: App, log: LOG, caplog: pytest.LogCaptureFixture
) -> None:
    hooked(app, log)
    _, ws = opened(app, "/ws/a")
    ws.send("raise")
    assert ws.closed == (1011, "internal error")
    assert log == ["open a", "raise", "error on purpose", "close 1011 internal error"]
    assert "error in WebSocket handler 'talk'" in caplog.text
    assert "ValueError: on purpose" in caplog.text


def test_on_error_may_keep_the_websocket(app: App, log: LOG) -> None:
    hooked(app, log)
    _, ws = opened(app, "/ws/keep")
    ws.send("raise")
    ws.send("hello")
    assert (received(ws), ws.closed) == (["hello"], None)


def test_hooks_that_fail_are_logged_and_no_more(app: App, log: LOG, caplog: pytest.LogCaptureFixture) -> None:
    hooked(app, log)
    _, ws = opened(app, "/ws/fail")
    ws.send("raise")
    assert ws.closed == (1011, "internal error")
    assert "error in on_error of WebSocket handler 'talk'" in caplog.text


def test_to_send_after_the_close_is_the_end_of_a_handler_and_no_error(
    app: App, log: LOG, caplog: pytest.LogCaptureFixture
) -> None:
    hooked(app, log)
    _, ws = opened(app, "/ws/speak")
    ws.send("close")
    assert (received(ws), ws.closed) == ([], (4000, "bye"))
    assert log == ["open speak", "close", "close 4000 bye"]
    assert caplog.records == []


@pytest.mark.parametrize("reset", [False, True])
def test_a_peer_that_leaves_without_a_close_is_1006(app: App, log: LOG, reset: bool) -> None:
    hooked(app, log)
    _, ws = opened(app, "/ws/a")
    ws.drop(reset=reset)
    assert log == ["open a", "close 1006"]


def test_on_close_runs_once_and_the_socket_then_knows_its_code(app: App, log: LOG) -> None:
    sockets: list[WebSocket] = []

    @app.websocket("/ws")
    def talk(ws: WebSocket, message: str) -> None: ...

    @talk.on_open
    def on_open(ws: WebSocket) -> None:
        sockets.append(ws)
        log.append(ws.close_code)

    @talk.on_close
    def on_close(ws: WebSocket, code: int, reason: str) -> None:
        log.append(ws.close_code)

    client, ws = opened(app)
    assert app.websockets == sockets
    ws.close(3000)
    ws.drop()
    client.advance(60)
    assert log == [None, 3000]
    assert app.websockets == []
    with pytest.raises(WebSocketClosed) as caught:
        sockets[0].send("late")
    assert (caught.value.code, caught.value.by_peer) == (3000, True)
    with pytest.raises(WebSocketClosed):
        sockets[0].ping()
    sockets[0].close()


def test_both_ends_of_a_conversation_are_in_the_access_log(app: App, log: LOG) -> None:
    hooked(app, log)
    client = TestClient(app)
    entries: list[AccessEntry] = []
    client.world.site.access = entries.append
    ws = client.websocket("/ws/a")
    ws.send("hello")
    ws.send("raise")
    client.advance(2)
    entries = [entry._replace(request=None) for entry in entries]
    assert entries[0] == Answered("127.0.0.1", "GET", "/ws/a", 101, 0, 0.0)
    assert entries[1:] == [SocketClosed("127.0.0.1", "/ws/a", 1011, 0.0, 2, 1)]
