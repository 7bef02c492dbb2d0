"""The request line: its parts, its version, its end (RFC 9112 sections 2.2, 2.3 and 3)."""

from __future__ import annotations

from .case import HOST, SHOULD, SILENCE, Case, ask, must, refuse, should
from .checks import body, saw

__all__ = ["CASES"]

# The first bytes of a TLS 1.3 ClientHello.
_HELLO = (
    bytes.fromhex("16030100c2010000be0303") + bytes(range(32)) + b"\x20" + bytes(range(128, 160)) + b"\x00\x02\x13\x01"
)
_GARBAGE = bytes((i * 151 + 37) % 256 for i in range(256))

_FORMS: list[Case] = [
    must("9112 3", "A plain GET is served", ask(b"GET / HTTP/1.1"), 200, checks=[body(b"OK")]),
    refuse("9112 3", "Two spaces after the method are refused", ask(b"GET  / HTTP/1.1"), level=SHOULD),
    refuse("9112 3", "Two spaces before the version are refused", ask(b"GET /  HTTP/1.1"), level=SHOULD),
    refuse("9112 3", "A tab after the method is refused", ask(b"GET\t/ HTTP/1.1"), level=SHOULD),
    refuse("9112 3", "A tab before the version is refused", ask(b"GET /\tHTTP/1.1"), level=SHOULD),
    refuse("9112 3", "A vertical tab after the method is refused", ask(b"GET\v/ HTTP/1.1"), level=SHOULD),
    refuse("9112 3", "A form feed before the version is refused", ask(b"GET /\fHTTP/1.1"), level=SHOULD),
    refuse("9112 3", "A space before the method is refused", ask(b" GET / HTTP/1.1")),
    refuse("9112 3", "A space after the version is refused", ask(b"GET / HTTP/1.1 "), level=SHOULD),
    refuse("9112 3", "A request line without a target is refused", ask(b"GET HTTP/1.1")),
    refuse("9112 3", "A request line with an empty target is refused", ask(b"GET  HTTP/1.1")),
    refuse("9112 3", "A request line of a method alone is refused", ask(b"GET")),
    refuse("9112 3", "A request line without a method is refused", ask(b"/ HTTP/1.1")),
    refuse("9112 3", "A fourth word on the request line is refused", ask(b"GET / HTTP/1.1 HTTP/1.1")),
    refuse("9112 3.2", "A space inside the target is refused", ask(b"GET /pa th HTTP/1.1")),
    refuse("9112 3", "A line of spaces in place of a request line is refused", b"   \r\n\r\n"),
    refuse("9112 3", "A header line in place of a request line is refused", b"Host: a\r\n\r\n"),
    refuse("9112 3", "A status line in place of a request line is refused", b"HTTP/1.1 200 OK\r\nHost: a\r\n\r\n"),
]

_METHODS: list[Case] = [
    refuse("9112 3.1", "A method with a bracket is refused", ask(b"GE[T / HTTP/1.1")),
    refuse("9112 3.1", "A method with an at sign is refused", ask(b"G@T / HTTP/1.1")),
    refuse("9112 3.1", "A method with a colon is refused", ask(b"GET: / HTTP/1.1")),
    refuse(
        "9112 3.1",
        "A method that begins like GET and goes on with junk is refused",
        ask(b'G=":<>(e),[T];?" / HTTP/1.1'),
    ),
    refuse("9112 3.1", "A method in quotes is refused", ask(b'"GET" / HTTP/1.1')),
    refuse("9112 3.1", "A method with a byte above 127 is refused", ask(b"G\xcbT / HTTP/1.1")),
    refuse("9112 3.1", "NUL in the method is refused", ask(b"GET\0 / HTTP/1.1")),
    refuse("9112 3.1", "A method and a target without a space between are refused", ask(b"GET/ HTTP/1.1")),
]

