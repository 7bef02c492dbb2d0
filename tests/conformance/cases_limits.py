"""How much is taken: lines, heads, header lines, bodies (RFC 9110 sections 5.4 and 15.5, RFC 9112 section 3)."""

from __future__ import annotations

from .case import ANY, HOST, SHOULD, Case, ask, chunked, must, post, refuse, should
from .checks import body, not_continued
from .subject import BODY_LIMIT

__all__ = ["CASES"]

_OVER = BODY_LIMIT + 1


def _line(size: int) -> bytes:
    """A GET whose request line has ``size`` bytes."""
    return ask(b"GET /files/" + b"a" * (size - len(b"GET /files/ HTTP/1.1")) + b" HTTP/1.1")


def _field(size: int) -> bytes:
    """A GET with a header line of ``size`` bytes."""
    return ask(b"GET / HTTP/1.1", b"X-Big: " + b"b" * (size - len(b"X-Big: ")))


def _fields(count: int) -> bytes:
    """A GET with ``count`` header lines, Host among them."""
    return ask(b"GET / HTTP/1.1", *[b"X-%d: value" % i for i in range(count - 1)])


_LINES: list[Case] = [
    should("9112 3", "A request line of 8,000 bytes is served", _line(8_000), 200),
    should("9112 3", "A request line of 8,190 bytes is served", _line(8_190), 200),
    refuse("9112 3", "A request line of 8,300 bytes is too long", _line(8_300), 414),
    refuse("9112 3", "A target of 100 kB is too long", _line(100_000), 414),
    refuse("9112 3", "A query of 100 kB is too long", ask(b"GET /?" + b"a" * 100_000 + b" HTTP/1.1"), 414),
    refuse("9112 3", "An absolute form of 100 kB is too long",
        ask(b"GET http://a/" + b"a" * 100_000 + b" HTTP/1.1"), 414),
    refuse("9112 3", "A target without end is too long", b"GET /" + b"a" * 100_000, 414),
    refuse("9112 3", "A target of a megabyte is too long", _line(1 << 20), 414),
    # RFC 9112 section 3 would have 501; the line is past its limit before it shows a method at all.
    refuse("9112 3", "A method of 100 kB is refused", ask(b"A" * 100_000 + b" / HTTP/1.1"), 400, ours=True),
    refuse("9112 3", "A method without end is refused", b"A" * 100_000, 400, ours=True),
    refuse("9112 3", "A request line of 100 kB of spaces is refused", b" " * 100_000 + b"\r\n\r\n", {400, 414}),
    refuse("9112 3", "A version of 100 kB is refused", ask(b"GET / HTTP/" + b"1" * 100_000), {400, 414}),
]  # fmt: skip

_HEADS: list[Case] = [
    must("9110 5.4", "A header line of 8,000 bytes is served", _field(8_000), 200),
    refuse("9110 5.4", "A header line of 8,300 bytes is too large", _field(8_300), 431, ours=True),
    refuse("6585 5", "A value of 100 kB is too large", _field(100_000), 431, level=SHOULD),
    refuse("6585 5", "A value of a megabyte is too large", _field(1 << 20), 431, level=SHOULD),
    refuse("6585 5", "A name of 100 kB is too large",
        ask(b"GET / HTTP/1.1", b"A" * 100_000 + b": val"), 431, level=SHOULD),
    refuse("6585 5", "A name without end is too large",
        b"GET / HTTP/1.1\r\n" + HOST + b"A" * 100_000, 431, level=SHOULD),
    refuse("6585 5", "A cookie of 64 kB is too large",
        ask(b"GET /cookie HTTP/1.1", b"Cookie: big=" + b"A" * 65_536), 431, level=SHOULD),
    refuse("6585 5", "A Host of 100 kB is too large",
        ask(b"GET / HTTP/1.1", host=b"Host: " + b"a" * 100_000 + b"\r\n"), {400, 431}, level=SHOULD),
    must("9110 5.4", "A head of 15 kB in several lines is served",
        ask(b"GET / HTTP/1.1", *[b"X-%d: %b" % (i, b"c" * 3_000) for i in range(5)]), 200),
    refuse("6585 5", "A head of 20 kB in several lines is too large",
        ask(b"GET / HTTP/1.1", *[b"X-%d: %b" % (i, b"c" * 4_000) for i in range(5)]), 431, level=SHOULD),
    refuse("6585 5", "A head of a megabyte is too large",
        ask(b"GET / HTTP/1.1", *[b"X-%d: %b" % (i, b"c" * 4_000) for i in range(250)]), 431, level=SHOULD),
    must("9110 5.4", "A hundred header lines are served", _fields(100), 200),
    refuse("6585 5", "A hundred and one header lines are too many", _fields(101), 431, ours=True),
    refuse("6585 5", "Ten thousand header lines are too many", _fields(10_000), 431, level=SHOULD),
    refuse("6585 5", "A hundred and one lines of one name are too many",
        ask(b"GET / HTTP/1.1", *[b"X-A: 1"] * 101), 431, ours=True),
    refuse("6585 5", "Too many header lines of nothing are refused",
        ask(b"GET / HTTP/1.1", *[b"a:"] * 5_000), 431, ours=True),
    refuse("6585 5", "Header lines without end are too many",
        b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 50_000, 431, level=SHOULD),
    refuse("6585 5", "Limits hold for HTTP/1.0 too",
        ask(b"GET / HTTP/1.0", b"X-Big: " + b"b" * 100_000), 431, level=SHOULD),
]  # fmt: skip

