"""Random, mutated and hostile requests, cut anywhere, against the HTTP half: h11 and what stands before it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microsock.testing import TestClient

from .watch import UPGRADE, answers_to, cut, make_app, nothing_escapes

pytestmark = pytest.mark.usefixtures("untraced")

BOUNDED = settings(max_examples=150, deadline=None, derandomize=True)


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with make_app().test_client() as client:
        yield client


METHODS = [b"GET", b"HEAD", b"POST", b"PUT", b"OPTIONS", b"CONNECT", b"get", b"NONSENSE", b"", b"G\x00T"]
TARGETS = [
    b"/", b"/echo", b"/pieces?piece=a&piece=b", b"/%2e%2e/%00/%ff", b"*", b"//x", b"http://a/echo", b"a:443", b"/ws",
    b"/" + b"x" * 500, b"/\xff", b"", b"/?" + b"&" * 50, b"/#",
]  # fmt: skip
VERSIONS = [b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/1.10", b"http/1.1", b""]
LINES = [
    b"Host: a", b"Host: a:1", b"Host: ", b"Host: a, b", b"Host: \xff", b"Content-Length: 5", b"Content-Length: 05",
    b"Content-Length: 5, 5", b"Content-Length: +5", b"Content-Length: 99999999999999999999", b"Content-Length: 3000",
    b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding : chunked", b"Connection: close", b"Connection: keep-alive", b"Connection: Upgrade",
    b"Upgrade: websocket", b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    b"Sec-WebSocket-Key: x", b"Sec-WebSocket-Protocol: a,,b", b"Sec-WebSocket-Extensions: permessage-deflate; x=\"",
    b"Origin: http://evil", b"Expect: 100-continue", b"Expect: 200-ok", b"Cookie: a=b; c=\"\\\"; d",
    b"X: " + b" " * 300 + b"\x00",
    b" folded", b"no colon", b": no name", b"X: \x0b", b"X: a\rb", b"X: a\nb", b"Content-Type: text/plain; charset=\"x",
]  # fmt: skip
BODIES = [
    b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"5;a=\"b\r\nhello\r\n0\r\nX: y\r\n\r\n",
    b"0\r\n\r\n", b"-1\r\n\r\n", b"5\r\nhello0\r\n\r\n",
    b"1\r\na\r\n" * 100 + b"0\r\n\r\n", b"ffffffffffffffff\r\n", b"5 \r\nhello\r\n0\r\n\r\n", b"x" * 3000,
]  # fmt: skip
LINE_ENDS = st.sampled_from([b"\r\n"] * 9 + [b"\n", b"\r", b"\r\r\n"])

request_lines = st.builds(
    lambda method, target, version: b" ".join([method, target, version]),
    st.sampled_from(METHODS),
    st.sampled_from(TARGETS),
    st.sampled_from(VERSIONS),
)
requests = st.builds(
    lambda line, headers, end, body: end.join([line, *headers, b"", b""]) + body,
    st.one_of(st.just(b"POST /echo HTTP/1.1"), request_lines),
    st.lists(st.sampled_from(LINES), max_size=8).map(lambda lines: [b"Host: a", *lines]),
    LINE_ENDS,
    st.sampled_from(BODIES),
)


def _mutate(data: bytes, edits: Sequence[tuple[int, int, bytes]]) -> bytes:
    for start, length, inserted in edits:
        start %= len(data) + 1
        data = data[:start] + inserted + data[start + length :]
    return data


edits = st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 8), st.binary(max_size=4)), max_size=4)
mutated = st.builds(_mutate, st.lists(requests, max_size=3).map(b"".join), edits)
places = st.lists(st.integers(0, 5000), max_size=6)

STATUS_LINE = re.compile(rb"HTTP/1\.1 [1-5][0-9][0-9] [^\r\n]+\r\n")


def _check(client: TestClient, data: bytes, places: Sequence[int], half_close: bool) -> None:
    with nothing_escapes(client, len(data)) as connection:
        received = answers_to(connection, cut(data, places))
        if half_close:
            connection.half_close()
            received += connection.receive()
        client.advance(30)
        received += connection.receive()
    assert received == b"" or STATUS_LINE.match(received)
    assert b"HTTP/1.1 500 " not in received
    assert not connection.was_reset


@BOUNDED
@given(st.binary(max_size=1500), places, st.booleans())
def test_random_bytes(client: TestClient, data: bytes, places: list[int], half_close: bool) -> None:
    _check(client, data, places, half_close)


@BOUNDED
@given(mutated, places, st.booleans())
def test_requests_put_together_at_random_and_damaged(
    client: TestClient, data: bytes, places: list[int], half_close: bool
) -> None:
    _check(client, data, places, half_close)


@BOUNDED
@given(edits, places)
def test_damaged_handshakes(client: TestClient, edits: list[tuple[int, int, bytes]], places: list[int]) -> None:
    _check(client, _mutate(UPGRADE % b"/ws" + b"\x81\x85\0\0\0\0hello", edits), places, False)


bodies = st.lists(st.binary(max_size=300), min_size=1, max_size=5)
framings = st.sampled_from(["length", "chunked"])


@BOUNDED
@given(bodies, framings, places)
def test_what_h11_writes_is_understood_and_what_is_answered_h11_understands(
    client: TestClient, bodies: list[bytes], framing: str, places: list[int]
) -> None:
    data = b"".join(_written(body, framing) for body in bodies)
    with nothing_escapes(client, len(data)) as connection:
        received = answers_to(connection, cut(data, places))
    assert list(_read(received, len(bodies))) == bodies


def _written(body: bytes, framing: str) -> bytes:
    ours = h11.Connection(h11.CLIENT)
    how = ("Content-Length", str(len(body))) if framing == "length" else ("Transfer-Encoding", "chunked")
    head = ours.send(h11.Request(method="POST", target="/echo", headers=[("Host", "a"), how])) or b""
    return head + b"".join(ours.send(event) or b"" for event in (h11.Data(data=body), h11.EndOfMessage()))


def _read(data: bytes, count: int) -> Iterator[bytes]:
    for _ in range(count):
        ours = h11.Connection(h11.CLIENT)
        ours.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
        ours.send(h11.EndOfMessage())
        ours.receive_data(data)
        body = b""
        while not isinstance(event := ours.next_event(), h11.EndOfMessage):
            assert isinstance(event, (h11.Response, h11.Data))
            body += bytes(event.data) if isinstance(event, h11.Data) else b""
        yield body
        data = ours.trailing_data[0]
    assert data == b""


SIZE = 16 << 10
HEAD = b"POST /echo HTTP/1.1\r\nHost: a\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
COSTLY = {
    "spaces, then NUL": HEAD + b"X: " + b" " * SIZE + b"\x00\r\n\r\n",
    "spaces, then a bare CR": HEAD + b"X: " + b" " * SIZE + b"\ra\r\n\r\n",
    "spaces, then VT": HEAD + b"X: " + b" " * SIZE + b"\x0b\r\n\r\n",
    "tabs and spaces, then NUL": HEAD + b"X: " + b" \t" * (SIZE // 2) + b"\x00\r\n\r\n",
    "many lines of spaces": HEAD + (b"X: " + b" " * 390 + b"\x00\r\n") * 40 + b"\r\n",
    "a chunk extension of spaces": CHUNKED + b"5;" + b" " * SIZE + b"\nhello\r\n0\r\n\r\n",
    "a trailer of spaces": CHUNKED + b"0\r\nX: " + b" " * SIZE + b"\x00\r\n\r\n",
    "empty lines": b"\r\n" * (SIZE // 2),
    "a line without end": b"G" * SIZE,
    "header lines without end": HEAD + b"a:\r\n" * (SIZE // 4),
    "cookies": HEAD + b"Cookie: " + b";=" * (SIZE // 2) + b"\r\n\r\n",
    "percent signs": b"GET /" + b"%" * SIZE + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "slashes": b"GET " + b"/" * SIZE + b" HTTP/1.1\r\nHost: a\r\n\r\n",
}


@pytest.mark.parametrize("what", COSTLY)
@pytest.mark.parametrize(("size", "step"), [(2 * SIZE, 2 * SIZE), (SIZE // 2, 3)])
def test_no_input_costs_more_than_its_length(what: str, size: int, step: int) -> None:
    data = COSTLY[what][:size]
    app = make_app()
    app.settings_given.clear()  # the limits that are on by default
    with app.test_client() as client, nothing_escapes(client, len(data), len(data) // step) as connection:
        pieces = [data[start : start + step] for start in range(0, len(data), step)]
        answer = b""
        for piece in pieces:
            if not connection.ended:
                connection.send(piece)
                answer += connection.receive()
    assert answer.count(b"HTTP/1.1 ") <= 1
