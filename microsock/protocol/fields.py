"""Header lines that were judged before: what came in and what goes out, each line once and then remembered.

The tables save work; they are no authority. A line enters on its second sighting and leaves when a table is full, and
what several lines say together is never remembered. Pure functions on bytes, beside the tables.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Generic, TypeVar

from ..errors import LocalProtocolError
from ..startup import NamedTuple

__all__ = ["FRAMING", "SPECIAL", "Field", "FieldTable", "Line", "LineTable"]

Field = tuple[bytes, bytes]

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# Of a value that comes in: no obs-text, so that this is a strict subset of what h11 takes.
_VISIBLE = bytes([9, *range(0x20, 0x7F)])
# Of one that goes out: obs-text too (RFC 9110 section 5.5).
_SENDABLE = bytes([*_VISIBLE, *range(0x80, 0x100)])
_MAX_LINES, _MAX_LINE = 1024, 512
# Secrets, which are not to lie about in a table; these and what counts down are not the same twice for long.
_NEVER = {b"cookie", b"authorization", b"proxy-authorization", b"set-cookie", b"ratelimit"}
# Each request's own: these are looked at every time.
SPECIAL = {b"host", b"content-length", b"connection", b"transfer-encoding", b"expect", b"upgrade"}
# What the server decides, whatever the app says.
FRAMING = {b"content-length", b"transfer-encoding", b"connection", b"date", b"keep-alive"}


K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Memory(Generic[K, V]):
    """Verdicts on lines that were seen twice: at most 1,024, and as many keys of lines seen once."""

    __slots__ = ("_seen", "known")

    def __init__(self) -> None:
        self.known: dict[K, V] = {}
        self._seen: set[K] = set()

    def remember(self, key: K, verdict: V) -> None:
        """Keep a verdict, if this is the second time it comes. A full table starts again."""
        if key in self._seen:
            if len(self.known) >= _MAX_LINES:
                self.known.clear()
            self.known[key] = verdict
            return
        if len(self._seen) >= _MAX_LINES:
            self._seen.clear()
        self._seen.add(key)


class FieldTable(Memory[bytes, Field]):
    """Request lines by their bytes: name in lower case, and value. None that is special is in ``known``."""

    __slots__ = ("_special",)

    def __init__(self) -> None:
        super().__init__()
        self._special: Memory[bytes, Field] = Memory()

    def judge(self, line: bytes) -> Field | None:
        """Name and value of a line that is not known; None where h11 is to judge it."""
        field = self._special.known.get(line)
        return field if field is not None else self._judge(line)

    def _judge(self, line: bytes) -> Field | None:
        name, colon, value = line.partition(b":")
        if not colon or not _TOKEN.fullmatch(name) or value.translate(None, _VISIBLE):
            return None
        field = (name.lower(), value.strip(b" \t"))
        if len(line) <= _MAX_LINE and field[0] not in _NEVER:
            # Of a special line only the grammar is remembered: what it says is looked at in every request.
            memory = self._special if field[0] in SPECIAL else self
            memory.remember(line, field)
        return field


class Line(NamedTuple):
    """A line that goes out."""

    name: bytes
    value: bytes
    raw: bytes
    """As it goes over the wire, with its line end; empty for one whose place is the server's to fill."""


class LineTable(Memory[tuple[str, str], Line]):
    """Answer lines, by name and value as the app gave them."""

    __slots__ = ()

    def judge(self, line: tuple[str, str]) -> Line:
        """A line that is not known. Raises ``LocalProtocolError`` for one that must not be sent."""
        try:
            name, value = line[0].encode("ascii"), line[1].encode("latin-1")
        except UnicodeEncodeError as error:
            raise LocalProtocolError(f"header line {line!r} has characters outside Latin-1") from error
        if not _TOKEN.fullmatch(name) or value.translate(None, _SENDABLE) or value != value.strip(b" \t"):
            raise LocalProtocolError(f"illegal header line {line!r}")
        raw = b"" if name.lower() in FRAMING else b"%b: %b\r\n" % (name, value)
        judged = Line(name, value, raw)
        if len(name) + len(value) <= _MAX_LINE and name.lower() not in _NEVER:
            self.remember(line, judged)
        return judged
