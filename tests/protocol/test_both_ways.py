"""The short way for ordinary requests tells and says exactly what h11 does, for any bytes, cut anywhere.

The same bytes go through both; events, answers and what becomes of the connection are compared. The tables of lines
seen before stay warm from case to case, so a line that was remembered wrongly would show in a later one.
`python -m tests.protocol.test_both_ways 1000000` runs longer.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Container, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
from conformance.table import CASES

from microsock.errors import LocalProtocolError
from microsock.protocol.events import Event, RequestReceived, RequestRefused, RequestStarted, Waiting
from microsock.protocol.fields import FieldTable, RequestLines
from microsock.protocol.http1 import Http1, Peer
from microsock.protocol.scanner import Limits
from microsock.request import Address, Request

pytestmark = pytest.mark.usefixtures("untraced")

METHODS = ["GET"] * 6 + ["HEAD", "HEAD", "POST", "POST", "PUT", "OPTIONS", "CONNECT", "get", "PRI", "N$!", ""]
TARGETS = ["/", "/", "/users/42?q=a%20b&c", "/%2f/\"x'[]|^`{}", "*", "//x", "http://b/c", "a:443", "/#x", "/ x", "/\t"]
TARGETS += [
    "/" + "x" * 300,
    "/ü",
    "",
    "?",
    "/\x7f",
    "/\xe9?\xff",
    "HTTP://B:8/c?d",
    "http://",
    "http://u@b/",
    "https://b",
]
TARGETS += ["/%", "/%zz", "/\\..\\", "/../..", "/;x", "//b@c/", "/\x0b", "/\r", "/\n", "/?#"]
# As if the app had registered all of them, so that the table of request lines is warm from case to case too.
REMEMBERED = {(method, target) for method in METHODS for target in TARGETS}
VERSIONS = ["HTTP/1.1"] * 12 + ["HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "http/1.1", "HTTP/1.1 ", "HTTP/1.10", ""]
HOSTS = ["Host: a"] * 16 + [
    "host:a",
    "HOST:\t a:8080 ",
    "Host: [::1]:80",
    "Host: [::x]",
    "Host:",
    "Host: a, b",
    "Host: a b",
]
HOSTS += ["Host: u@a", "Host: a:99999", "Host: \xfc", "Host : a", "X: y", "Host: a\r\nHost: a", "Host: a\r\nhost: b"]
HOSTS += [
    "hOsT:a",
    "Host: a.",
    "Host: %61",
    "Host: a:",
    "Host: a:b",
    "Host: a\t",
    "Host:\xa0a",
    "Host: [::1",
    "Host: a/b",
]
HOSTS += ["Host: a\r\nhOsT: a", "Host\t: a", "Host: a\tb", "Host: [::1%25eth0]", "Host: ::1", "Host: _a", "Host: *"]
LINES = [
    "Accept: */*", "User-Agent: Mozilla/5.0 (X11; Linux x86_64) Gecko", "Accept-Encoding: gzip, deflate, br", "X:",
    "X-Empty: ", "X-Tab: a\tb \t", "Cookie: a=b; c=d", "Authorization: Basic eA==", "X-Long: " + "y" * 600,
    "TE: trailers", "Upgrade-Insecure-Requests: 1", "Sec-Fetch-Mode: navigate", "x-FORWARDED-for:1.2.3.4",
    "Connection: keep-alive", "Connection: close", "connection: Close", "Connection: close, x", "Connection: Upgrade",
    "Connection:", "Keep-Alive: 5", "Upgrade: h2c", "Expect: 100-continue", "Expect: 1", "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip", "transfer-encoding:chunked", "Content-Length: 0", "Content-Length: 5",
    "Content-Length: 5", "Content-Length:5", "content-length: 05", "Content-Length: 5, 5", "Content-Length: +5",
    "Content-Length: 0x5", "Content-Length: 12", "Content-Length: 2000", "Content-Length: " + "9" * 23,
    "Content-Length: 5\r\nContent-Length: 5", "X\x00: y", "X: \x0b", "X: a\rb", "X: a\nb", "X : y", " folded: x",
    ": x", "no colon", "X(y): z", "X: \xe9t\xe9", "X: \x7f", "Trailer: x", "X: a\r\n b", "ü: x",
    "Content-Length: 5 \t", "Content-Length:\t5", "Content-Length:", "Content-Length: -5", "Content-Length: 5_0",
    "Content-Length: 5;", "Content-Length: \xb5", "Content-Length: 5\xa0", "Content-Length: 1e1",
    "Content-Length: 5\t5",
    "Content-Length : 5", "Content-Length\t: 5", "Content-Length: 0005", "Content-Length: " + "0" * 19,
    "Content-Length: " + "9" * 19, "Content-Length: " + "0" * 19 + "5", "content_length: 5", "Content-Lengt\xe8: 5",
    "Connection: close\t", "Connection: keep-alive, close", "Connection: close,", "Connection: CLOSE",
    "Connection: content-length", "Connection: keep-alive\r\nConnection: close", "Connection: \xe9",
    "Connection : close",
    "Proxy-Connection: close", "Transfer-Encoding: Chunked", "Transfer-Encoding: chunked ",
    "Transfer-Encoding : chunked",
    "Transfer-Encoding:\tchunked", "Transfer-Encoding: \xa0chunked", "Transfer-Encoding: chunked\x0b",
    "Transfer-Encoding: identity", "Transfer-Encoding:", "Transfer_Encoding: chunked", "Transfer-Encoding: x, chunked",
    "Transfer-Encoding: chunked, chunked", "Transfer-Encoding: chunked\r\nTransfer-Encoding: x", "Expect:",
    "Expect: 100-Continue", "Expect: 100-continue\r\nExpect: 100-continue", "Upgrade: websocket", "Upgrade:",
    "\tX: folded", "X:\x80\xff", "\xa0X: y", "X\xa0: y", "X: a\x85b", ":", "", "X", "=: x", "X: \t \t",
]  # fmt: skip
BODIES = [
    b"", b"", b"", b"hello", b"hello", b"hell", b"hello world!", b"5\r\nhello\r\n0\r\n\r\n", b"0\r\n\r\n",
    b"5;x=y\r\nhello\r\n0\r\nX: y\r\n\r\n", b"5\r\nhello0\r\n\r\n", b"\r\n", b"\r\n\r\n", b"x" * 2000,
]  # fmt: skip
RAW = [case.raw for case in CASES]
LIMITS = [Limits(8190, 16384, 100)] * 6 + [Limits(200, 400, 8), Limits(400, 200, 3)]
HEADERS = [
    ("Content-Type", "text/plain"), ("Content-Type", "text/html; charset=utf-8"), ("X-A", "b"), ("X-B", "\xe9"),
    ("Set-Cookie", "a=b"), ("Connection", "close"), ("Connection", "x-hop"), ("connection", "keep-alive"),
    ("Content-Length", "5"), ("content-length", "3"), ("Content-Length", "five"), ("Transfer-Encoding", "gzip"),
    ("Date", "yesterday"), ("X-C", "a\r\nEvil: 1"), ("X D", "x"), ("X-E", "\u20ac"), ("X-F", " x"), ("X-G", ""),
]  # fmt: skip


class Reply(NamedTuple):
    """What an app would answer; pieces where the body streams."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes | None
    pieces: list[bytes]
    last: bool


