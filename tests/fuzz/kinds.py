"""16 kB of each kind of input that costs more than it looks like. What each costs, ``cost`` tells."""

from __future__ import annotations

import zlib
from typing import NamedTuple

from wire import ask, handshake

from microsock.testing import build_frame

__all__ = ["KINDS", "SIZE", "Kind", "request", "upgrade"]

SIZE = 16 << 10


class Kind(NamedTuple):
    """One kind of input.

    Fields:
        data: 16 kB of it.
        path: of the WebSocket that it is sent over; None for plain HTTP.
    """

    data: bytes
    path: str | None = None


def filled(unit: bytes, start: bytes = b"", end: bytes = b"", size: int = SIZE) -> bytes:
    """``unit`` between ``start`` and ``end``, as often as there is room for in ``size`` bytes."""
    return start + unit * ((size - len(start) - len(end)) // len(unit)) + end


def deflated(payload: bytes) -> bytes:
    """A message's payload as permessage-deflate sends it, without what came before."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (deflater.compress(payload) + deflater.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\0\0\xff\xff")


def fragmented(payload: bytes, opcode: int = 2, count: int = 1000) -> bytes:
    """A message in so many fragments."""
    middle = build_frame(0, payload, fin=False) * count
    return build_frame(opcode, b"", fin=False) + middle + build_frame(0, b"")


BOMB = deflated(bytes(1 << 20))
TRICKLED_BOMB = [build_frame(0, BOMB[at : at + 1], fin=False) for at in range(1, len(BOMB))]
# A stream that says "a" and ends; a stored block of nothing.
ENDED, EMPTY_BLOCK = b"\x4b\x04\x00", b"\0\0\0\xff\xff"
# What has the handler of /left close.
CLOSING = build_frame(1, "x")

WEBSOCKET = {
    "empty messages": filled(build_frame(1)),
    "messages of a byte": filled(build_frame(1, b"x")),
    "messages of 125 bytes": filled(build_frame(2, bytes(125))),
    "one message of 16 kB": build_frame(1, b"x" * (SIZE - 8)),
    "empty fragments": filled(fragmented(b"")),
    "fragments of a byte": filled(fragmented(b"x")),
    "fragments of text": filled(fragmented(b"x", 1)),
    "messages of two fragments": filled(build_frame(1, b"", fin=False) + build_frame(0, b"x")),
    "pings between fragments": filled(build_frame(2, b"", fin=False) + build_frame(9) * 10 + build_frame(0, b"")),
    "pings": filled(build_frame(9)),
    "pings of 125 bytes": filled(build_frame(9, bytes(125))),
    "pongs": filled(build_frame(10)),
    "bombs": filled(build_frame(2, BOMB, rsv=4)),
    "bombs of text": filled(build_frame(1, BOMB, rsv=4)),
    "bombs in two fragments": filled(build_frame(1, BOMB[:500], rsv=4, fin=False) + build_frame(0, BOMB[500:])),
    "bombs in fragments of a byte": filled(
        build_frame(2, BOMB[:1], rsv=4, fin=False) + b"".join(TRICKLED_BOMB) + build_frame(0, b"")
    ),
    "compressed messages of a byte": filled(build_frame(1, deflated(b"x"), rsv=4)),
    "compressed messages of nothing": filled(build_frame(1, b"\0", rsv=4)),
    "compressed fragments of nothing": filled(
        build_frame(1, b"", rsv=4, fin=False) + build_frame(0, b"", fin=False) * 500 + build_frame(0, b"\0")
    ),
    "messages of ended streams": filled(build_frame(1, ENDED * 7 + b"\0", rsv=4)),
    "one message of ended streams": build_frame(1, ENDED * 5400 + b"\0", rsv=4),
    "fragments of ended streams": filled(
        build_frame(1, ENDED * 4, rsv=4, fin=False) + build_frame(0, ENDED * 4 + b"\0")
    ),
    "one message of empty blocks": build_frame(1, EMPTY_BLOCK * 3200 + b"\0", rsv=4),
    "messages of empty blocks": filled(build_frame(1, EMPTY_BLOCK * 3 + b"\0", rsv=4)),
}
BEHIND_OUR_CLOSE = (
    "messages of a byte", "empty fragments", "pings", "bombs", "messages of ended streams", "one message of 16 kB",
)  # fmt: skip

START = b"POST / HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = START + b"Transfer-Encoding: chunked\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


def request(target: str = "/", *lines: str, body: bytes = b"") -> bytes:
    """One for this machine."""
    return ask(target, *lines, method="POST" if body else "GET", body=body).replace(b"Host: a", b"Host: localhost")


def forwarded(line: str, unit: str) -> bytes:
    """A request whose forwarded line has ``unit`` again and again."""
    return request("/", f"{line}: {unit * (8000 // len(unit))}")


HTTP = {
    "GET after GET": filled(request()),
    "GET after GET by h11": filled(request("/", "X-A: \u00e9")),
    "missing pages": filled(request("/missing")),
    "POST after POST": filled(request(body=b"x")),
    "chunked POST after POST": filled(CHUNKED + LAST_CHUNK),
    "chunked POST after POST, of a byte": filled(CHUNKED + b"1\r\nx\r\n" + LAST_CHUNK),
    "tiny chunks": filled(b"1\r\nx\r\n", CHUNKED, LAST_CHUNK, 4 * SIZE),
    "tiny chunks with an extension": filled(b'1;a=""\r\nx\r\n', CHUNKED, LAST_CHUNK, 4 * SIZE),
    "tiny chunks with many extensions": filled(b"1" + b";a=b" * 60 + b"\r\nx\r\n", CHUNKED, LAST_CHUNK, 4 * SIZE),
    "trailers": filled(CHUNKED + b"0\r\n" + b"A: b\r\n" * 90 + b"\r\n"),
    "100 header lines": filled(START + b"A: b\r\n" * 98 + b"\r\n"),
    "semicolons in Forwarded": forwarded("Forwarded", ";"),
    "commas in Forwarded": forwarded("Forwarded", ","),
    "commas and blanks in Forwarded": forwarded("Forwarded", ", ; "),
    "pairs in Forwarded": forwarded("Forwarded", "a=b;"),
    "proxies in Forwarded": forwarded("Forwarded", "for=127.0.0.1,"),
    "quotes in Forwarded": forwarded("Forwarded", '"'),
    "commas in X-Forwarded-For": forwarded("X-Forwarded-For", ","),
    "proxies in X-Forwarded-For": forwarded("X-Forwarded-For", "127.0.0.1,"),
    "commas in X-Forwarded-Host": forwarded("X-Forwarded-Host", ","),
}

KINDS: dict[str, Kind] = {
    **{name: Kind(data, "/echo") for name, data in WEBSOCKET.items()},
    **{f"{name}, to a generator": Kind(WEBSOCKET[name], "/generator") for name in ("messages of a byte", "pings")},
    **{f"{name}, behind our Close": Kind(CLOSING + WEBSOCKET[name], "/left") for name in BEHIND_OUR_CLOSE},
    **{name: Kind(data) for name, data in HTTP.items()},
}


def upgrade(path: str) -> bytes:
    """Asks for a WebSocket with compression."""
    asking = handshake(path, "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover")
    return asking.replace(b"Host: a", b"Host: localhost")
