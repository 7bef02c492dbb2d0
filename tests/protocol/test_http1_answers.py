"""Answers out. What comes in is in test_http1."""

from __future__ import annotations

import pytest

from microsock import LocalProtocolError
from microsock.protocol.events import RequestReceived, StreamEnded, Waiting

from .talk import DATE, Talk

HOST = b"Host: a\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"
HEAD = b"HEAD / HTTP/1.1\r\n" + HOST + b"\r\n"
OLD = b"GET / HTTP/1.0\r\n\r\n"
CLOSING = b"GET / HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
POST = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n"
CLOSE = b"Connection: close\r\n"
PLAIN = ("Content-Type", "text/plain")


def asked(data: bytes) -> Talk:
    talk = Talk()
    talk.feed(data)
    return talk


def test_a_whole_answer_gets_its_length_and_the_connection_stays() -> None:
    talk = asked(GET)
    talk.http.respond(200, [PLAIN], b"hello")
    assert talk.sent() == (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n" + DATE + b"Content-Length: 5\r\n\r\nhello"
    )
    assert talk.waits_for(Waiting.IDLE)


@pytest.mark.parametrize("status", [204, 304])
def test_204_and_304_have_neither_body_nor_length(status: int) -> None:
    talk = asked(GET)
    talk.http.respond(status, [("Content-Length", "5")], b"hello")
    head, _, body = talk.sent().partition(b"\r\n\r\n")
    assert b"Content-Length" not in head
    assert body == b""
    assert talk.waits_for(Waiting.IDLE)


def test_head_gets_the_headers_of_get_without_the_body() -> None:
    get, head = asked(GET), asked(HEAD)
    for talk in (get, head):
        talk.http.respond(200, [PLAIN], b"hello")
    assert get.sent() == head.sent() + b"hello"
    assert head.http.waiting is Waiting.IDLE


def test_head_may_name_a_length_of_a_body_that_was_not_made() -> None:
    for value, length in [("5", b"5"), ("0123456789" * 2, b"0"), ("five", b"0")]:
        talk = asked(HEAD)
        talk.http.respond(200, [("content-length", value)], b"")
        assert b"ontent-length: " + length in talk.sent().lower()


def test_what_the_app_says_about_framing_is_dropped() -> None:
    talk = asked(GET)
    lines = [
        ("Content-Length", "99"),
        ("TRANSFER-ENCODING", "gzip"),
        ("Date", "yesterday"),
        ("keep-alive", "5"),
    ]
    talk.http.respond(200, lines, b"hello")
    assert talk.sent() == b"HTTP/1.1 200 OK\r\n" + DATE + b"Content-Length: 5\r\n\r\nhello"


def test_a_connection_close_of_the_apps_closes() -> None:
    talk = asked(GET)
    talk.http.respond(200, [("Connection", "close")], b"")
    assert talk.waits_for(Waiting.NOTHING)