_VERSIONS: list[Case] = [
    must("9110 2.5", "HTTP/1.0 is served", ask(b"GET /echo HTTP/1.0"), 200, closes=True, checks=[saw(version="1.0")]),
    refuse("9112 2.3", "HTTP/9.9 is refused as an unknown version", ask(b"GET / HTTP/9.9"), 505, level=SHOULD),
    refuse("9112 2.3", "HTTP/2.0 is refused as an unknown version", ask(b"GET / HTTP/2.0"), 505, level=SHOULD),
    refuse("9112 2.3", "HTTP/3.0 is refused as an unknown version", ask(b"GET / HTTP/3.0"), 505, level=SHOULD),
    refuse("9112 2.3", "HTTP/5.6 is refused as an unknown version", ask(b"GET / HTTP/5.6"), 505, level=SHOULD),
    refuse("9112 2.3", "HTTP/0.9 by name is refused as an unknown version", ask(b"GET / HTTP/0.9"), 505, ours=True),
    refuse("9112 2.3", "HTTP/0.0 is refused as an unknown version", ask(b"GET / HTTP/0.0"), 505, ours=True),
    should("9110 2.5", "HTTP/1.2 is served as 1.1", ask(b"GET / HTTP/1.2"), 200),
    should("9110 2.5", "HTTP/1.9 is served as 1.1", ask(b"GET / HTTP/1.9"), 200),
    refuse("9112 2.3", "A version without a minor digit is refused", ask(b"GET / HTTP/1")),
    refuse("9112 2.3", "A version that ends with the dot is refused", ask(b"GET / HTTP/1.")),
    refuse("9112 2.3", "A version without a major digit is refused", ask(b"GET / HTTP/.1")),
    refuse("9112 2.3", "A version with leading zeros is refused", ask(b"GET / HTTP/01.01")),
    refuse("9112 2.3", "HTTP/1.10 is refused", ask(b"GET / HTTP/1.10")),
    refuse("9112 2.3", "HTTP/1.32 is not taken for its longest valid part", ask(b"GET / HTTP/1.32")),
    refuse("9112 2.3", "A version that overflows an integer is refused", ask(b"GET / HTTP/4294967297.257")),
    refuse("9112 2.3", "HTTP/1.1.1 is refused", ask(b"GET / HTTP/1.1.1")),
    refuse("9112 2.3", "HTTP/1,1 is refused", ask(b"GET / HTTP/1,1")),
    refuse("9112 2.3", "A version with letters behind it is refused", ask(b"GET / HTTP/1.1x")),
    refuse("9112 2.3", "A space inside the version is refused", ask(b"GET / HTTP/ 1.1")),
    refuse("9112 2.3", "A space before the slash of the version is refused", ask(b"GET / HTTP /1.1")),
    refuse("9112 2.3", "A version in lower case is refused", ask(b"GET / http/1.1")),
    refuse("9112 2.3", "A version in mixed case is refused", ask(b"GET / Http/1.1")),
    refuse("9112 2.3", "A version with a plus sign is refused", ask(b"GET / HTTP/+1.1")),
    refuse("9112 2.3", "A version in Arabic-Indic digits is refused", ask(b"GET / HTTP/\xd9\xa1.\xd9\xa1")),
    refuse("9112 2.3", "Bare CRs inside the version are refused", ask(b"GET / HTTP/\r\r1.1")),
    refuse("9112 2.3", "HTTPS as the protocol's name is refused", ask(b"GET / HTTPS/1.1")),
    refuse("9112 2.3", "HTTP with a letter too few is refused", ask(b"GET / HTP/1.1")),
    refuse("9112 2.3", "FTTP as the protocol's name is refused", ask(b"GET / FTTP/1.1")),
    refuse("9112 2.3", "IHTTP as the protocol's name is refused", ask(b"GET / IHTTP/1.1")),
    refuse("9112 2.3", "ICE as the protocol's name is refused", ask(b"GET / ICE/1.0")),
    refuse("9112 2.3", "RTSP as the protocol's name is refused", ask(b"PUT / RTSP/1.0")),
    refuse("9112 2.3", "A request without a version, as in HTTP/0.9, is refused", b"GET /\r\n\r\n", level=SHOULD),
    refuse(
        "9112 2.3", "An HTTP/0.9 request that ends its connection is refused",
        b"GET /\r\n", {400, SILENCE}, half_close=True, level=SHOULD,
    ),
]  # fmt: skip

