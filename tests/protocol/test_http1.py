"""Requests in. What goes out is in test_http1_answers."""

from __future__ import annotations

import pytest

from microsock import LocalProtocolError
from microsock.protocol.events import RequestReceived, RequestRefused, RequestStarted, StreamEnded, Waiting
from microsock.protocol.scanner import Limits

from .cuts import cuts
from .talk import Talk

GET = b"GET /a?b=c HTTP/1.1\r\nHost: a:80\r\nX-A:  one \r\nX-A: two\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
SIZED = POST + b"Content-Length: 5\r\n\r\nhello"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


def test_a_request_arrives_with_all_that_its_head_says() -> None:
    talk = Talk()
    assert [type(event) for event in talk.feed(GET)] == [RequestReceived]
    request = talk.request
    assert request is not None
    assert (request.method, request.path, request.query_string, request.host) == ("GET", "/a", "b=c", "a:80")
    assert (request.http_version, request.scheme, request.client, request.body) == (
        "1.1",
        "http",
        ("127.0.0.1", 1),
        b"",
    )
    assert request.headers.items() == [("host", "a:80"), ("x-a", "one"), ("x-a", "two")]


@pytest.mark.parametrize("minor", "23456789")
@pytest.mark.parametrize("data", [GET, SIZED, CHUNKED + b"5\r\nhello\r\n0\r\n\r\n"])
def test_a_later_minor_version_is_served_as_1_1(minor: str, data: bytes) -> None:
    for pieces in cuts(data.replace(b"HTTP/1.1", b"HTTP/1." + minor.encode())):
        talk = Talk()
        events = [event for piece in pieces if piece for event in talk.feed(piece)]
        assert isinstance(events[-1], RequestReceived)
        assert talk.request is not None
        assert talk.request.http_version == "1.1"
    # It must name its host, as 1.1 must, and its connection stays.
    assert [type(event) for event in Talk().feed(b"GET / HTTP/1.2\r\n\r\n")] == [RequestRefused]


@pytest.mark.parametrize("data", [GET, SIZED, CHUNKED + b"2\r\nhe\r\n3\r\nllo\r\n0\r\nX-Late: 1\r\n\r\n"])
def test_a_request_arrives_the_same_however_it_is_cut(data: bytes) -> None:
    seen = set()
    for pieces in cuts(data):
        talk = Talk()
        events = [event for piece in pieces if piece for event in talk.feed(piece)]
        assert isinstance(events[-1], RequestReceived)
        request = events[-1].request
        seen.add((request.path, request.body, tuple(request.headers.items()), len(events), talk.http.buffered))
    assert len(seen) == 1


def test_trailers_are_never_merged_into_the_headers() -> None:
    talk = Talk()
    talk.feed(CHUNKED + b"0\r\nX-Late: 1\r\n\r\n")
    assert talk.request is not None
    assert "x-late" not in talk.request.headers


def test_a_request_with_a_body_starts_before_the_body_is_there() -> None:
    talk = Talk()
    events = talk.feed(SIZED[:-1])
    assert [type(event) for event in events] == [RequestStarted]
    assert talk.waits_for(Waiting.BODY)
    assert [type(event) for event in talk.feed(SIZED[-1:])] == [RequestReceived]
    assert talk.waits_for(Waiting.ANSWER)


