"""The client's end of a WebSocket."""

from __future__ import annotations

from typing import Any

import pytest

from microsock import App, RemoteProtocolError, Request, WebSocket, WebSocketClosed, abort, sleep
from microsock.testing import StillWaiting, TestClient, WebSocketRefused, build_frame


def test_messages_go_both_ways_in_their_own_kind(client: TestClient) -> None:
    with client.websocket("/ws") as ws:
        ws.send("text")
        ws.send(b"bytes")
        ws.send({"a": [1]})
        assert [ws.receive(), ws.receive(), ws.receive()] == ["text", b"bytes", '{"a":[1]}']
        assert ws.closed is None
    assert ws.closed == (1000, "")


def test_the_handshake_carries_what_a_browsers_would(app: App) -> None:
    @app.websocket("/who", origins=["https://friend.example"], subprotocols=["chat"])
    def who(ws: WebSocket) -> Any:
        ws.send([ws.request.headers.get("origin"), ws.request.headers["x-a"], ws.request.args["q"], ws.subprotocol])
        yield from ws.receive()

    with (
        app.test_client() as client,
        client.websocket(
            "/who",
            origin="https://friend.example",
            subprotocols=("v2", "chat"),
            headers={"X-A": "1"},
            params={"q": "2"},
        ) as ws,
    ):
        assert ws.receive() == '["https://friend.example","1","2","chat"]'
        assert ws.subprotocol == "chat"
        assert ws.response.status_code == 101


def test_a_refused_handshake_raises_with_the_answer(app: App) -> None:
    @app.websocket("/private")
    def private(ws: WebSocket, message: str) -> None: ...

    @private.on_upgrade
    def check(request: Request) -> None:
        abort(401, "who are you?")

    with app.test_client() as client:
        with pytest.raises(WebSocketRefused, match="401 Unauthorized") as caught:
            client.websocket("/private")
        assert caught.value.response.status_code == 401
        assert "who are you?" in caught.value.response.text


def test_receive_fails_at_once_when_nothing_can_arrive(app: App) -> None:
    @app.websocket("/slow")
    def slow(ws: WebSocket) -> Any:
        yield from sleep(3)
        ws.send("now")

    with app.test_client() as client, client.websocket("/slow") as ws:
        with pytest.raises(StillWaiting, match="no message can arrive"):
            ws.receive()
        client.advance(3)
        assert ws.receive() == "now"
        with pytest.raises(WebSocketClosed) as caught:
            ws.receive()
        assert (caught.value.code, caught.value.by_peer) == (1000, True)


def test_close_gives_code_and_reason_to_the_server_and_gets_its_answer(app: App) -> None:
    seen: list[tuple[int, str]] = []

    @app.websocket("/bye")
    def bye(ws: WebSocket, message: str) -> None: ...

    @bye.on_close
    def closed(ws: WebSocket, code: int, reason: str) -> None:
        seen.append((code, reason))

    with app.test_client() as client:
        ws = client.websocket("/bye")
        ws.close(3001, "enough")
        ws.close(3002)
        assert seen == [(3001, "enough")]
        assert ws.closed is not None
        assert ws.closed[0] == 3001
        with pytest.raises(WebSocketClosed) as caught:
            ws.send("more")
        assert caught.value.by_peer is False
        ws.drop()
        client.websocket("/bye").drop(reset=True)
        assert seen == [(3001, "enough"), (1006, "")]


def test_a_server_that_closes_is_answered_and_what_it_sent_before_is_received(app: App) -> None:
    @app.websocket("/kick")
    def kick(ws: WebSocket, message: str) -> None:
        ws.send("one")
        ws.close(4000, "out")

    with app.test_client() as client, client.websocket("/kick") as ws:
        ws.send("x")
        assert ws.closed == (4000, "out")
        assert ws.receive() == "one"
        with pytest.raises(WebSocketClosed, match="4000 out"):
            ws.receive()
    assert "#1 client > close 4000" in client.transcript()


def test_pings_are_answered_while_time_passes(client: TestClient) -> None:
    with client.websocket("/ws") as ws:
        client.advance(300)
        assert ws.closed is None


def test_a_client_that_is_paused_answers_no_pings(client: TestClient) -> None:
    with client.websocket("/ws") as ws:
        ws.pause()
        ws.send("x")
        with pytest.raises(StillWaiting, match="paused"):
            ws.receive()
        ws.resume()
        assert ws.receive() == "x"
        ws.pause()
        client.advance(300)
        ws.resume()
        assert ws.closed == (1006, "")
        with pytest.raises(WebSocketClosed, match="1006"):
            ws.send("to nobody")


def test_a_client_that_does_not_receive_stops_reading_at_last(app: App) -> None:
    sent: list[int] = []

    @app.websocket("/flood")
    def flood(ws: WebSocket) -> Any:
        while True:
            ws.send(bytes(100_000))
            sent.append(1)
            yield from ws.flushed()

    with app.test_client() as client, client.websocket("/flood") as ws:
        before = len(sent)
        assert 40 < before < 60
        assert {len(ws.receive()) for _ in range(10)} == {100_000}
        assert len(sent) > before


def test_any_frame_can_be_sent(client: TestClient) -> None:
    with client.websocket("/ws") as ws:
        ws.send_frame(opcode=1, payload="in ", fin=False)
        ws.send_frame(opcode=9, payload=b"between")
        ws.send_frame(opcode=0, payload="parts")
        assert ws.receive() == "in parts"
        assert ws.pongs == [b"between"]
        ws.send_frame(build_frame(1, "unmasked", mask=None))
        assert ws.closed is not None
        assert ws.closed[0] == 1002


def test_a_message_in_the_handshakes_own_segment_is_received(app: App) -> None:
    @app.websocket("/hello")
    def hello(ws: WebSocket, message: str) -> None: ...

    @hello.on_open
    def opened(ws: WebSocket) -> None:
        ws.send("welcome")

    with app.test_client() as client, client.websocket("/hello") as ws:
        assert ws.receive() == "welcome"


@pytest.mark.parametrize(
    ("bytes_of_the_server", "complaint"),
    [
        (build_frame(1, "masked"), "broke the WebSocket protocol"),
        (build_frame(8, b"\x03\xe8", mask=None) + build_frame(1, "late", mask=None), "behind its Close"),
        (build_frame(8, b"\x03\xe8", mask=None), "behind its Close"),  # and a second one, in answer to ours
    ],
)
def test_a_server_that_breaks_the_protocol_fails_the_test(
    client: TestClient, bytes_of_the_server: bytes, complaint: str
) -> None:
    ws = client.websocket("/ws")
    ws._connection.wire.transport.send(bytes_of_the_server)
    with pytest.raises(RemoteProtocolError, match=complaint):
        ws.receive()


def test_a_wrong_accept_key_fails_the_test(client: TestClient) -> None:
    ws = client.websocket("/ws")
    ws.response.headers["Sec-WebSocket-Accept"] = "wrong"
    with pytest.raises(RemoteProtocolError, match="Sec-WebSocket-Accept"):
        type(ws)(ws._connection, ws.response)
