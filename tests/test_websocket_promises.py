"""Rows D 45 to 48 of the feature table, each under its promise; and what `on_upgrade` may say."""

from __future__ import annotations

import zlib
from typing import Any

import pytest
from wire import ask, asked, body_of, handshake, statuses

from microsock import App, Request, Waiting, WebSocket, WebSocketClosed, abort
from microsock.testing import WebSocketRefused, build_frame
from microsock.testing.frames import BINARY, CONTINUATION, PING, TEXT


class Talk:
    """An app with both shapes of handlers, and what its hooks were told."""

    def __init__(self, **settings: object) -> None:
        self.app = App(**settings)
        self.notes: list[object] = []
        self.lines: Any = None

        @self.app.websocket("/chat/{room}", max_message_size=100)
        def chat(ws: WebSocket, message: str, room: str) -> str | None:
            if message == "fail":
                raise ValueError("on purpose")
            return f"{room}: {message}"

        @chat.on_upgrade
        def admit(request: Request, room: str) -> Any:
            if room == "secret":
                abort(403, "members only")
            return self.lines

        @chat.on_open
        def opened(ws: WebSocket, room: str) -> None:
            self.notes.append(("open", room))

        @chat.on_close
        def closed(ws: WebSocket, code: int, reason: str) -> None:
            self.notes.append(("close", code, reason))

        @chat.on_error
        def failed(ws: WebSocket, error: Exception) -> bool:
            self.notes.append(("error", str(error)))
            return True

        @self.app.websocket("/quiz")
        def quiz(ws: WebSocket) -> Waiting[None]:
            ws.send("your name?")
            try:
                ws.send(f"hello {(yield from ws.text())}")
                yield from ws.receive()
            except WebSocketClosed as end:
                self.notes.append(("left", end.code, end.by_peer))

        @self.app.websocket("/deflate", compression=True, max_message_size=10_000)
        def deflate(ws: WebSocket, message: str | bytes) -> str | bytes:
            return message

        @deflate.on_open
        def joined(ws: WebSocket) -> None:
            ws.subscribe("all")


@pytest.fixture
def talk() -> Talk:
    return Talk()


# 45: websocket(true) | @app.websocket(rule); App(websocket=False)/--no-websocket turns it off.


def test_row_45_a_websocket_route_opens_and_stays_open(talk: Talk) -> None:
    with talk.app.test_client() as client, client.websocket("/chat/a") as ws:
        assert ws.response.status_code == 101
        client.advance(3600)
        ws.send("still here")
        assert ws.receive() == "a: still here"


def test_row_45_websockets_can_be_turned_off() -> None:
    for settings in ({"websocket": False}, {}):
        talk = Talk(**settings)
        options = {} if settings else {"websocket": False}
        with talk.app.test_client(**options) as client:
            with pytest.raises(WebSocketRefused) as refused:
                client.websocket("/chat/a")
            assert refused.value.response.status_code == 404
    assert talk.notes == []


# 46: (message, payload) | a function per message, or a generator per connection; on_open, on_close, on_error.


def test_row_46_a_function_is_called_for_each_message(talk: Talk) -> None:
    with talk.app.test_client() as client, client.websocket("/chat/a") as ws:
        for text in ("one", "two"):
            ws.send(text)
        assert [ws.receive(), ws.receive()] == ["a: one", "a: two"]


def test_row_46_a_generator_is_run_once_for_each_connection(talk: Talk) -> None:
    with talk.app.test_client() as client:
        first, second = client.websocket("/quiz"), client.websocket("/quiz")
        second.send("bob")
        first.send("ann")
        assert [first.receive(), first.receive()] == ["your name?", "hello ann"]
        assert [second.receive(), second.receive()] == ["your name?", "hello bob"]
        first.close(4000)
        assert talk.notes == [("left", 4000, True)]


def test_row_46_hooks_are_told_of_the_opening_of_errors_and_of_the_end(talk: Talk) -> None:
    with talk.app.test_client() as client:
        ws = client.websocket("/chat/a")
        ws.send("fail")
        ws.send("goes on")
        assert ws.receive() == "a: goes on"
        ws.close(1000, "bye")
        assert talk.notes == [("open", "a"), ("error", "on purpose"), ("close", 1000, "bye")]


