"""Bodies framed by Content-Length, and requests without one (RFC 9112 sections 6.2 and 6.3, RFC 9110 section 8.6)."""

from __future__ import annotations

from .case import HOST, SILENCE, Case, ask, must, post, refuse
from .checks import body, saw

__all__ = ["CASES"]

# What must never be taken for a request of its own.
_EVIL = b"GET /evil HTTP/1.1\r\nHost: a\r\n\r\n"
_SIZE = b"%d" % len(_EVIL)


def _length(value: bytes, body: bytes = b"hello") -> bytes:
    return post(b"Content-Length: " + value, body=body)


_GOOD: list[Case] = [
    must("9112 6.2", "A body of the stated length is read", _length(b"5"), 200, checks=[body(b"hello")]),
    must("9112 6.2", "A length of nought is no body", _length(b"0", b""), 200, checks=[body(b"")]),
    must("9112 6.3", "A POST without a length has no body", post(), 200, checks=[body(b"")]),
    must("9112 6.2", "A body of every byte is kept as it is",
        _length(b"256", bytes(range(256))), 200, checks=[body(bytes(range(256)))]),
    must("9112 6.2", "A body that looks like a request is a body", _length(_SIZE, _EVIL), 200, checks=[body(_EVIL)]),
    must("9112 6.2", "A body that looks like chunks is a body",
        _length(b"10", b"5\r\nhello\r\n"), 200, checks=[body(b"5\r\nhello\r\n")]),
    must("9112 6.2", "A body of a hundred lines is a body",
        _length(b"200", b"\r\n" * 100), 200, checks=[body(b"\r\n" * 100)]),
    must("9110 8.6", "Leading zeros in a length mean nothing", _length(b"005"), 200, checks=[body(b"hello")]),
    must("9110 8.6", "A length with leading zeros is no octal number",
        _length(b"010", b"0123456789"), 200, checks=[body(b"0123456789")]),
    must("9110 8.6", "A length of two noughts is nought", _length(b"00", b""), 200, checks=[body(b"")]),
    must("9110 5.5", "White space around a length is no part of it",
        _length(b" \t 5 \t "), 200, checks=[body(b"hello")]),
    must("9110 5.1", "Content-Length is found in any case",
        post(b"conTENT-lenGTH: 5", body=b"hello"), 200, checks=[body(b"hello")]),
    must("9112 6.2", "A GET may have a body, which is read",
        ask(b"GET /echo HTTP/1.1", b"Content-Length: 5", body=b"hello"), 200, checks=[saw(body="hello")]),
    must("9112 6.2", "A DELETE may have a body",
        ask(b"DELETE /echo HTTP/1.1", b"Content-Length: 5", body=b"hello"), 200, checks=[saw(body="hello")]),
    must("9112 6.2", "The body of a HEAD is read and nothing of it is left over",
        ask(b"HEAD / HTTP/1.1", b"Content-Length: 5", body=b"hello"), 200),
    must("9112 6.2", "The body of an OPTIONS is read and nothing of it is left over",
        ask(b"OPTIONS / HTTP/1.1", b"Content-Length: 5", body=b"hello"), {200, 204}),
    must("9112 6.2", "The body of a request that nobody serves is not taken for a request",
        ask(b"POST /missing HTTP/1.1", b"Content-Length: " + _SIZE, body=_EVIL), 404),
    must("9112 6.2", "The body of a wrong method is not taken for a request",
        ask(b"POST /empty HTTP/1.1", b"Content-Length: 5", body=b"hello"), 405),
    must("9112 6.2", "A body to HTTP/1.0 is read",
        ask(b"POST / HTTP/1.0", b"Content-Length: 5", body=b"hello"), 200, closes=True, checks=[body(b"hello")]),
    must("9112 6.3", "A body without a length is not taken from HTTP/1.0",
        ask(b"POST / HTTP/1.0", body=b"hello"), {200, 400, 411}, closes=True),
]  # fmt: skip

