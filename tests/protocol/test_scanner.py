from __future__ import annotations

import pytest

from microsock import RemoteProtocolError
from microsock.protocol.scanner import ChunkedBody, HeadScanner, Limits

from .cuts import cuts

LIMITS = Limits(line=100, head=300, headers=4)
BODY_LIMIT = 1000


def scan(pieces: list[bytes], limits: Limits = LIMITS) -> int | None:
    """The length of the head (None while it is incomplete), or minus the status it is refused with."""
    scanner, buffer = HeadScanner(limits), bytearray()
    for piece in pieces:
        buffer += piece
        try:
            if (length := scanner.feed(buffer)) is not None:
                return length
        except RemoteProtocolError as error:
            return -error.status
    return None


def dechunk(pieces: list[bytes], limit: int = BODY_LIMIT) -> tuple[bytes, bytes | None, bytes] | int:
    """Payload, trailers and what is left behind them; or the status that the body is refused with."""
    body, buffer, payload = ChunkedBody(limit), bytearray(), bytearray()
    for piece in pieces:
        buffer += piece
        try:
            if body.trailers is None:
                payload += body.feed(buffer)
        except RemoteProtocolError as error:
            return error.status
    return bytes(payload), body.trailers, bytes(buffer)


LINE = b"GET / HTTP/1.1\r\n"


@pytest.mark.parametrize(
    "head",
    [
        LINE + b"\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        LINE + b"Host: a\r\n\r\n",
        LINE + b"A:\tb\xff\r\n\r\n",
        b"!#$%&'*+-.^_`|~09azAZ * HTTP/1.1\r\n\r\n",
        LINE + b"A: b\r\n" * 4 + b"\r\n",
        LINE + b"A: " + b"b" * 97 + b"\r\n\r\n",
        b"GET /" + b"a" * 86 + b" HTTP/1.1\r\n\r\n",
        LINE + (b"A: " + b"b" * 90 + b"\r\n") * 2 + b"A: " + b"b" * 87 + b"\r\n\r\n",
    ],
)
def test_a_head_ends_behind_its_blank_line_however_it_is_cut(head: bytes) -> None:
    for pieces in cuts(head):
        assert scan(pieces) == len(head)
    assert scan([head + b"what comes behind\0\n"]) == len(head)


@pytest.mark.parametrize("head", [b"", b"G", b"GET / HTTP/1.1", LINE, LINE + b"A: b\r", LINE + b"A: b\r\n\r"])
def test_an_incomplete_head_waits_for_more(head: bytes) -> None:
    for pieces in cuts(head):
        assert scan(pieces) is None


REFUSED_HEADS = [
    # Bytes that must not stand in a line (RFC 9112 section 2.2).
    (LINE + b"A: b\0c\r\n\r\n", 400),
    (LINE + b"A: b\x0bc\r\n\r\n", 400),
    (LINE + b"A: b\x7f\r\n\r\n", 400),
    (LINE + b"A: b\rc\r\n\r\n", 400),
    (LINE + b"A: b\r\r\n\r\n", 400),
    (LINE + b"A: b\nB: c\r\n\r\n", 400),
    (LINE + b"A: b\n\r\n", 400),
    (b"GET / HTTP/1.1\n\n", 400),
    (b"GET / HTTP/1.1\r\r\n\r\n", 400),
    (b"GET / HTTP/1.1\n\r\n\r\n", 400),
    # Folded lines (section 5.2).
    (LINE + b" A: b\r\n\r\n", 400),
    (LINE + b"A: b\r\n c\r\n\r\n", 400),
    (LINE + b"A: b\r\n\tc\r\n\r\n", 400),
    # Request lines (section 3).
    (b"\r\n\r\n", 400),
    (b"GET /\r\n\r\n", 400),
    (b"GET  / HTTP/1.1\r\n\r\n", 400),
    (b" GET / HTTP/1.1\r\n\r\n", 400),
    (b"GET / HTTP/1.1 \r\n\r\n", 400),
    (b"GET /a b HTTP/1.1\r\n\r\n", 400),
    (b"GET\t/\tHTTP/1.1\r\n\r\n", 400),
    (b"G(T / HTTP/1.1\r\n\r\n", 400),
    (b"GET /\xc3\xa4 HTTP/1.1\r\n\r\n", 400),
    (b"GET / http/1.1\r\n\r\n", 400),
    (b"GET / HTTP/11\r\n\r\n", 400),
    (b"GET / HTTP/1.10\r\n\r\n", 400),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello", 400),
    # Versions (RFC 9110 section 2.5).
    (b"GET / HTTP/0.9\r\n\r\n", 505),
    (b"GET / HTTP/2.0\r\n\r\n", 505),
    (b"GET / HTTP/9.9\r\n\r\n", 505),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    # Too much of something.
    (b"GET /" + b"a" * 87 + b" HTTP/1.1\r\n\r\n", 414),
    (b"GET /" + b"a" * 9000, 414),
    (b"A" * 101, 400),
    (b"A(" * 60, 400),
    (LINE + b"A: " + b"b" * 98 + b"\r\n\r\n", 431),
    (LINE + b"A" * 101, 431),
    (LINE + b"A: b\r\n" * 5 + b"\r\n", 431),
    (LINE + (b"A: " + b"b" * 90 + b"\r\n") * 2 + b"A: " + b"b" * 88 + b"\r\n\r\n", 431),
    (LINE + (b"A: " + b"b" * 90 + b"\r\n") * 3, 431),
    # Of two offences the earlier one counts.
    (b"GET / HTTP/3.0\r\nA: \0\r\n\r\n", 505),
    (LINE + b"A: \0" + b"b" * 200, 400),
    (LINE + b"A: " + b"b" * 200 + b"\0", 431),
    (b"GET /" + b"a" * 200 + b"\n", 414),
]