_BODIES: list[Case] = [
    must("9110 15.5.14", "A body of just the limit is taken",
        post(b"Content-Length: %d" % BODY_LIMIT, body=b"x" * BODY_LIMIT), 200, checks=[body(b"x" * BODY_LIMIT)]),
    refuse("9110 15.5.14", "A body of a byte more is too large",
        post(b"Content-Length: %d" % _OVER, body=b"x" * _OVER), 413, ours=True),
    refuse("9110 15.5.14", "A body of a byte more is too large before it comes",
        post(b"Content-Length: %d" % _OVER), 413, ours=True),
    refuse("9110 15.5.14", "A gigabyte is too large before it comes",
        post(b"Content-Length: 999999999"), 413, ours=True),
    refuse("9110 15.5.14", "A length just below 64 bits is too large before it comes",
        post(b"Content-Length: 9223372036854775807"), {400, 413}, ours=True),
    refuse("9110 15.5.14", "A megabyte too large is refused while it comes, and the client can read why",
        post(b"Content-Length: 1000000", body=b"x" * 1_000_000), 413, ours=True),
    must("9110 15.5.14", "Chunks of just the limit are taken",
        chunked(b"8000\r\n" + b"x" * 32_768 + b"\r\n8000\r\n" + b"x" * 32_768 + b"\r\n0\r\n\r\n"), 200),
    refuse("9110 15.5.14", "Chunks of a byte more are too large",
        chunked(b"8000\r\n" + b"x" * 32_768 + b"\r\n8001\r\n" + b"x" * 32_769 + b"\r\n0\r\n\r\n"), 413, ours=True),
    refuse("9110 15.5.14", "A chunk that is too large is refused by its size",
        chunked(b"ffffff\r\nhello"), 413, ours=True),
    refuse("9110 15.5.14", "Chunks without end are too large",
        chunked(b"1000\r\n" + b"x" * 4_096 + b"\r\n") + (b"1000\r\n" + b"x" * 4_096 + b"\r\n") * 50, 413, ours=True),
    must("9110 15.5.14", "A route's own limit lets its bytes through",
        post(b"Content-Length: 16", body=b"x" * 16, target=b"/small"), 200, checks=[body(b"x" * 16)]),
    must("9110 15.5.14", "A route's own limit refuses a byte more",
        post(b"Content-Length: 17", body=b"x" * 17, target=b"/small"), 413, closes=ANY, ours=True),
    must("9110 15.5.14", "A route's own limit refuses chunks of a byte more",
        chunked(b"11\r\n" + b"x" * 17 + b"\r\n0\r\n\r\n", target=b"/small"), 413, closes=ANY, ours=True),
    refuse("9110 15.5.14", "A body that is too large is refused though nobody serves it",
        post(b"Content-Length: 999999999", target=b"/missing"), {404, 413}, ours=True),
    refuse("9110 15.5.14", "A GET with too large a body is refused",
        ask(b"GET / HTTP/1.1", b"Content-Length: 999999999"), 413, ours=True, checks=[not_continued]),
    refuse("9110 15.5.14", "HTTP/1.0 with too large a body is refused",
        ask(b"POST / HTTP/1.0", b"Content-Length: 999999999"), 413, ours=True),
    must("9112 7.1", "Thirty thousand chunks of one byte are taken or refused, not worked on for ever",
        chunked(b"1\r\nx\r\n" * 30_000 + b"0\r\n\r\n"), {200, 400, 413}, closes=ANY, ours=True),
]  # fmt: skip

CASES = _LINES + _HEADS + _BODIES
