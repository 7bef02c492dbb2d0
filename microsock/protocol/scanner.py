"""A strict look at raw bytes before h11 reads them.

h11 has quadratic corners (blanks before a control byte cost seconds for 16 kB) and accepts what smuggling is made
of (bare LF, obs-fold). So every head, chunk-size line and trailer passes here first, in linear time. The verdict is
the earliest offence in the bytes, so it does not depend on how the network cut them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable

from ..errors import RemoteProtocolError
from ..startup import NamedTuple

__all__ = ["ChunkedBody", "HeadScanner", "Limits", "as_served"]

# What may stand in a line: TAB, visible ASCII, space, obs-text (RFC 9112 section 2.2, RFC 9110 section 5.5).
_ALLOWED = bytes([9, *range(0x20, 0x7F), *range(0x80, 0x100)])
# Compiled where one is first needed, which ordinary requests never come to; `re` keeps it.
_REQUEST_LINE = rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e]+) HTTP/([0-9])\.([0-9])"

# One message for all that is wrong with a chunked body: which of two faults shows first depends on the cut.
_MALFORMED = "malformed chunked body"
_MAX_CHUNK_LINE = 256
_MAX_TRAILER_LINE = 1024
_MAX_TRAILERS = 4096
_MAX_TRAILER_LINES = 100
# Chunk framing costs work that the payload's limit does not see; this much of it is free.
_FREE_FRAMING = 64 << 10
# So many chunks are read before it is looked whether that is enough for one turn. What one costs, in units of about a
# microsecond, and how many bytes of framing cost one more.
_CHUNKS_AT_ONCE = 64
_CHUNK_COST, _FRAMING_BYTES = 1, 16

# Possessive throughout: a line that does not match is given up without a second try.
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*+"'
_EXTENSION = rb"[ \t]*+;[ \t]*+" + _TOKEN + rb"(?:[ \t]*+=[ \t]*+(?:" + _TOKEN + rb"|" + _QUOTED + rb"))?+"
_DIGITS = {ord(digit): int(digit, 16) for digit in "0123456789abcdefABCDEF"}
_CHUNK_LINE = rb"([0-9A-Fa-f]{1,16}+)(?:" + _EXTENSION + rb")*+\r\n"


class Limits(NamedTuple):
    """How much a head may hold: bytes of a line, bytes in all, header lines."""

    line: int
    head: int
    headers: int


class HeadScanner:
    """Finds the end of one request's head, a piece at a time, and refuses what must not reach h11.

    Refused: a control byte but TAB, a CR or LF on its own, a folded line, a malformed request line (400); a major
    version but 1 (505); a line, a head or a number of header lines past the limits (414, 431).
    """

    __slots__ = ("_checked", "_headers", "_limits", "_start")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._start = 0  # where the current line starts
        self._checked = 0  # how far its bytes are known to be allowed
        self._headers = -1  # the request line is no header line

    @property
    def used(self) -> bool:
        """Whether it has looked at anything; one that has not serves for another head."""
        return self._headers >= 0 or self._checked > 0

    def feed(self, buffer: bytearray) -> int | None:
        """The length of the head that ``buffer`` starts with, blank line included; None while it is incomplete.

        ``buffer`` may only have grown since the last call. Raises ``RemoteProtocolError`` with the status.
        """
        if self._start == 0 and (length := self._at_once(buffer)):
            return length
        while (end := buffer.find(b"\r\n", max(self._start, self._checked - 1))) >= 0:
            self._check_part(buffer, end)
            if end == self._start and self._headers >= 0:
                return self._within(end + 2)
            self._check_line(buffer, end)
            self._start = self._checked = end + 2
        # A CR at the very end may still get its LF.
        self._check_part(buffer, len(buffer) - buffer.endswith(b"\r"))
        return None

    def _at_once(self, buffer: bytearray) -> int:
        # The ordinary head: whole in hand, small, clean. Anything else takes the way line by line.
        length = buffer.find(b"\r\n\r\n", max(self._checked - 1, 0)) + 4
        limits = self._limits
        if length == 3 or length > min(limits.line, limits.head):
            return 0
        head = bytes(buffer[:length])
        lines = head.count(b"\r\n")
        # Allowed bytes deleted, nothing but one CRLF for each line may be left.
        if head.translate(None, _ALLOWED) != b"\r\n" * lines or lines - 2 > limits.headers:
            return 0
        if b"\r\n " in head or b"\r\n\t" in head or head.startswith(b"\r\n"):
            return 0
        _check_request_line(head[: head.index(b"\r\n")])
        return length

    def _check_part(self, buffer: bytearray, end: int) -> None:
        # The bytes of the current line up to `end`, each looked at once.
        line_end, head_end = self._start + self._limits.line, self._limits.head
        reach = min(end, line_end, head_end)
        if buffer[self._checked : reach].translate(None, _ALLOWED):
            raise RemoteProtocolError("a control character, or a CR or LF on its own, in the head")
        if end > reach:
            self._refuse_long(buffer, line_end <= head_end)
        self._checked = max(self._checked, reach)

    def _refuse_long(self, buffer: bytearray, line_too_long: bool) -> None:
        if not line_too_long:
            raise RemoteProtocolError(f"the request head is longer than {self._limits.head} bytes", 431)
        if self._headers >= 0:
            raise RemoteProtocolError(f"a header line is longer than {self._limits.line} bytes", 431)
        line = bytes(buffer[: self._limits.line])
        if b" " in line:
            raise RemoteProtocolError(f"the request line is longer than {self._limits.line} bytes", 414)
        raise RemoteProtocolError(f"no request line within {self._limits.line} bytes")

    def _check_line(self, buffer: bytearray, end: int) -> None:
        self._headers += 1
        if self._headers == 0:
            _check_request_line(bytes(buffer[:end]))
        elif buffer[self._start] in b" \t":
            raise RemoteProtocolError("a folded header line (RFC 9112 section 5.2)")
        elif self._headers > self._limits.headers:
            raise RemoteProtocolError(f"more than {self._limits.headers} header lines", 431)
        self._within(end + 2)

    def _within(self, length: int) -> int:
        if length > self._limits.head:
            raise RemoteProtocolError(f"the request head is longer than {self._limits.head} bytes", 431)
        return length


def _check_request_line(line: bytes) -> None:
    match = re.compile(_REQUEST_LINE).fullmatch(line)
    if match is None:
        raise RemoteProtocolError("malformed request line")
    if match[3] != b"1":
        raise RemoteProtocolError("only HTTP/1.0 and HTTP/1.1 are served", 505)


def as_served(head: bytes) -> bytes:
    """A head that the scanner has passed, with a later minor version as 1.1, as it is served (RFC 9110 section 2.5)."""
    end = head.index(b"\r\n")
    return head if head[end - 1] in b"01" else head[: end - 1] + b"1" + head[end:]


class ChunkedBody:
    """Takes the chunk framing off a body (RFC 9112 section 7.1), counted and bounded.

    Many tiny chunks leave here joined, so what comes after costs by the byte and not by the chunk.
    """

    __slots__ = (
        "_framing", "_left", "_limit", "_received", "_step", "_trailer_lines", "_trailer_start", "cost", "trailers",
    )  # fmt: skip

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._received = 0  # payload bytes announced so far
        self._framing = 0  # bytes of chunk framing so far
        self._left = 0  # payload bytes still to come of this chunk
        self._trailer_start = 0  # where the current trailer starts, counted from the first
        self._trailer_lines = 0
        # A function and no method: one of its own methods would keep it.
        self._step: Callable[[ChunkedBody, bytearray, int, bytearray], int] = ChunkedBody._take_size
        self.trailers: bytes | None = None  # the trailer section with its blank line, once it is whole
        self.cost = 0
        """What the last ``feed`` took, in units of about a microsecond."""

    def feed(self, buffer: bytearray, budget: int = sys.maxsize) -> bytes:
        """The payload in ``buffer``, whose bytes are used up; ``trailers`` is set when the body is whole.

        It stops early when it has cost more than ``budget``.

        Raises ``RemoteProtocolError``: 400 for malformed framing, 413 past the limit.
        """
        payload = bytearray()
        position = self.cost = 0
        while self.trailers is None and self.cost <= budget and (taken := self._step(self, buffer, position, payload)):
            position += taken
        del buffer[:position]
        return bytes(payload)

    # Each step uses some bytes at `position` and gives their number; 0 waits for more.

    def _take_size(self, buffer: bytearray, position: int, payload: bytearray) -> int:
        if taken := self._take_whole(buffer, position, payload):
            return taken
        match = re.compile(_CHUNK_LINE).match(buffer, position, position + _MAX_CHUNK_LINE + 2)
        if match is None:
            _refuse_unless_partial(buffer[position : position + _MAX_CHUNK_LINE + 2], _MAX_CHUNK_LINE)
            return 0
        self._left = int(match[1], 16)
        self._count(self._left, match.end() - position + 2)
        self._step = ChunkedBody._take_data if self._left else ChunkedBody._take_trailers
        return match.end() - position

    def _take_whole(self, buffer: bytearray, position: int, payload: bytearray) -> int:
        # A run of chunks that are here to their ends, in a tight loop: 16 kB of tiny ones must not cost 5 ms.
        start, before, match_line = position, len(payload), re.compile(_CHUNK_LINE).match
        for _ in range(_CHUNKS_AT_ONCE):
            if buffer.startswith(b"\r\n", position + 1) and (size := _DIGITS.get(buffer[position])):
                data = position + 3  # one digit is all of the line
            elif match := match_line(buffer, position, position + _MAX_CHUNK_LINE + 2):
                size, data = int(match[1], 16), match.end()
            else:
                break
            end = data + size
            if not size or not buffer.startswith(b"\r\n", end):
                break
            payload += buffer[data:end]
            position = end + 2
        taken = len(payload) - before
        if taken:
            self.cost += _CHUNKS_AT_ONCE * _CHUNK_COST
            self._count(taken, position - start - taken)
        return position - start

    def _count(self, size: int, framing: int) -> None:
        self._received += size
        self._framing += framing
        self.cost += framing // _FRAMING_BYTES
        if self._received > self._limit or self._framing > max(_FREE_FRAMING, self._limit):
            raise RemoteProtocolError(f"the body is larger than {self._limit} bytes", 413)

    def _take_data(self, buffer: bytearray, position: int, payload: bytearray) -> int:
        piece = buffer[position : position + self._left]
        payload += piece
        self._left -= len(piece)
        if not self._left:
            self._step = ChunkedBody._take_end
        return len(piece)

    def _take_end(self, buffer: bytearray, position: int, payload: bytearray) -> int:
        end = buffer[position : position + 2]
        if not b"\r\n".startswith(end):
            raise RemoteProtocolError(_MALFORMED)
        if len(end) < 2:
            return 0
        self._step = ChunkedBody._take_size
        return 2

    def _take_trailers(self, buffer: bytearray, position: int, payload: bytearray) -> int:
        start = position + self._trailer_start
        while (end := buffer.find(b"\r\n", start, position + _MAX_TRAILERS)) >= 0:
            if end == start:
                self.trailers = bytes(buffer[position : end + 2])
                return len(self.trailers)
            self._check_trailer(buffer[start:end])
            start = end + 2
            self._trailer_start = start - position
        _refuse_unless_partial(buffer[start : start + _MAX_TRAILER_LINE + 2], _MAX_TRAILER_LINE)
        if len(buffer) - position > _MAX_TRAILERS:
            raise RemoteProtocolError(_MALFORMED)
        return 0

    def _check_trailer(self, line: bytearray) -> None:
        self._trailer_lines += 1
        if self._trailer_lines > _MAX_TRAILER_LINES:
            raise RemoteProtocolError(_MALFORMED)
        if len(line) > _MAX_TRAILER_LINE or line.translate(None, _ALLOWED) or line.startswith((b" ", b"\t")):
            raise RemoteProtocolError(_MALFORMED)


def _refuse_unless_partial(line: bytearray, most: int) -> None:
    # A line that did not match may still be incomplete; it is not if it ends, is too long or has a bad byte.
    text, ended, _ = line.partition(b"\r\n")
    if not ended and text.endswith(b"\r"):
        del text[-1]
    if ended or len(text) > most or text.translate(None, _ALLOWED):
        raise RemoteProtocolError(_MALFORMED)