@pytest.mark.parametrize("data", [CLOSING, OLD, b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"])
def test_a_peer_that_wants_to_close_or_speaks_1_0_gets_connection_close(data: bytes) -> None:
    talk = asked(data + b"and more that nobody reads")
    talk.http.respond(200, [], b"hello")
    assert talk.sent().count(CLOSE) == 1
    assert talk.waits_for(Waiting.NOTHING)
    assert talk.events() == []


def test_the_last_answer_says_that_it_is() -> None:
    talk = asked(GET)
    talk.http.last_answer = True
    talk.http.respond(200, [("Connection", "keep-alive"), ("Connection", "close")], b"")
    assert talk.sent().count(b"Connection:") == 1
    assert talk.waits_for(Waiting.NOTHING)


def test_a_streamed_body_is_chunked() -> None:
    talk = asked(GET)
    talk.http.respond(200, [], None)
    talk.http.send_piece(b"hello")
    talk.http.send_piece(b"")
    talk.http.send_piece(b"you")
    talk.http.finish()
    assert talk.sent() == (
        b"HTTP/1.1 200 OK\r\n" + DATE + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3\r\nyou\r\n0\r\n\r\n"
    )
    assert talk.waits_for(Waiting.IDLE)


def test_a_streamed_body_with_a_length_is_not_chunked() -> None:
    talk = asked(GET)
    talk.http.respond(200, [("Content-Length", "5")], None)
    talk.http.send_piece(b"hello")
    talk.http.finish()
    assert talk.sent() == b"HTTP/1.1 200 OK\r\n" + DATE + b"Content-Length: 5\r\n\r\nhello"
    assert talk.waits_for(Waiting.IDLE)


def test_a_streamed_body_for_1_0_lasts_until_close() -> None:
    talk = asked(OLD)
    talk.http.respond(200, [], None)
    talk.http.send_piece(b"hello")
    talk.http.finish()
    assert talk.sent() == b"HTTP/1.1 200 OK\r\n" + DATE + CLOSE + b"\r\nhello"
    assert talk.waits_for(Waiting.NOTHING)


@pytest.mark.parametrize("piece", [b"hi", b"hello you"])
def test_a_streamed_body_of_another_length_than_announced_raises(piece: bytes) -> None:
    talk = asked(GET)
    talk.http.respond(200, [("Content-Length", "5")], None)
    with pytest.raises(LocalProtocolError):
        talk.http.send_piece(piece)
        talk.http.finish()


def test_an_abandoned_stream_has_no_last_chunk() -> None:
    talk = asked(GET)
    talk.http.respond(200, [], None)
    talk.http.send_piece(b"hello")
    talk.http.abandon()
    assert talk.sent().endswith(b"5\r\nhello\r\n")
    assert talk.waits_for(Waiting.NOTHING)


def test_100_continue_is_sent_once_the_body_is_admitted() -> None:
    talk = Talk()
    talk.feed(POST + b"Expect: 100-continue\r\n\r\n")
    assert talk.sent() == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert [type(event) for event in talk.feed(b"hello")] == [RequestReceived]
    talk.http.respond(200, [], b"")
    assert talk.sent().startswith(b"HTTP/1.1 200")
    assert talk.waits_for(Waiting.IDLE)


@pytest.mark.parametrize(
    "head",
    [
        b"POST / HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\nExpect: 100-continue\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: tea\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
    ],
)
def test_100_continue_is_not_sent_to_1_0_nor_for_a_body_that_is_refused_or_missing(head: bytes) -> None:
    talk = Talk()
    talk.feed(head)
    assert talk.sent() == b""


def test_an_answer_before_the_body_is_there_is_the_last() -> None:
    talk = Talk(body_limit=1000)
    talk.http.receive_data(POST + b"\r\nhe")
    talk.http.next_event()
    talk.http.respond(404, [], b"no")
    assert CLOSE in talk.sent()
    assert talk.waits_for(Waiting.NOTHING)


@pytest.mark.parametrize(
    "data",
    [
        b"\0",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
        POST + b"\r\nhe",
        b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nx\r\n",
        b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nno colon\r\n\r\n",
    ],
)
def test_what_could_not_be_read_is_answered_and_then_the_connection_closes(data: bytes) -> None:
    talk = asked(data)
    talk.feed(b"")
    talk.http.respond(400, [PLAIN], b"400 Bad Request\n")
    assert talk.sent() == (
        b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n" + DATE + b"Content-Length: 16\r\n" + CLOSE
        + b"\r\n400 Bad Request\n"
    )  # fmt: skip
    assert talk.waits_for(Waiting.NOTHING)


@pytest.mark.parametrize("fault", [b"Host: a\r\nHost: b\r\n", b"Host: a\r\nno colon\r\n"])
def test_a_refused_head_request_gets_no_body(fault: bytes) -> None:
    talk = asked(b"HEAD / HTTP/1.1\r\n" + fault + b"\r\n")
    talk.http.respond(400, [], b"400 Bad Request\n")
    assert talk.sent().endswith(b"\r\n\r\n")


def test_a_peer_that_has_ended_its_stream_still_gets_its_answer() -> None:
    talk = asked(GET)
    assert talk.feed(b"") == []
    talk.http.respond(200, [], b"hello")
    assert talk.sent().endswith(b"\r\n\r\nhello")
    assert talk.events() == [StreamEnded()]
    assert talk.waits_for(Waiting.NOTHING)


def test_the_reason_phrase_is_the_registered_one() -> None:
    for status, line in [(413, b"413 Content Too Large"), (299, b"299 Unknown"), (418, b"418 I'm a Teapot")]:
        talk = asked(GET)
        talk.http.respond(status, [], b"")
        assert talk.sent().startswith(b"HTTP/1.1 " + line + b"\r\n")


def test_a_switch_gives_back_what_came_behind_the_request() -> None:
    talk = asked(b"GET / HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\nframes")
    assert talk.http.switch([(b"Upgrade", b"websocket")]) == b"frames"
    assert talk.sent() == b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
    assert talk.waits_for(Waiting.NOTHING)


def test_a_refused_switch_keeps_the_connection_usable() -> None:
    talk = asked(b"GET / HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    talk.http.respond(403, [], b"")
    assert talk.waits_for(Waiting.IDLE)
    assert [type(event) for event in talk.feed(GET)] == [RequestReceived]