_BAD: list[Case] = [
    refuse("9112 6.3", "A length of letters is refused", _length(b"abc")),
    refuse("9112 6.3", "An empty length is refused", _length(b"", b"")),
    refuse("9112 6.3", "A length of white space is refused", _length(b"\t", b"")),
    refuse("9112 6.3", "A length with a plus sign is refused", _length(b"+5")),
    refuse("9112 6.3", "A negative length is refused", _length(b"-1", b"")),
    refuse("9112 6.3", "A large negative length is refused", _length(b"-48", b"")),
    refuse("9112 6.3", "A length of minus nought is refused", _length(b"-0", b"")),
    refuse("9112 6.3", "A hexadecimal length is refused", _length(b"0x5")),
    refuse("9112 6.3", "An octal length is refused", _length(b"0o5")),
    refuse("9112 6.3", "A length with an underscore is refused", _length(b"1_0", b"helloworld")),
    refuse("9112 6.3", "A length with a sign and an underscore is refused", _length(b"+1_0", b"helloworld")),
    refuse("9112 6.3", "A length with a space inside is refused", _length(b"1 0", b"helloworld")),
    refuse("9112 6.3", "A length with a letter behind it is refused", _length(b"5Z")),
    refuse("9112 6.3", "A length with a decimal point is refused", _length(b"5.0")),
    refuse("9112 6.3", "A length with an exponent is refused", _length(b"5e0")),
    refuse("9112 6.3", "A length in quotes is refused", _length(b'"5"')),
    refuse("9112 6.3", "A length with a parameter is refused", _length(b"5;a=b")),
    refuse("9112 6.3", "A length in other digits than ASCII's is refused", _length(b"\xd9\xa5")),
    refuse("9112 6.3", "A length in superscript digits of Latin-1 is refused", _length(b"\xb2")),
    refuse("9112 6.3", "A length with NUL behind it is refused", _length(b"5\0")),
    refuse("9112 6.3", "A length with a no-break space behind it is refused", _length(b"5\xa0")),
    refuse("9110 8.6", "A length past 64 bits is refused", _length(b"99999999999999999999", b""), {400, 413}),
    refuse("9110 8.6", "A length of 23 digits is refused", _length(b"1" * 23, b""), ours=True),
    refuse("9110 8.6", "A length of 23 digits is refused though most of them are noughts",
        _length(b"0" * 22 + b"5"), ours=True),
    refuse("9110 8.6", "A length that overflows 64 bits back to five is refused",
        _length(b"18446744073709551621"), {400, 413}),
    refuse("9110 8.6", "A length of thousands of digits is refused", _length(b"9" * 5_000, b"")),
    refuse("9112 6.3", "Two different lengths are refused",
        post(b"Content-Length: 5", b"Content-Length: 10", body=b"helloworld")),
    refuse("9112 6.3", "Two different lengths, the first nought, are refused",
        post(b"Content-Length: 0", b"Content-Length: 1", body=b"Z")),
    refuse("9112 6.3", "Two different lengths, the last nought, are refused",
        post(b"Content-Length: 1", b"Content-Length: 0", body=b"Z")),
    refuse("9112 6.3", "An empty length before a good one is refused",
        post(b"Content-Length:", b"Content-Length: 5", body=b"hello")),
    refuse("9112 6.3", "A good length before an empty one is refused",
        post(b"Content-Length: 5", b"Content-Length:", body=b"hello")),
    refuse("9112 6.3", "A list of two different lengths is refused", _length(b"5, 10")),
    refuse("9112 6.3", "Two equal lengths are refused",
        post(b"Content-Length: 5", b"Content-Length: 5", body=b"hello"), ours=True),
    refuse("9112 6.3", "A list of two equal lengths is refused", _length(b"5, 5"), ours=True),
    refuse("9112 6.3", "A list of three equal lengths is refused", _length(b"5, 5, 5"), ours=True),
    refuse("9112 6.3", "Equal lengths written with and without a nought are refused",
        post(b"Content-Length: 5", b"Content-Length: 05", body=b"hello"), ours=True),
    refuse("9112 6.3", "A wrong length is refused on a GET too", ask(b"GET / HTTP/1.1", b"Content-Length: x")),
    refuse("9112 6.3", "A wrong length is refused from HTTP/1.0 too", ask(b"POST / HTTP/1.0", b"Content-Length: x")),
    refuse("9112 5.1", "A length with a space before its colon is refused", post(b"Content-Length : 5", body=b"hello")),
    refuse("9112 5.1", "A second length with a space before its colon is refused",
        post(b"Content-Length: 11", b"Content-Length : 5", body=b"hello world")),
    refuse("9112 5", "A length whose name has a tab for the hyphen is refused",
        post(b"Content-Length: 11", b"Content\tLength: 99", body=b"hello world")),
    refuse("9112 5", "A length whose name has a CR for the hyphen is refused",
        post(b"Content\rLength: 3", body=b"abc")),
    refuse("9112 5", "A length whose name ends in NEL is refused", post(b"Content-Length\x85: 5", body=b"hello")),
]  # fmt: skip

_SHORT: list[Case] = [
    must("9112 8", "A body that ends early reaches no handler",
        _length(b"10"), {400, SILENCE}, half_close=True, closes=True),
    must("9112 8", "A body that never begins reaches no handler",
        _length(b"10", b""), {400, SILENCE}, half_close=True, closes=True),
    must("9110 15.5.9", "A body that stops coming is answered 408 in the end",
        _length(b"10"), {400, 408}, wait=60, closes=True),
    must("9112 6.2", "A body that is still coming is waited for",
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 10\r\n\r\nhello", 200, rest=b"world",
        checks=[body(b"helloworld")]),
]  # fmt: skip

CASES = _GOOD + _BAD + _SHORT