REFUSED = [
    # What h11 lets through or judges by another status; the rows of each kind are in test_scanner and test_framing.
    (b"GET / HTTP/1.1\r\nHost: a\r\nA: b\nB: c\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nA b: c\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nA\xe4: c\r\n\r\n", 400),
    (b"GET foo HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    (b"GET / HTTP/0.0\r\n\r\n", 505),
    (b"GET / HTTP/9.9\r\n\r\n", 505),
    (b"\r\n" * 9 + GET, 400),
    (b"\r\n" * 8 + b"\r" + GET, 400),
    (b"\n" + GET, 400),
    (b" " + GET, 400),
    (POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400),
    (POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
    (POST + b"Content-Length: 5, 5\r\n\r\nhello", 400),
    (POST + b"Content-Length: " + b"1" * 23 + b"\r\n\r\n", 400),
    (POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
    (POST + b"Content-Length: 5\r\nExpect: tea\r\n\r\n", 417),
    (POST + b"Content-Length: 1001\r\n\r\n", 413),
    (CHUNKED + b"3e9\r\n", 413),
    (CHUNKED + b"5 \r\nhello\r\n", 400),
    (CHUNKED + b"0\r\nA: b\0\r\n\r\n", 400),
    (CHUNKED + b"0\r\nno colon\r\n\r\n", 400),
    (CHUNKED + b"5\r\nhello\r\n0\r\nA b: c\r\n\r\n", 400),
]


@pytest.mark.parametrize(("data", "status"), REFUSED)
def test_a_bad_request_gets_the_same_status_however_it_is_cut(data: bytes, status: int) -> None:
    assert {Talk().verdict(pieces) for pieces in cuts(data)} == {status}


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (GET[:-1], 400),
        (b"\r\n\r", -1),
        (SIZED[:-1], 400),
        (CHUNKED + b"5\r\nhello\r\n", 400),
        (CHUNKED + b"0\r\n", 400),
        (b"G", 400),
    ],
)
def test_the_end_of_the_stream_inside_a_request_is_refused(data: bytes, status: int) -> None:
    assert {Talk().verdict([*pieces, b""]) for pieces in cuts(data)} == {status}


@pytest.mark.parametrize("data", [b"", b"\r\n", b"\r"])
def test_the_end_of_the_stream_between_requests_is_just_the_end(data: bytes) -> None:
    talk = Talk()
    talk.feed(data) if data else None
    assert talk.feed(b"") == [StreamEnded()]
    assert (talk.http.waiting, talk.http.peer_ended) == (Waiting.NOTHING, True)


@pytest.mark.parametrize("before", [b"\r\n", b"\r\n" * 8])
def test_empty_lines_before_a_request_line_are_skipped(before: bytes) -> None:
    for pieces in cuts(before + GET):
        assert Talk().verdict(pieces) == 0


def test_half_an_empty_line_is_not_the_start_of_a_request() -> None:
    talk = Talk()
    assert talk.feed(b"\r") == []
    assert talk.waits_for(Waiting.IDLE)
    assert talk.feed(b"\nG") == []
    assert talk.waits_for(Waiting.HEAD)


def test_a_refusal_knows_its_request_as_far_as_it_was_read() -> None:
    talk = Talk()
    (refused,) = talk.feed(b"HEAD /a?b HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n")
    assert isinstance(refused, RequestRefused)
    assert refused.request is not None
    assert (refused.request.method, refused.request.path, refused.request.http_version) == ("HEAD", "/a", "1.0")
    (refused,) = Talk().feed(b"GET / HTTP/1.1\r\nA: \0")
    assert isinstance(refused, RequestRefused)
    assert refused.request is None


def test_the_peers_own_bytes_do_not_come_back_in_the_message() -> None:
    for line in (b"secret: \0\r\n", b"secret word\r\n", b"Host: secret/\r\n"):
        (refused,) = Talk().feed(b"GET /secret HTTP/1.1\r\nHost: a\r\n" + line + b"\r\n")
        assert isinstance(refused, RequestRefused)
        assert "secret" not in refused.message


def test_nothing_behind_a_request_is_parsed_while_its_answer_is_due() -> None:
    talk = Talk()
    events = talk.feed(GET + b"\0 anything at all")
    assert [type(event) for event in events] == [RequestReceived]
    assert talk.http.buffered == 17
    assert talk.feed(b"more") == []
    assert talk.http.buffered == 21
    talk.http.respond(200, [], b"")
    (refused,) = talk.events()
    assert isinstance(refused, RequestRefused)
    assert refused.status == 400


def test_pipelined_requests_come_one_by_one_as_they_are_answered() -> None:
    talk = Talk()
    data = GET + SIZED + b"\r\n" + CHUNKED + b"1\r\nx\r\n0\r\n\r\n"
    bodies = []
    events = talk.feed(data)
    while isinstance(events[-1], RequestReceived):
        bodies.append(events[-1].request.body)
        talk.http.respond(200, [], b"")
        events = talk.events() or [StreamEnded()]
    assert bodies == [b"", b"hello", b"x"]
    assert talk.sent().count(b"HTTP/1.1 200 OK\r\n") == 3
    assert talk.waits_for(Waiting.IDLE)


def test_the_empty_lines_between_requests_are_counted_anew() -> None:
    talk = Talk()
    for _ in range(3):
        assert [type(event) for event in talk.feed(b"\r\n" * 8 + GET)] == [RequestReceived]
        talk.http.respond(200, [], b"")


def test_the_limits_of_the_head_are_those_that_were_given() -> None:
    limits = Limits(line=64, head=128, headers=2)
    for data, status in [
        (b"GET /" + b"a" * 60 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"b" * 62 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA:\r\nB:\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA:\r\n\r\n", 0),
    ]:
        assert {Talk(limits=limits).verdict(pieces) for pieces in cuts(data)} == {status}


def test_only_a_request_that_has_started_can_be_admitted() -> None:
    with pytest.raises(LocalProtocolError, match="no request has started"):
        Talk().http.admit(1)
