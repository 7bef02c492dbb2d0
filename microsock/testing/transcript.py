"""What went over the wires, who sent it and at which virtual time, cut to what a person reads.

Knows bytes and frames; knows no test runner, which asks for the transcripts that a test has written to.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator

from .frames import CLOSE, TEXT, Frame, read_frames

__all__ = ["Transcript", "used", "watch_use"]

_MOST_ENTRIES = 300
_MOST_LINES = 20
_LINE = 120
_LONGEST_HEAD = 4096
_SWITCHED = re.compile(rb"HTTP/1\.1 101 .*?\r\n\r\n", re.DOTALL)
_NAMES = {0: "continuation", 1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}

# Transcripts with their length before they were written to; the last few, since a test may make a thousand clients.
_used: dict[Transcript, int] | None = None
_MOST_USED = 3


def watch_use() -> None:
    """Forget which transcripts were written to, and keep from here on those that are."""
    global _used
    _used = {}


def used() -> Iterator[str]:
    """The text of each transcript written to since ``watch_use``, from there on."""
    for transcript, count in (_used or {}).items():
        yield transcript.text(count)


class Transcript:
    """The talk on all connections of one test client: its last 300 pieces.

    Args:
        clock: gives the virtual time in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._entries: deque[tuple[int, str]] = deque(maxlen=_MOST_ENTRIES)
        self._count = 0
        self._seen: dict[tuple[int, str], bytes] = {}
        self._frames: dict[tuple[int, str], bytearray] = {}

    def note(self, connection: int, who: str, what: bytes | str) -> None:
        """Write down what ``who`` (client or server) sent, or did."""
        if _used is not None:
            _used.setdefault(self, self._count)
            if len(_used) > _MOST_USED:
                del _used[next(iter(_used))]
        mark = ">" if who == "client" else "<"
        title = f"{self._clock():8.3f}s  #{connection} {who} {mark} "
        lines = [what] if isinstance(what, str) else list(self._described(connection, who, what))
        self._entries.append((self._count, title + ("\n" + " " * len(title)).join(lines)))
        self._count += 1

    def text(self, since: int = 0) -> str:
        """The transcript, one piece after the other; ``since`` leaves out that many at its beginning."""
        return "\n".join(text for number, text in self._entries if number >= since)

    def _described(self, connection: int, who: str, data: bytes) -> Iterator[str]:
        buffer = self._frames.get((connection, who))
        if buffer is not None:
            yield from _frame_lines(buffer, data)
            return
        seen = self._seen.get((connection, who), b"") + data
        self._seen[connection, who] = seen[-_LONGEST_HEAD:]
        # The head of the answer from which on both sides speak frames may come in pieces.
        head = _SWITCHED.search(seen) if who == "server" else None
        early = b"" if head is None else seen[head.end() :]
        yield from _text_lines(data.removesuffix(early))
        if head is not None:
            yield from _frame_lines(self._switch(connection), early)

    def _switch(self, connection: int) -> bytearray:
        # What the client sent behind its handshake is written down already, but a last frame may go on.
        client = bytearray(self._seen.get((connection, "client"), b"").rpartition(b"\r\n\r\n")[2])
        deque(read_frames(client), maxlen=0)
        self._frames |= {(connection, "server"): bytearray(), (connection, "client"): client}
        return self._frames[connection, "server"]


def _text_lines(data: bytes) -> Iterator[str]:
    lines = data.decode("latin-1").split("\r\n")
    if lines[-1] == "":
        lines.pop()
    yield from map(_printable, lines[:_MOST_LINES])
    if len(lines) > _MOST_LINES:
        yield f"… {len(lines) - _MOST_LINES} more lines, {len(data)} bytes in all"


def _frame_lines(buffer: bytearray, data: bytes) -> Iterator[str]:
    buffer += data
    for number, frame in enumerate(read_frames(buffer)):
        if number < _MOST_LINES:
            yield _frame_line(frame)
        elif number == _MOST_LINES:
            yield "… more frames"
    if buffer:
        yield f"({len(buffer)} bytes of a frame)"


def _frame_line(frame: Frame) -> str:
    name = _NAMES.get(frame.opcode, f"opcode {frame.opcode}")
    flags = ("" if frame.fin else " unfinished") + (f" rsv={frame.rsv:03b}" if frame.rsv else "")
    if frame.opcode == CLOSE and len(frame.payload) >= 2:
        code, reason = int.from_bytes(frame.payload[:2]), frame.payload[2:].decode(errors="replace")
        return f"{name}{flags} {code} {_printable(reason)}".rstrip()
    shown = frame.payload.decode(errors="replace") if frame.opcode == TEXT else frame.payload.decode("latin-1")
    return f"{name}{flags} {_printable(shown)}".rstrip()


def _printable(text: str) -> str:
    shown = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text[:_LINE])
    return shown if len(text) <= _LINE and len(shown) <= _LINE else f"{shown[:_LINE]} … {len(text)} in all"
