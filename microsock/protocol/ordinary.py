"""The short way for an ordinary request: the same interface as ``Whole``, and the same bytes, without h11.

Ordinary is a head that is whole in hand, with an origin-form target and HTTP/1.1, whose every line is in a grammar
that is a strict subset of h11's, with exactly one Host, at most one Content-Length, and of the other lines that frame
a message at most one ``Connection: close`` or ``keep-alive``. Whatever is not takes h11 whole: ``read_ordinary``
gives None. Why that is safe stands in docs/design.md; ``tests/protocol/test_both_ways.py`` holds it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from sys import intern
from typing import cast

from ..errors import LocalProtocolError, RemoteProtocolError, reason_phrase
from ..startup import NamedTuple
from .fields import SPECIAL, Field, FieldTable, Line
from .framing import checked_host
from .scanner import Limits

__all__ = ["Head", "Ordinary", "read_ordinary"]

_REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) (/[!\"$-~]*) HTTP/1\.1")
_LENGTH = re.compile(rb"[0-9]{1,19}")
_CLOSES = {b"close": True, b"keep-alive": False}
_CLOSE = b"Connection: close\r\n"


class Head(NamedTuple):
    """What an ordinary head says; ``fields`` with names in lower case, ``size`` in bytes, blank line included."""

    size: int
    method: str
    target: str
    host: str
    fields: list[Field]
    length: int
    closes: bool


def read_ordinary(buffer: bytearray, limits: Limits, table: FieldTable) -> Head | None:
    """The head that ``buffer`` starts with, if it is an ordinary one; it is left there."""
    size = buffer.find(b"\r\n\r\n") + 4
    if size == 3 or size > limits.line or size > limits.head:
        return None
    request_line, *lines = bytes(buffer[: size - 4]).split(b"\r\n")
    match = _REQUEST_LINE.fullmatch(request_line)
    if match is None or match[1] == b"CONNECT" or len(lines) > limits.headers:
        return None
    fields: list[Field | None] = list(map(table.known.get, lines))
    special: list[Field] = []
    for place, line in enumerate(lines):
        if fields[place] is None:
            field = table.judge(line)
            if field is None:
                return None
            fields[place] = field
            if field[0] in SPECIAL:
                special.append(field)
    framing = _framing(special)
    if framing is None:
        return None
    return Head(
        size,
        intern(match[1].decode("ascii")),
        match[2].decode("ascii"),
        framing[0],
        cast(list[Field], fields),
        *framing[1:],
    )


def _framing(special: list[Field]) -> tuple[str, int, bool] | None:
    # Host, length of the body, whether the peer wants to close; None where any of it is not plain or is repeated.
    host = length = closes = None
    for name, value in special:
        if name == b"host" and host is None:
            host = value
        elif name == b"connection" and closes is None and (closes := _CLOSES.get(value.lower())) is not None:
            pass
        elif name == b"content-length" and length is None and _LENGTH.fullmatch(value):
            length = int(value)
        else:
            return None
    if host is None:
        return None
    try:
        return checked_host(host.decode("ascii")), length or 0, closes or False
    except RemoteProtocolError:
        return None


_STATUS_LINES: dict[int, bytes] = {}


def _status_line(status: int) -> bytes:
    line = _STATUS_LINES.get(status)
    if line is None:
        line = _STATUS_LINES[status] = f"HTTP/1.1 {status} {reason_phrase(status)}\r\n".encode("ascii")
    return line


class Ordinary:
    """One ordinary request on its way in, and its answer on its way out."""

    __slots__ = ("_chunked", "_closes", "_is_head", "_left_in", "_left_out", "head", "length", "reusable")

    broken = False

    def __init__(self, head: Head, raw: bytes) -> None:
        self.head = raw
        """The head's bytes, for an h11 that takes over."""
        self.length = head.length
        """Bytes of the request's body."""
        self.reusable = False
        """Whether all has been said, and another request may follow."""
        self._is_head = head.method == "HEAD"
        self._closes = head.closes
        self._left_in = head.length
        self._left_out: int | None = None
        self._chunked = False

    @property
    def reading(self) -> bool:
        """Whether some of the request's body is still to come."""
        return self._left_in > 0

    def read_body(self, data: bytes) -> bytes:
        """The payload in some of the body as it came over the wire."""
        self._left_in -= len(data)
        return data

    def respond(
        self, status: int, lines: Sequence[Line], date: bytes, length: bytes | None, closing: bool
    ) -> list[bytes]:
        """The head of an answer. ``length`` is that of its body, as text; None where it is unknown or there is none."""
        parts = [_status_line(status), *[line.raw for line in lines], b"Date: ", date, b"\r\n"]
        if length is not None:
            parts += (b"Content-Length: ", length, b"\r\n")
        if closing and not self._closes:
            parts.append(_CLOSE)
        bodyless = status in (204, 304)
        if length is None and not bodyless:
            parts.append(b"Transfer-Encoding: chunked\r\n")
        if self._closes:
            parts.append(_CLOSE)
        self._closes |= closing
        parts.append(b"\r\n")
        if bodyless or self._is_head:
            self._left_out = 0
        else:
            self._chunked, self._left_out = length is None, None if length is None else int(length)
        return [b"".join(parts)]

    def send_piece(self, piece: bytes) -> list[bytes]:
        """A piece of the answer's body."""
        if self._chunked:
            return [b"%x\r\n" % len(piece), piece, b"\r\n"]
        assert self._left_out is not None
        self._left_out -= len(piece)
        if self._left_out < 0:
            raise LocalProtocolError("Too much data for declared Content-Length")
        return [piece]

    def finish(self) -> list[bytes]:
        """The end of the answer."""
        if self._left_out:
            raise LocalProtocolError("Too little data for declared Content-Length")
        self.reusable = not self._closes
        return [b"0\r\n\r\n"] if self._chunked else []
