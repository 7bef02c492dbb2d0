"""Requests to handlers. How an answer goes out is in test_answer; what an open WebSocket does, in test_conversation."""

from __future__ import annotations

from typing import Any

import pytest
from wire import HANDSHAKE, ask, asked, body_of, handshake, message, statuses

from microsock import App, HTTPError, Request, Response, WebSocket, abort
from microsock.testing import read_frames

EXPECT = "Expect: 100-continue"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.fixture
def app() -> App:
    app = App()

    @app.get("/")
    def index(request: Request) -> str:
        return "index"

    @app.post("/")
    def echo(request: Request) -> bytes:
        return request.body

    @app.post("/small", max_body_size=3)
    def small(request: Request) -> bytes:
        return request.body

    @app.get("/both")
    def both(request: Request) -> str:
        return "over HTTP"

    @app.websocket("/both")
    def both_ws(ws: WebSocket, message: str) -> str:
        return message

    @app.websocket("/ws", subprotocols=["v2", "v1"], origins=["https://friend.example"], max_message_size=50)
    def ws(ws: WebSocket, message: str) -> str:
        return message

    return app


def raw(app: App, data: bytes, **settings: Any) -> bytes:
    return asked(app, data, **settings)[1].receive()


def test_a_request_goes_to_its_handler(app: App) -> None:
    answers = raw(app, ask() + ask(method="POST", body=b"hello") + ask("/missing") + ask(method="PUT"))
    assert statuses(answers) == [200, 200, 404, 405]
    assert b"\r\n\r\nhelloHTTP" in answers


def test_the_handler_knows_its_app_and_the_last_one_asked_its_client(app: App) -> None:
    seen: list[Any] = []

    @app.get("/seen")
    def see(request: Request) -> str:
        seen.extend([request.app, request.client.host, request.scheme])
        return ""

    raw(app, ask("/seen"))
    assert seen == [app, "127.0.0.1", "http"]


# What is refused.


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\0", 400),
        (b"GET /" + b"a" * 9000, 414),
        (b"GET / HTTP/1.1\r\nA: " + b"b" * 9000, 431),
        (b"GET / HTTP/2.0\r\n\r\n", 505),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        (ask("/", "Transfer-Encoding: gzip, chunked", method="POST"), 501),
        (ask("/", "Expect: tea", method="POST", body=b"x"), 417),
        (ask("/small", method="POST", body=b"four"), 413),
        (ask("/small", "Transfer-Encoding: chunked", method="POST") + b"4\r\nfour\r\n", 413),
        (ask(method="POST", body=b"x" * 101), 413),
    ],
)
def test_what_is_refused_goes_through_error_and_on_response_and_closes(app: App, data: bytes, status: int) -> None:
    @app.error
    def sorry(request: Request, error: HTTPError) -> str:
        return f"sorry, {error.status}"

    @app.on_response
    def stamp(request: Request, response: Response) -> None:
        response.headers["X-Method"] = request.method or "none"

    _, connection = asked(app, data + ask(), max_body_size=100)
    answer = connection.receive()
    assert (statuses(answer), body_of(answer)) == ([status], b"sorry, %d" % status)
    assert b"X-Method: " in answer
    assert connection.ended


def test_a_handler_never_sees_a_body_that_ended_early(app: App) -> None:
    _, connection = asked(app, ask(method="POST", body=b"hello")[:-1])
    connection.half_close()
    assert statuses(connection.receive()) == [400]
    assert connection.closed


# Decided before the body is there.


def test_100_continue_is_sent_once_the_body_is_wanted(app: App) -> None:
    head, body = ask("/", EXPECT, method="POST", body=b"hello")[:-5], b"hello"
    _, connection = asked(app, head)
    assert connection.receive() == CONTINUE
    connection.send(body)
    assert body_of(connection.receive()) == b"hello"