def calm_request(rng: random.Random) -> bytes:
    """One that browsers and tools send, or nearly."""
    lines = [f"{rng.choice(METHODS[:12])} {rng.choice(TARGETS[:4])} HTTP/1.1", rng.choice(HOSTS[:18])]
    lines += rng.sample(LINES[:15], rng.choice((0, 1, 3, 8)))
    body = rng.choice((b"", b"", b"hello", b"hello world"))
    lines += [f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join([*lines, "", ""]).encode() + body


def random_request(rng: random.Random) -> bytes:
    if rng.random() < 0.06:
        return rng.choice(RAW)
    chosen = rng.sample(LINES[:16] if rng.random() < 0.6 else LINES, rng.choice((0, 1, 3, 6)))
    lines = [" ".join((rng.choice(METHODS), rng.choice(TARGETS), rng.choice(VERSIONS)))] if rng.random() < 0.5 else []
    lines = lines or [f"{rng.choice(('GET', 'POST', 'HEAD'))} /{rng.choice('abc')} HTTP/1.1"]
    lines += [rng.choice(HOSTS), *chosen, f"X-Unique: {rng.random()}"]
    if rng.random() < 0.2:
        lines[1:] = rng.sample(lines[1:], len(lines) - 1)
    if rng.random() < 0.25:
        lines.append("Content-Length: 5")
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + b"hello"
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + rng.choice(BODIES)


def mutated(rng: random.Random, data: bytes) -> bytes:
    for _ in range(rng.choice((0, 0, 0, 1, 1, 3))):
        at = rng.randrange(len(data) + 1)
        inserted = rng.choice(
            (b"", b"\r", b"\n", b"\r\n", b" ", b"\t", b"\0", b":", b"\xa0", b"\x85", rng.randbytes(1))
        )
        data = data[:at] + inserted + data[at + rng.choice((0, 0, 1, 4)) :]
    return data


def random_replies(seed: int) -> Iterator[Reply]:
    rng = random.Random(seed)
    while True:
        yield random_reply(rng)


def random_reply(rng: random.Random) -> Reply:
    pieces = rng.choices((b"", b"a", b"hello", b"x" * 70_000), (2, 3, 4, 0.02), k=rng.choice((0, 1, 2)))
    body = rng.choice((b"", b"hello", b"x" * 20)) if rng.random() < 0.7 else None
    return Reply(
        rng.choice((200, 200, 200, 204, 205, 304, 404, 500, 599)),
        rng.choices(HEADERS, k=rng.choice((0, 1, 1, 2, 4))),
        body,
        pieces,
        rng.random() < 0.1,
    )


def at_the_limits(rng: random.Random) -> tuple[bytes, Limits]:
    """A request whose head, longest line or number of lines is just what is allowed, or one less or more."""
    raw = rng.choice((calm_request, random_request))(rng)
    head = raw.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    lines = head.split(b"\r\n")
    return raw, Limits(
        rng.choice((8190, max(map(len, lines)) + rng.randint(-2, 3))),
        rng.choice((16384, len(head) + rng.randint(-3, 3))),
        rng.choice((100, max(0, len(lines) - 3 + rng.randint(-1, 1)))),
    )


def pieces_of(rng: random.Random, data: bytes) -> list[bytes]:
    places = sorted(rng.randrange(len(data) + 1) for _ in range(rng.choice((0, 0, 0, 1, 3, 20))))
    return [data[start:end] for start, end in pairwise([0, *places, len(data)]) if end > start]


def described(request: Request | None) -> Any:
    if request is None:
        return None
    return (
        request.method, request.raw_path, request.query_string, request.host, request.http_version,
        list(request._lines), request.body,
    )  # fmt: skip


class Side:
    """One connection, and all that it told and said."""

    def __init__(
        self, limits: Limits, replies: Iterator[Reply], *, short: bool, targets: Container[tuple[str, str]] = REMEMBERED
    ) -> None:
        self.http = Http1(Peer(Address("1.2.3.4", 5)), limits, lambda: b"now", short=short, targets=targets)
        self.replies = replies
        self.told: list[Any] = []

    def feed(self, data: bytes) -> None:
        self.http.receive_data(data)
        while (event := self.http.next_event()) is not None:
            self.take(event)
        self.told.append((self.http.waiting, b"".join(self.http.data_to_send())))

    def take(self, event: Event) -> None:
        if isinstance(event, RequestStarted):
            self.told.append(("started", described(event.request)))
            refused = self.http.admit(1000)
            if refused is None:
                return
            event = refused
        if isinstance(event, (RequestReceived, RequestRefused)):
            self.told.append((event[:-1], described(event.request)))
            self.answer(next(self.replies))
        else:
            self.told.append(event)

    def answer(self, reply: Reply) -> None:
        try:
            self.http.last_answer |= reply.last
            self.http.respond(reply.status, reply.headers, reply.body)
            for piece in reply.pieces if reply.body is None else ():
                if not self.http.bodyless(reply.status):
                    self.http.send_piece(piece)
            if reply.body is None:
                self.http.finish()
        except LocalProtocolError as error:
            # As an answer does that cannot be sent: nothing more is said.
            self.told.append(str(error))
            self.http.abandon()


def compare(seed: int) -> None:
    """Tell the same to both."""
    rng = random.Random(seed)
    made = [rng.choice((calm_request, calm_request, random_request))(rng) for _ in range(rng.choice((1, 1, 2, 4)))]
    data = b"".join(made)
    parts = pieces_of(rng, data if rng.random() < 0.5 else mutated(rng, data))
    parts += [b""] if rng.random() < 0.3 else []
    both(parts, rng.choice(LIMITS), seed)
    raw, limits = at_the_limits(rng)
    both(pieces_of(rng, raw), limits, seed)


def both(parts: list[bytes], limits: Limits, seed: int) -> None:
    short, whole = (Side(limits, random_replies(seed), short=way) for way in (True, False))
    for part in parts:
        short.feed(part)
        whole.feed(part)
    assert short.told == whole.told, f"seed {seed}: {parts!r}"


@pytest.mark.parametrize("thousand", range(4))
def test_both_ways_tell_and_say_the_same(thousand: int) -> None:
    for seed in range(thousand * 1000, thousand * 1000 + 1000):
        compare(seed)


def test_the_conformance_cases_fare_the_same_on_both_ways() -> None:
    for seed, raw in enumerate(RAW):
        for parts in ([raw], [raw[place : place + 1] for place in range(min(len(raw), 400))]):
            both(parts, LIMITS[0], seed)


def fresh_tables(patch: pytest.MonkeyPatch) -> list[bytes]:
    """Forget all lines; gives those that are looked at in full from here on, as none is that is remembered."""
    starts, fields, judged = RequestLines(), FieldTable(), list[bytes]()
    for name, value in (
        ("_STARTS", starts), ("_KNOWN_STARTS", starts.known), ("_FIELDS", fields), ("_KNOWN_FIELDS", fields.known),
        ("_KNOWN_FRAMING", fields.framing.known),
    ):  # fmt: skip
        patch.setattr(f"microsock.protocol.ordinary.{name}", value)
    for table in (RequestLines, FieldTable):
        patch.setattr(table, "judge", noting(judged, table.judge))
    return judged


def noting(judged: list[bytes], judge: Callable[..., Any]) -> Callable[..., Any]:
    def noted(table: Any, line: bytes, *more: Any) -> Any:
        judged.append(line)
        return judge(table, line, *more)

    return noted


@pytest.mark.parametrize("registered", ["GET /", "GET /other", "POST /"])
def test_an_ordinary_request_takes_the_short_way_and_is_remembered_from_its_second_time_but_for_secrets(
    monkeypatch: pytest.MonkeyPatch, registered: str
) -> None:
    monkeypatch.setattr("microsock.protocol.http1.Whole", None)
    judged = fresh_tables(monkeypatch)
    method, _, path = registered.partition(" ")
    start, lines = b"GET / HTTP/1.1", [b"Host: a", b"Accept: x/y", b"Connection: close"]
    secrets = [b"Cookie: a=b", b"Authorization: x", b"X-Token: a"]
    # A path that no route has just so may be a secret itself.
    always = [*([] if registered == "GET /" else [start]), *secrets]
    for looked_at in ([start, *lines, *secrets], [start, *lines, *secrets], always, always):
        judged.clear()
        side = Side(LIMITS[0], iter([Reply(200, [], b"ok", [], False)]), short=True, targets={(method, path)})
        side.feed(b"\r\n".join([start, *lines, *secrets, b"", b""]))
        assert side.http.waiting is Waiting.NOTHING
        assert judged == looked_at


if __name__ == "__main__":
    count = int(sys.argv[1])
    for seed in range(10_000, 10_000 + count):
        compare(seed)
        if seed % 10_000 == 0:
            print(f"{seed - 10_000} of {count}", flush=True)  # noqa: T201
    print(f"{count} connections, no difference")  # noqa: T201
