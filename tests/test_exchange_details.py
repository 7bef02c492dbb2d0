"""What an exchange says: to those whom it refuses, in the log with debug on, and of itself to whoever asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from server.line import Line
from wire import HANDSHAKE, ask, asked, body_of, handshake, message, statuses

from microsock import App, HTTPError, Pending, Request, WebSocket
from microsock.limits import Verdict
from microsock.rates import Rate
from microsock.testing import build_frame, read_frames

EXPECT = "Expect: 100-continue"


@pytest.fixture
def app() -> App:
    app = App()

    @app.get("/")
    def index(request: Request) -> str:
        return "index"

    @app.post("/small", max_body_size=3)
    def small(request: Request) -> bytes:
        return request.body

    @app.websocket("/ws", subprotocols=["v1"])
    def ws(ws: WebSocket, message: str) -> str:
        return f"{ws.subprotocol} {message}"

    return app


def tells_request(app: App) -> None:
    """Each error is answered by what its handler sees of the request."""

    @app.error
    def tell(request: Request, error: HTTPError) -> str:
        host, scheme = request.client.host, request.scheme
        return f"{error.status} {request.method!r} {request.raw_path!r} from {host} by {scheme}"


# Refusals.


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (ask("/small", method="POST", body=b"four"), "413 the body is larger than 3 bytes"),
        (ask("/ws"), "426 this is a WebSocket"),
        (ask("/ws", version="1.0"), "400 a WebSocket needs HTTP/1.1"),
        (handshake("/ws", "Content-Length: 1") + b"x", "400 a WebSocket handshake has no body"),
    ],
)
def test_who_is_refused_is_told_why(app: App, data: bytes, text: str) -> None:
    assert body_of(asked(app, data)[1].receive()) == text.encode() + b"\n"


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n", ask("/small", method="POST", body=b"123")[:-1]])
def test_who_takes_too_long_is_told_so(app: App, data: bytes) -> None:
    client, connection = asked(app, data)
    client.advance(100)
    answer = connection.receive()
    assert (statuses(answer), body_of(answer)) == ([408], b"408 the request did not come in time\n")
    assert connection.ended


@pytest.mark.parametrize(
    ("data", "seen"),
    [
        (ask("/small?a=b", method="POST", body=b"four"), "413 'POST' '/small'"),
        (ask("/ws", "Accept: */*"), "426 'GET' '/ws'"),
        (handshake("/ws", "Origin: http://evil.example"), "403 'GET' '/ws'"),
        # Of a request that could not be read there is nothing to see but where it came from.
        (b"\0", "400 '' ''"),
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_error_handler_sees_the_request_that_is_refused(app: App, data: bytes, seen: str, scheme: str) -> None:
    tells_request(app)
    line = Line(app, scheme)
    line.send(data)
    assert body_of(line.take()).decode() == f"{seen} from 1.2.3.4 by {scheme}"


@pytest.mark.parametrize("lines", [[], ["Connection: close"]])
def test_an_error_handler_sees_the_request_that_a_limit_refuses(app: App, lines: list[str]) -> None:
    tells_request(app)
    app.get("/once")(app.limit("1/minute")(lambda request: "x"))
    _, connection = asked(app, ask("/once"))
    connection.receive()
    connection.send(ask("/once", *lines))
    answer = connection.receive()
    assert b'\r\nRateLimit: "route";r=0;t=60\r\n' in answer
    assert body_of(answer) == b"429 'GET' '/once' from 127.0.0.1 by http"


class Liar:
    """A store that says that it answers promptly, and does not."""

    prompt, evicted = True, 0

    def hit(
        self, key: bytes, rate: Rate, done: Callable[[Verdict], None] | None = None, cost: int = 1
    ) -> Verdict | None:
        assert done is not None
        done(Verdict(True, 1, 60.0))
        return None


def test_a_prompt_store_that_answers_later_is_a_mistake_that_is_named(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    app.get("/once")(app.limit("1/minute")(lambda request: "x"))
    client, connection = asked(app, b"")
    client.world.site.limits = Liar()
    connection.send(ask("/once"))
    assert statuses(connection.receive()) == [500]
    assert "AssertionError: a store that answers promptly has answered later\n" in caplog.text


# What counts against which limit.


@pytest.mark.parametrize(
    ("data", "left"),
    [
        (ask("/both"), 4),
        (ask("/both", "Connection: close"), 4),
        (ask("/both", "Upgrade: h2c", "Connection: upgrade"), 4),
        (handshake("/both"), 8),
        (handshake("/http"), 6),
    ],
)
def test_a_handshake_counts_for_the_websocket_and_all_else_for_the_handler(data: bytes, left: int) -> None:
    app = App()
    app.get("/http")(app.limit("7/minute")(lambda request: "x"))
    app.get("/both")(app.limit("5/minute")(lambda request: "x"))

    @app.websocket("/both")
    @app.limit("9/minute")
    def both(ws: WebSocket, message: str) -> None: ...

    assert f'RateLimit: "route";r={left};t=60\r\n'.encode() in asked(app, data)[1].receive()


# The 101.

DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate"


@pytest.mark.parametrize(
    ("setting", "own", "agreed"),
    [
        (True, None, True), (False, None, False), (True, False, False), (False, True, True), (False, False, False),
        (True, True, True),
    ],
)  # fmt: skip
def test_a_routes_own_compression_is_stronger_than_the_setting(setting: bool, own: bool | None, agreed: bool) -> None:
    app = App()
    app.websocket("/ws", compression=own)(lambda ws, message: None)
    answer = asked(app, handshake("/ws", DEFLATE), compression=setting)[1].receive()
    assert statuses(answer) == [101]
    assert (DEFLATE.encode() in answer) is agreed


def test_the_101_has_the_lines_of_on_upgrade_and_of_the_limits() -> None:
    app = App()

    @app.websocket("/ws")
    @app.limit("5/minute")
    def ws(ws: WebSocket, message: str) -> None: ...

    @ws.on_upgrade
    def welcome(request: Request) -> dict[str, str]:
        return {"X-Welcome": "yes"}

    answer = asked(app, HANDSHAKE)[1].receive()
    for line in (b"X-Welcome: yes", b'RateLimit: "route";r=4;t=60'):
        assert b"\r\n" + line + b"\r\n" in answer


def payloads(raw: bytes) -> list[bytes]:
    return [bytes(frame.payload) for frame in read_frames(bytearray(raw))]


def test_a_handler_knows_the_subprotocol(app: App) -> None:
    _, connection = asked(app, handshake("/ws", "Sec-WebSocket-Protocol: v1") + message("speaks"))
    assert payloads(body_of(connection.receive())) == [b"v1 speaks"]


@pytest.mark.parametrize(
    ("leaving", "code", "reason"), [(False, 1001, b"the server is going away"), (True, 1012, b"the server restarts")]
)
def test_a_websocket_is_told_why_the_server_ends_it(app: App, leaving: bool, code: int, reason: bytes) -> None:
    client, connection = asked(app, HANDSHAKE)
    connection.receive()
    client.world.site.leaving = leaving
    client.world.drain()
    assert payloads(connection.receive()) == [code.to_bytes(2, "big") + reason]


# Turns.


def test_a_handler_of_the_thread_pool_answers(app: App) -> None:
    app.get("/pool", blocking=True)(lambda request: f"{request.raw_path} from the pool")
    with app.test_client() as client:
        assert client.get("/pool").text == "/pool from the pool"


def test_a_websocket_is_heard_until_more_than_64_kib_are_queued_for_it() -> None:
    app, seen = App(), list[str]()
    app.websocket("/ws")(lambda ws, message: seen.append(message))
    line = Line(app)
    line.send(HANDSHAKE)
    line.take()
    line.transport._capacity = 100
    line.connection.push(bytes(100 + (64 << 10)))
    assert line.connection.queued_bytes == 64 << 10
    line.send(message("at the mark"))
    line.connection.push(b"\x81\x00")
    line.send(message("past it"))
    assert seen == ["at the mark"]
    line.transport._capacity = 1 << 20
    line.go_on()
    assert seen == ["at the mark", "past it"]


def test_an_answer_is_forgotten_when_its_stream_is_over(app: App) -> None:
    tokens: list[Pending] = []

    @app.get("/stream")
    def stream(request: Request) -> Iterator[bytes]:
        yield from (bytes(1000) for _ in range(100))

    @app.get("/later")
    def later(request: Request) -> Pending:
        tokens.append(Pending())
        return tokens[-1]

    line = Line(app)
    for target in ("/stream", "/later"):
        line.send(ask(target))
        assert line.connection.about == ("" if target == "/stream" else "GET /later")
        assert statuses(line.take()) == ([200] if target == "/stream" else [])
    tokens[0].complete("at last")
    line.world.settle()
    assert line.connection.about == ""


def test_a_body_counts_as_held_until_its_request_is_answered(app: App) -> None:
    tokens: list[Pending] = []

    @app.post("/later")
    def later(request: Request) -> Pending:
        tokens.append(Pending())
        return tokens[-1]

    line = Line(app)
    line.send(ask("/later", method="POST", body=bytes(5000)))
    assert line.connection._exchange.held == 5000
    tokens[0].complete("done")
    line.world.settle()
    assert line.connection._exchange.held == 0


# The log with debug on.


def test_events_are_logged_by_who_sent_them(caplog: pytest.LogCaptureFixture) -> None:
    app = App(debug=True)
    app.websocket("/ws")(lambda ws, message: None)
    line = Line(app)
    with caplog.at_level("DEBUG", "microsock"):
        line.send(HANDSHAKE + message("é" * 4) + message(b"five!") + build_frame(9, b"ping") + build_frame(10, b"po"))
    assert "Address(host='1.2.3.4', port=5): RequestReceived(request=<Request GET /ws>)" in caplog.messages
    said = [text for text in caplog.messages if text.startswith("ws1: ")]
    assert said == [
        "ws1: MessageReceived(str of 4)", "ws1: MessageReceived(bytes of 5)", "ws1: PingReceived(4 bytes)",
        "ws1: PongReceived(2 bytes)",
    ]  # fmt: skip


def test_without_debug_no_event_is_logged_whatever_the_level(app: App, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG", "microsock"):
        answer: Any = asked(app, ask("/missing", "Connection: close, x"))[1].receive()
        assert statuses(answer) == [404]
        asked(app, handshake("/ws") + message("hello"))
    assert [text for text in caplog.messages if "Received" in text] == []