@pytest.mark.parametrize(
    ("target", "method", "status"), [("/missing", "POST", 404), ("/", "PUT", 405), ("/small", "POST", 413)]
)
def test_a_body_that_nobody_wants_is_not_asked_for(app: App, target: str, method: str, status: int) -> None:
    _, connection = asked(app, ask(target, EXPECT, method=method, body=b"hello")[:-5])
    assert statuses(connection.receive()) == [status]
    assert connection.ended


def test_without_an_expectation_the_body_is_read_and_the_connection_stays(app: App) -> None:
    assert statuses(raw(app, ask("/missing", method="POST", body=b"hello") + ask())) == [404, 200]


def test_a_routes_own_body_size_is_stronger_than_the_setting(app: App) -> None:
    bodies = ask("/small", method="POST", body=b"abc") + ask(method="POST", body=b"abc")
    assert statuses(raw(app, bodies, max_body_size=2)) == [200, 413]


# Upgrades.


def test_a_handshake_is_answered_by_101(app: App) -> None:
    answer = raw(app, HANDSHAKE)
    assert statuses(answer) == [101]
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in answer
    assert b"Sec-WebSocket-Protocol" not in answer


def test_a_message_in_the_same_segment_as_the_handshake_is_answered(app: App) -> None:
    answer = raw(app, HANDSHAKE + message("early"))
    assert [frame.payload for frame in read_frames(bytearray(body_of(answer)))] == [b"early"]


def test_the_servers_preference_decides_on_the_subprotocol(app: App) -> None:
    answer = raw(app, handshake("/ws", "Sec-WebSocket-Protocol: v1, v3", "Sec-WebSocket-Protocol: v2"))
    assert b"Sec-WebSocket-Protocol: v2\r\n" in answer


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (ask("/ws"), 426),
        (ask("/ws", "Upgrade: h2c", "Connection: upgrade"), 426),
        (ask("/ws", method="POST"), 426),
        (ask("/ws", version="1.0"), 400),
        (ask("/ws", "Connection: Upgrade", "Upgrade: websocket", version="1.0"), 400),
        (ask("/ws", "Upgrade: websocket"), 400),
        (handshake().replace(b"GET", b"POST"), 400),
        (handshake().replace(b"Version: 13", b"Version: 8"), 426),
        (handshake().replace(b"dGhl", b"dGh"), 400),
        (handshake("/ws", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), 400),
        (handshake("/ws", "Sec-WebSocket-Protocol: a b"), 400),
        (handshake("/ws", "Origin: http://evil.example"), 403),
        (handshake("/ws", "Origin: null"), 403),
        (handshake("/ws", "Origin: http://a", "Origin: http://a"), 400),
        (handshake("/missing"), 404),
    ],
)
def test_a_handshake_that_is_refused_is_an_answer_like_any_other(app: App, data: bytes, status: int) -> None:
    @app.on_response
    def stamp(request: Request, response: Response) -> None:
        response.headers["X-Seen"] = "yes"

    answers = raw(app, data + (b"" if b"HTTP/1.0" in data else ask()))
    assert statuses(answers) == ([status] if b"HTTP/1.0" in data else [status, 200])
    assert answers.count(b"X-Seen: yes\r\n") == len(statuses(answers))


