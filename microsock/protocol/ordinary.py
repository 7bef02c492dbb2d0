"""The short way for an ordinary request: the same interface as ``Whole``, and the same bytes, without h11.

Ordinary is a head that is whole in hand, with a usual method, an origin-form target and HTTP/1.1, whose every line is
in a grammar that is a strict subset of h11's, with exactly one Host, at most one Content-Length, and of the other
lines that frame a message at most one ``Connection: close`` or ``keep-alive``. Whatever is not takes h11 whole:
``read_ordinary`` gives None. Why that is safe stands in docs/design.md; ``tests/protocol/test_both_ways.py`` holds it.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

from ..errors import LocalProtocolError
from .fields import AnswerHead, Field, FieldTable, RequestLines
from .scanner import Limits

__all__ = ["Head", "Ordinary", "read_alone", "read_ordinary", "whole_answer"]

_CLOSE = b"Connection: close\r\n"
# A body of up to so many bytes is copied behind its head, which is cheaper than another piece to send.
_SMALL = 16 << 10
# What all connections of this process have said; see `fields`.
_STARTS, _FIELDS = RequestLines(), FieldTable()
_KNOWN_STARTS, _KNOWN_FIELDS, _KNOWN_FRAMING = _STARTS.known, _FIELDS.known, _FIELDS.framing.known


Head = tuple[bytes, str, str, list[Field], str, int, bool]
"""An ordinary head: its bytes but for the empty line, method, target, header lines (names in lower case), host, bytes
of the body, and whether the peer wants to close behind it."""


def read_ordinary(buffer: bytes | bytearray, limits: Limits, targets: Container[tuple[str, str]] = ()) -> Head | None:
    """The head that ``buffer`` starts with, if it is an ordinary one; it is left there.

    ``targets`` are those, each behind its method, that hold no secret and may be remembered.
    """
    size = buffer.find(b"\r\n\r\n")
    if size < 0:
        return None
    raw = bytes(buffer[:size])
    return _read_head(raw, raw.split(b"\r\n"), limits, targets)


def read_alone(data: bytes, limits: Limits, targets: Container[tuple[str, str]] = ()) -> Head | None:
    """The ordinary request that all of ``data`` is; ``targets`` as in ``read_ordinary``."""
    if len(data) <= limits.head and data.endswith(b"\r\n\r\n"):
        # Most have no body, and then the end of the head need not be looked for: only whether there is one before.
        raw = data[:-4]
        lines = raw.split(b"\r\n")
        if b"" not in lines:
            head = _read_head(raw, lines, limits, targets)
            return None if head is None or head[5] else head
    head = read_ordinary(data, limits, targets)
    return None if head is None or len(head[0]) + 4 + head[5] != len(data) else head


def _read_head(raw: bytes, lines: list[bytes], limits: Limits, targets: Container[tuple[str, str]]) -> Head | None:
    longest_line, longest_head, most_lines = limits
    size = len(raw) + 4
    if size > longest_line or size > longest_head:
        return None
    line = lines.pop(0)
    start = _KNOWN_STARTS.get(line) or _STARTS.judge(line, targets)
    if start is None or len(lines) > most_lines:
        return None
    # Lines that frame the message are among those that are not known, always.
    fields = list(map(_KNOWN_FIELDS.get, lines))
    told: dict[str, Any] = {}
    place = -1
    for _ in range(fields.count(None)):
        place = fields.index(None, place + 1)
        line = lines[place]
        judged = _KNOWN_FRAMING.get(line) or _FIELDS.judge(line)
        if judged is None:
            return None
        fields[place], about, value = judged
        if about:
            if about in told:
                return None
            told[about] = value
    if "host" not in told:
        return None
    return raw, *start, fields, told["host"], told.get("length", 0), told.get("closes", False)  # type: ignore[return-value]


def whole_answer(
    head: AnswerHead, date: bytes, body: bytes, told: Sequence[tuple[str, str]] | None = None, closes: bool = False
) -> list[bytes]:
    """A whole answer that has a body, and whose head has no line that is the server's to fill.

    Args:
        head: what the app says.
        date: for the line that says it.
        body: all of it.
        told: what the server says behind the app's own lines: right for sure, and ASCII.
        closes: whether the connection does behind it.
    """
    size, raw = len(body), head.raw
    if told:
        raw += "".join([f"{name}: {value}\r\n" for name, value in told]).encode("ascii")
    if size <= _SMALL and not closes:
        return [b"%bDate: %b\r\nContent-Length: %d\r\n\r\n%b" % (raw, date, size, body)]
    ends = b"Connection: close\r\n\r\n" if closes else b"\r\n"
    top = b"%bDate: %b\r\nContent-Length: %d\r\n%b" % (raw, date, size, ends)
    return [top + body] if size <= _SMALL else [top, body]


class Ordinary:
    """One ordinary request on its way in, and its answer on its way out.

    Attributes:
        raw: its head but for the empty line, for an h11 that takes over.
        length: bytes of its body.
        reusable: whether all has been said, and another request may follow.
    """

    __slots__ = ("_chunked", "_closes", "_is_head", "_left_in", "_left_out", "length", "raw", "reusable")

    broken = False

    def __init__(self, head: Head) -> None:
        self.raw, method, _, _, _, self.length, self._closes = head
        self._is_head = method == "HEAD"
        self._left_in = self.length
        self.reusable = False

    @property
    def reading(self) -> bool:
        """Whether some of the request's body is still to come."""
        return self._left_in > 0

    def read_body(self, data: bytes) -> bytes:
        """The payload in some of the body as it came over the wire."""
        self._left_in -= len(data)
        return data

    def answer(self, head: AnswerHead, date: bytes, body: bytes, closing: bool) -> list[bytes]:
        """A whole answer that has a body, and whose head has no line that is the server's to fill."""
        closes = closing or self._closes
        self.reusable = not closes
        return whole_answer(head, date, body, closes=closes)

    def respond(self, head: AnswerHead, date: bytes, length: bytes | None, closing: bool) -> list[bytes]:
        """The head of an answer. ``length`` is that of its body, as text; None where it is unknown or there is none."""
        parts = [head.raw, b"Date: ", date, b"\r\n"]
        if length is not None:
            parts += (b"Content-Length: ", length, b"\r\n")
        if closing and not self._closes:
            parts.append(_CLOSE)
        bodyless = head.status in (204, 304)
        if length is None and not bodyless:
            parts.append(b"Transfer-Encoding: chunked\r\n")
        if self._closes:
            parts.append(_CLOSE)
        self._closes |= closing
        parts.append(b"\r\n")
        self._chunked = length is None
        self._left_out: int | None = None if length is None else int(length)
        if bodyless or self._is_head:
            self._chunked, self._left_out = False, 0
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