# 47: clean close, origins (same host by default), max_message_size, heartbeat, close timeout, deflate bounded.


def test_row_47_a_close_is_answered_with_its_code_and_the_connection_ends(talk: Talk) -> None:
    _, connection = asked(talk.app, handshake("/chat/a") + build_frame(8, b"\x03\xe8bye"))
    assert body_of(connection.receive()) == b"\x88\x05\x03\xe8bye"
    assert connection.ended


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://testserver", 101), ("http://evil.example", 403), ("http://testserver:81", 403), ("null", 403)],
)
def test_row_47_only_pages_of_the_same_host_may_connect(talk: Talk, origin: str, status: int) -> None:
    with talk.app.test_client() as client:
        if status == 101:
            client.websocket("/chat/a", origin=origin).close()
        else:
            with pytest.raises(WebSocketRefused) as refused:
                client.websocket("/chat/a", origin=origin)
            assert refused.value.response.status_code == status


def test_row_47_a_message_that_is_too_large_closes_with_1009_at_its_header(talk: Talk) -> None:
    with talk.app.test_client() as client:
        ws = client.websocket("/chat/a")
        ws.send_frame(opcode=TEXT, payload="", length=101)
        assert ws.closed == (1009, "message over 100 bytes")


def test_row_47_a_heartbeat_finds_out_who_is_gone(talk: Talk) -> None:
    with talk.app.test_client(ping_interval=20, ping_timeout=20) as client:
        alive, hung = client.websocket("/chat/a"), client.websocket("/chat/a")
        hung.pause()
        client.advance(41)
        assert talk.notes[-1] == ("close", 1006, "")
        alive.send("here")
        assert alive.receive() == "a: here"


def test_row_47_a_peer_that_does_not_answer_our_close_is_cut(talk: Talk) -> None:
    client, connection = asked(talk.app, handshake("/chat/a"), close_timeout=5)
    client.drain()
    client.advance(4.9)
    assert not connection.closed
    client.advance(0.2)
    assert connection.closed


def test_row_47_compression_is_agreed_on_where_the_route_allows_it(talk: Talk) -> None:
    with talk.app.test_client() as client:
        with client.websocket("/deflate", compression=True) as ws:
            assert ws.compression is not None
            assert ws.compression.startswith("permessage-deflate")
            for text in ("the same words " * 20, b"\x00" * 500):
                ws.send(text)
                assert ws.receive() == text
                assert ws.frames[-1].rsv == 4
                assert len(ws.frames[-1].payload) < 60
        with client.websocket("/chat/a", compression=True) as ws:
            assert ws.compression is None
        with client.websocket("/deflate") as ws:
            assert ws.compression is None
            ws.send("x" * 500)
            assert ws.receive() == "x" * 500


@pytest.mark.parametrize("offer", ["permessage-deflate; client_no_context_takeover; server_no_context_takeover", True])
def test_row_47_compressed_messages_come_in_fragments_with_pings_between_them(talk: Talk, offer: str | bool) -> None:
    with talk.app.test_client() as client, client.websocket("/deflate", compression=offer) as ws:
        for _ in range(2):
            ws.send_parts("one " * 50, "two " * 50, "three")
            assert ws.receive() == "one " * 50 + "two " * 50 + "three"
        compressor = zlib.compressobj(wbits=-9)
        payload = compressor.compress(b"hello " * 50) + compressor.flush(zlib.Z_SYNC_FLUSH)[:-4]
        if offer is not True:
            ws.send_frame(opcode=TEXT, payload=payload[:3], fin=False, rsv=4)
            ws.send_frame(opcode=PING, payload=b"between")
            ws.send_frame(opcode=CONTINUATION, payload=payload[3:])
            assert ws.pongs == [b"between"]
            assert ws.receive() == "hello " * 50


