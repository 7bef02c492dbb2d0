"""The short way for an ordinary request: the same interface as ``Whole``, and the same bytes, without h11.

Ordinary is a head that is whole in hand, with a usual method, an origin-form target and HTTP/1.1, whose every line is
in a grammar that is a strict subset of h11's, with exactly one Host, at most one Content-Length, and of the other
lines that frame a message at most one ``Connection: close`` or ``keep-alive``. Whatever is not takes h11 whole:
``read_ordinary`` gives None. Why that is safe stands in docs/design.md; ``tests/protocol/test_both_ways.py`` holds it.
"""

from __future__ import annotations

from typing import Any

from ..errors import LocalProtocolError
from .fields import AnswerHead, Field, FieldTable, RequestLines
from .scanner import Limits

__all__ = ["Ordinary", "read_ordinary"]

_CLOSE = b"Connection: close\r\n"
# A body of up to so many bytes is copied behind its head, which is cheaper than another piece to send.
_SMALL = 16 << 10
# What all connections of this process have said; see `fields`.
_REQUEST_LINES, _FIELDS = RequestLines(), FieldTable()
_FRAMING = _FIELDS.framing.known


def read_ordinary(buffer: bytes | bytearray, limits: Limits) -> Ordinary | None:
    """The request whose head ``buffer`` starts with, if it is an ordinary one; it is left there."""
    size = buffer.find(b"\r\n\r\n")
    if size < 0 or size + 4 > limits.line or size + 4 > limits.head:
        return None
    head = bytes(buffer[:size])
    lines = head.split(b"\r\n")
    line = lines.pop(0)
    start = _REQUEST_LINES.known.get(line) or _REQUEST_LINES.judge(line)
    if start is None or len(lines) > limits.headers:
        return None
    fields = list(map(_FIELDS.known.get, lines))
    told = _judge_unknown(lines, fields)
    return None if told is None else Ordinary(head, start, fields, told)  # type: ignore[arg-type]


def _judge_unknown(lines: list[bytes], fields: list[Field | None]) -> dict[str, Any] | None:
    # Fills the places of lines that are not known, and gives what those tell that frame the message: they are among
    # them always. None where one is not plain, or repeated, or Host is missing.
    told: dict[str, Any] = {}
    for place, field in enumerate(fields):
        if field is None:
            line = lines[place]
            judged = _FRAMING.get(line) or _FIELDS.judge(line)
            if judged is None:
                return None
            fields[place], about, value = judged
            if about:
                if about in told:
                    return None
                told[about] = value
    return told if "host" in told else None


class Ordinary:
    """One ordinary request on its way in, and its answer on its way out.

    Attributes:
        head: its bytes but for the empty line, for an h11 that takes over.
        size: bytes of the head, empty line included.
        fields: the header lines, names in lower case.
        length: bytes of the body.
        reusable: whether all has been said, and another request may follow.
        closes: whether the peer wants to close behind it.
    """

    __slots__ = (
        "_chunked",
        "_left_in",
        "_left_out",
        "closes",
        "fields",
        "head",
        "host",
        "length",
        "method",
        "reusable",
        "size",
        "target",
    )  # fmt: skip

    broken = False

    def __init__(self, head: bytes, start: tuple[str, str], fields: list[Field], told: dict[str, Any]) -> None:
        self.head = head
        self.size = len(head) + 4
        self.method, self.target = start
        self.fields = fields
        self.host: str = told["host"]
        self.length: int = told.get("length", 0)
        self.closes: bool = told.get("closes", False)
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
        closes = closing or self.closes
        self.reusable = not closes
        ends = b"Connection: close\r\n\r\n" if closes else b"\r\n"
        top = b"%bDate: %b\r\nContent-Length: %d\r\n%b" % (head.raw, date, len(body), ends)
        return [top + body] if len(body) <= _SMALL else [top, body]

    def respond(self, head: AnswerHead, date: bytes, length: bytes | None, closing: bool) -> list[bytes]:
        """The head of an answer. ``length`` is that of its body, as text; None where it is unknown or there is none."""
        parts = [head.raw, b"Date: ", date, b"\r\n"]
        if length is not None:
            parts += (b"Content-Length: ", length, b"\r\n")
        if closing and not self.closes:
            parts.append(_CLOSE)
        bodyless = head.status in (204, 304)
        if length is None and not bodyless:
            parts.append(b"Transfer-Encoding: chunked\r\n")
        if self.closes:
            parts.append(_CLOSE)
        self.closes |= closing
        parts.append(b"\r\n")
        self._chunked = length is None
        self._left_out: int | None = None if length is None else int(length)
        if bodyless or self.method == "HEAD":
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
        self.reusable = not self.closes
        return [b"0\r\n\r\n"] if self._chunked else []