def test_426_names_what_to_ask_for(app: App) -> None:
    answer = raw(app, ask("/ws"))
    for line in (b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Version: 13"):
        assert b"\r\n" + line + b"\r\n" in answer


@pytest.mark.parametrize("origin", ["https://friend.example", "http://localhost"])
def test_pages_of_the_same_host_and_listed_ones_are_let_in(app: App, origin: str) -> None:
    assert statuses(raw(app, handshake("/ws", "Origin: " + origin))) == [101]


def test_a_path_can_be_both(app: App) -> None:
    assert body_of(raw(app, ask("/both"))) == b"over HTTP"
    assert statuses(raw(app, handshake("/both"))) == [101]
    old = ask("/both", "Connection: Upgrade", "Upgrade: websocket", version="1.0")
    assert body_of(raw(app, old)) == b"over HTTP"


def test_an_upgrade_of_a_path_without_websocket_is_served_over_http(app: App) -> None:
    assert body_of(raw(app, handshake("/"))) == b"index"


def test_websockets_can_be_switched_off(app: App) -> None:
    assert statuses(raw(app, HANDSHAKE + ask("/ws") + handshake("/both"), websocket=False)) == [404, 404, 200]


def test_a_handshake_with_a_body_is_refused(app: App) -> None:
    data = handshake("/ws", "Content-Length: 5") + b"hello"
    assert statuses(raw(app, data)) == [400]


class Doors:
    """An app whose ``on_upgrade`` does as the path says."""

    def __init__(self) -> None:
        self.app = App()
        self.opened: list[Any] = []

        @self.app.websocket("/doors/{what}")
        def door(ws: WebSocket, message: str, what: str) -> None:
            self.opened.append((ws.params, ws.state.by))

        @door.on_upgrade
        def check(request: Request, what: str) -> None:
            request.state.by = request.params["what"]
            if what == "abort":
                abort(401, "who are you?")
            if what == "raise":
                raise ValueError("on purpose")


def test_on_upgrade_runs_before_the_101_and_hands_over_its_state() -> None:
    doors = Doors()
    assert statuses(raw(doors.app, handshake("/doors/open") + message())) == [101]
    assert doors.opened == [({"what": "open"}, "open")]


@pytest.mark.parametrize(("what", "status"), [("abort", 401), ("raise", 500)])
def test_on_upgrade_may_refuse(what: str, status: int, caplog: pytest.LogCaptureFixture) -> None:
    doors = Doors()
    answers = raw(doors.app, handshake("/doors/" + what) + ask("/missing"))
    assert statuses(answers) == [status, 404]
    assert doors.opened == []
    assert ("on purpose" in caplog.text) is (what == "raise")


# Ends.


def test_a_request_is_answered_though_its_client_half_closed(app: App) -> None:
    _, connection = asked(app, b"")
    connection.send(ask() + ask())
    connection.half_close()
    assert statuses(connection.receive()) == [200, 200]
    assert connection.closed


def test_what_comes_behind_connection_close_is_ignored(app: App) -> None:
    _, connection = asked(app, ask("/", "Connection: close") + ask())
    connection.send(ask())
    assert statuses(connection.receive()) == [200]
    connection.half_close()
    assert (connection.closed, connection.was_reset) == (True, False)


def test_an_early_413_reaches_the_client_that_goes_on_sending(app: App) -> None:
    client, connection = asked(app, ask("/small", method="POST", body=bytes(1 << 20)))
    assert statuses(connection.receive()) == [413]
    assert connection.ended
    assert not connection.closed
    connection.send(bytes(1 << 20))
    client.advance(1)
    assert (connection.closed, connection.was_reset) == (True, False)


def test_a_websocket_that_opens_while_the_site_drains_is_told_at_once(app: App) -> None:
    client, connection = asked(app, b"")
    client.world.drain()
    connection.send(HANDSHAKE)
    answer = connection.receive()
    assert statuses(answer) == [101]
    (frame,) = read_frames(bytearray(body_of(answer)))
    assert frame.payload.startswith((1001).to_bytes(2, "big"))


def test_with_debug_on_the_protocols_events_are_logged_without_what_messages_say(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App(debug=True)

    @app.websocket("/echo")
    def echo(ws: WebSocket, message: str) -> str:
        return message

    with caplog.at_level("DEBUG", "microsock"), app.test_client() as client:
        with client.websocket("/echo") as ws:
            ws.send("my secret")
            assert ws.receive() == "my secret"
        assert [client.get("/missing").status_code for _ in range(2)] == [404, 404]
        client.raw(b"nonsense\r\n")
    assert caplog.text.count("RequestReceived") == 3
    assert "MessageReceived(str of 9)" in caplog.text
    assert "CloseReceived" in caplog.text
    assert "RequestRefused" in caplog.text
    assert "secret" not in caplog.text