def test_row_47_a_compressed_bomb_closes_with_1009(talk: Talk) -> None:
    with talk.app.test_client() as client:
        ws = client.websocket("/deflate", compression=True)
        compressor = zlib.compressobj(wbits=-15)
        payload = compressor.compress(bytes(5_000_000)) + compressor.flush(zlib.Z_SYNC_FLUSH)[:-4]
        ws.send_frame(opcode=BINARY, payload=payload, rsv=4)
        assert ws.closed == (1009, "message over 10000 bytes")


def test_row_47_what_is_published_goes_uncompressed_to_all_and_breaks_no_context(talk: Talk) -> None:
    text = "the same words " * 20
    client = talk.app.test_client()
    one, two = client.websocket("/deflate", compression=True), client.websocket("/deflate")
    for _ in range(3):
        one.send(text)
        assert one.receive() == text
        assert one.frames[-1].rsv == 4
        talk.app.publish("all", text)
        assert (one.receive(), two.receive()) == (text, text)
        assert one.frames[-1].rsv == 0
        assert one.frames[-1] == two.frames[-1]
    client.close()


# 48: missing key | 400 INVALID_WS_KEY; 426 with Sec-WebSocket-Version: 13.


@pytest.mark.parametrize("key", [None, "", "short", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZXM="])
def test_row_48_a_missing_or_wrong_key_is_a_400(talk: Talk, key: str | None) -> None:
    types: list[str] = []

    @talk.app.error(400)
    def bad(request: Request, error: Any) -> dict[str, str]:
        types.append(error.type)
        return {"type": error.type}

    lines = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
    lines += [] if key is None else [f"Sec-WebSocket-Key: {key}"]
    _, connection = asked(talk.app, ask("/chat/a", *lines))
    raw = connection.receive()
    assert (statuses(raw), body_of(raw)) == ([400], b'{"type":"INVALID_WS_KEY"}')
    assert types == ["INVALID_WS_KEY"]


@pytest.mark.parametrize("version", ["8", "14", ""])
def test_row_48_another_version_is_a_426_that_names_ours(talk: Talk, version: str) -> None:
    raw_handshake = handshake("/chat/a").replace(b"Version: 13", b"Version: " + version.encode())
    _, connection = asked(talk.app, raw_handshake)
    raw = connection.receive()
    assert statuses(raw) == [426]
    assert b"\r\nSec-WebSocket-Version: 13\r\n" in raw


# What on_upgrade may say.


@pytest.mark.parametrize("lines", [{"X-A": "1", "Set-Cookie": "a=1"}, [("X-A", "1"), ("Set-Cookie", "a=1")]])
def test_on_upgrade_adds_header_lines_to_the_101(talk: Talk, lines: Any) -> None:
    talk.lines = lines
    with talk.app.test_client() as client, client.websocket("/chat/a") as ws:
        assert ws.response.headers["X-A"] == "1"
        assert client.cookies["a"] == "1"


def test_on_upgrade_may_refuse(talk: Talk) -> None:
    with talk.app.test_client() as client:
        with pytest.raises(WebSocketRefused) as refused:
            client.websocket("/chat/secret")
        assert (refused.value.response.status_code, refused.value.response.text) == (403, "403 members only\n")
    assert talk.notes == []


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ({"Sec-WebSocket-Protocol": "x"}, "a line Sec-WebSocket-Protocol: that belongs to the handshake"),
        ([("upgrade", "h2c")], "a line upgrade: that belongs to the handshake"),
        ({"Connection": "close"}, "a line Connection: that belongs"),
        ({"Content-Length": "0"}, "a line Content-Length: that belongs"),
        ({"X-A": "1\r\nX-B: 2"}, "in its value"),
        ({"X A": "1"}, "is not a token"),
        ({"X-A": 5}, "a str is expected"),
        ("X-A: 1", "returned 'X-A: 1'; return None, or header lines"),
        (True, "returned True; return None, or header lines"),
    ],
)
def test_a_line_that_cannot_be_added_is_a_500_and_no_websocket(
    talk: Talk, lines: Any, complaint: str, caplog: pytest.LogCaptureFixture
) -> None:
    talk.lines = lines
    with talk.app.test_client() as client:
        with pytest.raises(WebSocketRefused) as refused:
            client.websocket("/chat/a")
        assert refused.value.response.status_code == 500
    assert complaint in caplog.text
    assert talk.notes == []