@pytest.mark.parametrize(("head", "status"), REFUSED_HEADS)
def test_a_bad_head_gets_the_same_status_however_it_is_cut(head: bytes, status: int) -> None:
    assert {scan(pieces) for pieces in cuts(head)} == {-status}


def test_a_long_line_is_refused_before_it_ends() -> None:
    assert scan([LINE, b"A: " + b"b" * 97]) is None
    assert scan([LINE, b"A: " + b"b" * 97, b"b"]) == -431


def test_a_control_character_is_refused_before_its_line_ends() -> None:
    assert scan([b"GET / HTTP/1.1\0"]) == -400


def test_the_line_limit_may_be_larger_than_that_of_the_head() -> None:
    limits = Limits(line=1000, head=50, headers=4)
    assert {scan(pieces, limits) for pieces in cuts(b"GET /" + b"a" * 100 + b" HTTP/1.1\r\n\r\n")} == {-431}
    assert {scan(pieces, limits) for pieces in cuts(LINE + b"A: " + b"b" * 25 + b"\r\n\r\n")} == {48}


BODIES = [
    (b"0\r\n\r\n", b"", b""),
    (b"5\r\nhello\r\n0\r\n\r\n", b"hello", b""),
    (b"005\r\nhello\r\n00000000\r\n\r\n", b"hello", b""),
    (b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", b"0123456789" * 2, b""),
    (b"1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\nGET", b"abc", b"GET"),
    (b"2\r\n\r\n\r\n0\r\n\r\n", b"\r\n", b""),
    (b'1;a\r\nx\r\n1;a=b;c="d \\" \xff"\r\ny\r\n0;last\r\n\r\n', b"xy", b""),
    (b"1 ; a = b\r\nx\r\n0\t;\ta\r\n\r\n", b"x", b""),
    (b"1;" + b"a" * 254 + b"\r\nx\r\n0\r\n\r\n", b"x", b""),
    (b"3e8\r\n" + b"x" * 1000 + b"\r\n0\r\n\r\n", b"x" * 1000, b""),
]


@pytest.mark.parametrize(("raw", "payload", "left"), BODIES)
def test_the_chunk_framing_is_taken_off_however_the_body_is_cut(raw: bytes, payload: bytes, left: bytes) -> None:
    for pieces in cuts(raw):
        assert dechunk(pieces) == (payload, b"\r\n", left)


@pytest.mark.parametrize(
    "trailers",
    [
        b"A: b\r\nC:\td\xff\r\n\r\n",
        b"A: " + b"b" * 1021 + b"\r\n\r\n",
        (b"A: " + b"b" * 1017 + b"\r\n") * 4 + b"abcd\r\n\r\n",
        b"A:\r\n" * 100 + b"\r\n",
    ],
)
def test_trailers_are_set_apart_however_they_are_cut(trailers: bytes) -> None:
    for pieces in cuts(b"0\r\n" + trailers + b"GET"):
        assert dechunk(pieces) == (b"", trailers, b"GET")


REFUSED_BODIES = [
    # Sizes (RFC 9112 section 7.1).
    (b"\r\n", 400),
    (b"x\r\n", 400),
    (b"5 \r\nhello\r\n", 400),
    (b" 5\r\nhello\r\n", 400),
    (b"+5\r\nhello\r\n", 400),
    (b"-5\r\nhello\r\n", 400),
    (b"0x5\r\nhello\r\n", 400),
    (b"5_0\r\n", 400),
    (b"00000000000000005\r\nhello\r\n", 400),
    (b"\xef\xbc\x95\r\nhello\r\n", 400),
    # Line ends.
    (b"5\nhello\n0\n\n", 400),
    (b"5\rhello\r\n", 400),
    (b"5\r\nhello0\r\n\r\n", 400),
    (b"5\r\nhello\n0\r\n\r\n", 400),
    (b"5\r\nhello\rx", 400),
    (b"5\r\nhello!\r\n0\r\n\r\n", 400),
    (b"2\r\nhello\r\n0\r\n\r\n", 400),
    # Extensions.
    (b"5;\r\nhello\r\n", 400),
    (b"5;a=\r\nhello\r\n", 400),
    (b"5;a b\r\nhello\r\n", 400),
    (b'5;a="b\r\nhello\r\n', 400),
    (b'5;a="b"c\r\nhello\r\n', 400),
    (b"5;a\0\r\nhello\r\n", 400),
    (b"5;a\nhello\r\n", 400),
    (b"5;" + b"a" * 255 + b"\r\nhello\r\n", 400),
    (b"5;" + b"a" * 300, 400),
    # Trailers.
    (b"0\r\nA: b\0\r\n\r\n", 400),
    (b"0\r\nA: b\nC: d\r\n\r\n", 400),
    (b"0\r\nA: b\rc\r\n\r\n", 400),
    (b"0\r\n A: b\r\n\r\n", 400),
    (b"0\r\nA: b\r\n\tc\r\n\r\n", 400),
    (b"0\r\nA: " + b"b" * 1022 + b"\r\n\r\n", 400),
    (b"0\r\n" + (b"A: " + b"b" * 1017 + b"\r\n") * 4 + b"abcde\r\n\r\n", 400),
    (b"0\r\n" + (b"A: " + b"b" * 1017 + b"\r\n") * 4 + b"A: " + b"b" * 10, 400),
    (b"0\r\n" + b"A:\r\n" * 101 + b"\r\n", 400),
    # More than the limit.
    (b"3e9\r\n", 413),
    (b"ffffffffffffffff\r\n", 413),
    (b"3e8\r\n" + b"x" * 1000 + b"\r\n1\r\nx\r\n0\r\n\r\n", 413),
    (b"1\r\nx\r\n" * 1001, 413),
    # Of two offences the earlier one counts.
    (b"3e9\r\nx\r\n\0", 413),
    (b"1\r\nx\r\n" * 1001 + b"\0\r\n", 413),
    (b"1\r\nx\r\n" * 1000 + b"\0\r\n1\r\nx\r\n", 400),
]


@pytest.mark.parametrize(("raw", "status"), REFUSED_BODIES)
def test_a_bad_chunked_body_gets_the_same_status_however_it_is_cut(raw: bytes, status: int) -> None:
    assert [dechunk(pieces) for pieces in cuts(raw)] == [status] * 8


def test_framing_may_take_64_kib_and_no_more_where_the_body_is_small() -> None:
    line = b"1;" + b"a" * 254 + b"\r\nx\r\n"
    for pieces in ([line * 252], [line] * 252):
        assert dechunk(pieces) == (b"x" * 252, None, b"")
    for pieces in ([line * 253], [line] * 253):
        assert dechunk(pieces) == 413


def test_a_body_that_is_not_whole_yet_gives_what_there_is() -> None:
    body, buffer = ChunkedBody(BODY_LIMIT), bytearray(b"5\r\nhel")
    assert (body.feed(buffer), bytes(buffer), body.trailers) == (b"hel", b"", None)
    buffer += b"lo\r"
    assert (body.feed(buffer), bytes(buffer)) == (b"lo", b"\r")
    buffer += b"\n0\r\nA: b\r\n"
    assert (body.feed(buffer), body.trailers) == (b"", None)
