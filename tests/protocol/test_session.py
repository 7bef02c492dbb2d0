from __future__ import annotations

import pytest

from microsock.protocol.events import (
    CloseReceived,
    MessageReceived,
    RequestReceived,
    RequestRefused,
    RequestStarted,
    Waiting,
)
from microsock.protocol.frames import Frames
from microsock.protocol.http1 import Peer
from microsock.protocol.session import Session
from microsock.request import Address
from microsock.settings import resolve
from microsock.testing import build_frame

HANDSHAKE = (
    b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
)


def begin(**settings: object) -> Session:
    return Session(Peer(Address("127.0.0.1", 1), "https"), resolve(settings), lambda: b"now")


def upgraded(behind: bytes = b"", *, subprotocol: str | None = None, size: int | None = None) -> tuple[Session, Frames]:
    session = begin(max_message_size=100)
    session.receive_data(HANDSHAKE + behind)
    event = session.next_event()
    assert isinstance(event, RequestReceived)
    return session, session.accept(event.request, [(b"X-A", b"1")], subprotocol, size, compression=False)


def sent(session: Session) -> bytes:
    return b"".join(session.data_to_send())


def test_it_speaks_http_first() -> None:
    session = begin()
    assert (session.waiting, session.peer_ended) == (Waiting.IDLE, False)
    session.receive_data(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nmore")
    event = session.next_event()
    assert isinstance(event, RequestReceived)
    assert (event.request.scheme, event.request.client.host) == ("https", "127.0.0.1")
    assert (session.waiting, session.buffered) == (Waiting.ANSWER, 4)
    session.http.respond(200, [], b"hello")
    assert sent(session).endswith(b"\r\n\r\nhello")


def test_the_settings_are_the_limits_of_a_head() -> None:
    session = begin(max_line_bytes=64)
    session.receive_data(b"GET /" + b"a" * 64)
    event = session.next_event()
    assert isinstance(event, RequestRefused)
    assert event.status == 414


def test_a_body_waits_to_be_admitted() -> None:
    session = begin()
    session.receive_data(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
    assert isinstance(session.next_event(), RequestStarted)
    assert session.next_event() is None
    assert session.http.admit(1) is None
    assert isinstance(session.next_event(), RequestReceived)


def test_after_the_101_it_speaks_websocket() -> None:
    session, frames = upgraded()
    assert sent(session) == SWITCHED + b"X-A: 1\r\n\r\n"
    assert (session.waiting, session.websocket) == (Waiting.MESSAGE, frames)
    session.receive_data(build_frame(payload="hi"))
    assert session.next_event() == MessageReceived("hi")
    frames.send_message("hello")
    assert sent(session) == b"\x81\x05hello"


def test_the_101_names_the_subprotocol() -> None:
    session, _ = upgraded(subprotocol="chat")
    assert sent(session) == SWITCHED + b"Sec-WebSocket-Protocol: chat\r\nX-A: 1\r\n\r\n"


def test_frames_that_came_with_the_handshake_are_the_first() -> None:
    session, _ = upgraded(build_frame(payload="early") + build_frame(payload="bird")[:-1])
    assert session.next_event() == MessageReceived("early")
    session.receive_data(build_frame(payload="bird")[-1:])
    assert session.next_event() == MessageReceived("bird")


def test_a_stream_that_ended_behind_the_handshake_has_ended_for_the_frames_too() -> None:
    session = begin()
    session.receive_data(HANDSHAKE)
    session.receive_data(b"")
    event = session.next_event()
    assert isinstance(event, RequestReceived)
    session.accept(event.request, [], None, None, compression=False)
    assert session.peer_ended
    assert session.next_event() is not None
    assert session.waiting is Waiting.NOTHING


@pytest.mark.parametrize(("size", "most"), [(None, 100), (10, 10)])
def test_a_routes_own_message_size_is_stronger_than_the_setting(size: int | None, most: int) -> None:
    session, _ = upgraded(build_frame(payload="x" * most) + build_frame(payload="x" * (most + 1)), size=size)
    assert session.next_event() == MessageReceived("x" * most)
    event = session.next_event()
    assert isinstance(event, CloseReceived)
    assert event.code == 1009