_LINE_ENDS: list[Case] = [
    refuse("9112 2.2", "A bare LF at the end of the request line is refused",
        b"GET / HTTP/1.1\nHost: a\r\n\r\n", ours=True),
    refuse("9112 2.2", "A request of bare LFs only is refused", b"GET / HTTP/1.1\nHost: a\n\n", ours=True),
    refuse("9112 2.2", "A bare LF in place of a space is refused", b"GET /\nHTTP/1.1\r\nHost: a\r\n\r\n"),
    refuse("9112 2.2", "A bare CR at the end of the request line is refused", b"GET / HTTP/1.1\rHost: a\r\n\r\n"),
    refuse("9112 2.2", "CR CR LF at the end of the request line is refused", b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n"),
    refuse("9112 2.2", "LF CR at the end of the request line is refused", b"GET / HTTP/1.1\n\rHost: a\r\n\r\n"),
    refuse("9112 2.2", "A bare CR before the method is refused", b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    refuse("9112 2.2", "A bare LF before the method is refused", b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", ours=True),
    should("9112 2.2", "An empty line before the request line is skipped", b"\r\n" + ask(b"GET / HTTP/1.1"), 200),
    should("9112 2.2", "Two empty lines before the request line are skipped",
        b"\r\n\r\n" + ask(b"GET / HTTP/1.1"), 200),
    must("9112 2.2", "Empty lines alone are no request", b"\r\n\r\n"),
    refuse("9112 2.2", "Empty lines without end are not skipped for ever",
        b"\r\n" * 50_000, {400, 431, SILENCE}, ours=True),
    refuse(
        "9112 2.2", "A blank line of white space before the headers is refused",
        b"GET / HTTP/1.1\r\n \r\nHost: a\r\n\r\n",
    ),
    refuse("9112 2.2", "White space before the first header line is refused", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
    refuse("9112 2.2", "A tab before the first header line is refused", b"GET / HTTP/1.1\r\n\tHost: a\r\n\r\n"),
    refuse(
        "9112 2.2", "A framing line behind white space before the first header line is not read",
        b"POST / HTTP/1.1\r\n\tContent-Length: 1\r\n" + HOST + b"\r\nX",
    ),
]  # fmt: skip

_OTHER_PROTOCOLS: list[Case] = [
    refuse("9112 2.2", "A TLS hello is refused", _HELLO, {400, SILENCE}, half_close=True, level=SHOULD),
    refuse("9112 2.2", "Random bytes are refused", _GARBAGE, {400, SILENCE}, half_close=True, level=SHOULD),
    refuse("9112 2.2", "NUL bytes are refused", bytes(64) + b"\r\n\r\n", level=SHOULD),
    refuse("9112 2.2", "An SSH greeting is refused", b"SSH-2.0-OpenSSH_9.2\r\n\r\n", level=SHOULD),
    refuse("9112 2.2", "The Telnet of a person who types nonsense is refused", b"hello there\r\n\r\n", level=SHOULD),
    refuse("9113 3.4", "The preface of HTTP/2 is refused", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 505}, ours=True),
    refuse("9112 2.2", "A PROXY protocol line is refused",
        b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n" + ask(b"GET / HTTP/1.1")),
    refuse("9112 2.2", "A socks greeting is refused", b"\x05\x01\x00", {400, SILENCE}, half_close=True, level=SHOULD),
    must(
        "9112 8", "A connection that sends nothing and ends is just closed", b"", SILENCE, half_close=True, closes=True
    ),
    must(
        "9112 8", "A connection that ends inside the request line is closed",
        b"GET / HT", {400, SILENCE}, half_close=True, closes=True,
    ),
    must(
        "9112 8", "A connection that ends inside the headers is closed without an answer of success",
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Test: value", {400, SILENCE}, half_close=True, closes=True,
    ),
    must("9110 15.5.9", "Half a head is answered 408 in the end",
        b"GET / HTTP/1.1\r\nHost: a\r\n", 408, wait=30, closes=True),
    must("9112 9.5", "An idle connection is closed in the end", ask(b"GET / HTTP/1.1"), 200, wait=30, closes=True),
    must("9112 9.5", "A connection that never sends anything is closed in the end",
        b"", {408, SILENCE}, wait=60, closes=True),
    must("9112 9.5", "The other half of a head is waited for", b"GET / HTTP/1.1\r\nHost: a\r\n", 200, rest=b"\r\n"),
]  # fmt: skip

CASES = _FORMS + _METHODS + _VERSIONS + _LINE_ENDS + _OTHER_PROTOCOLS
