"""Reads the answers of any server (RFC 9112), as little of them as must be read to check each; sans-I/O."""

from __future__ import annotations

from typing import NamedTuple

from ..turn import WrongAnswer

__all__ = ["AnswerReader"]

_MOST_HEADS = 1000


class Head(NamedTuple):
    """What a head says of the body behind it, and of the connection."""

    length: int
    """Of the body; -1: chunked."""
    closes: bool


class AnswerReader:
    """Gives the bodies of the answers on one connection.

    Heads that came before are known again: a server sends the same bytes until its Date changes.

    Attributes:
        closes: whether the server said that its last answer ends the connection.
    """

    __slots__ = ("_buffer", "_heads", "_wanted", "closes")

    def __init__(self, heads: dict[bytes, Head]) -> None:
        self._buffer = bytearray()
        self._heads = heads
        self._wanted = 0
        self.closes = False

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes and give the bodies that they complete.

        Raises ``WrongAnswer`` for any status but 200, and for what cannot be followed.
        """
        if self._buffer:
            self._buffer += data
            if len(self._buffer) < self._wanted:
                return []
            data = bytes(self._buffer)
            self._buffer.clear()
        self._wanted = 0
        bodies: list[bytes] = []
        start = 0
        while start < len(data) and (found := self._answer(data, start)) is not None:
            body, start = found
            bodies.append(body)
        if start < len(data):
            self._buffer += data[start:] if start else data
        return bodies

    def _answer(self, data: bytes, start: int) -> tuple[bytes, int] | None:
        # The body of the answer that begins here and where the answer ends; None while it is incomplete.
        end = data.find(b"\r\n\r\n", start)
        if end < 0:
            return None
        line = data[start:end]
        head = self._heads.get(line) or self._look_at(line)
        self.closes = head.closes
        if head.length < 0:
            return _unchunked(data, end + 4)
        stop = end + 4 + head.length
        if stop > len(data):
            self._wanted = stop - start
            return None
        return data[end + 4 : stop], stop

    def _look_at(self, head: bytes) -> Head:
        status, *lines = head.split(b"\r\n")
        version, _, rest = status.partition(b" ")
        if rest[:3] != b"200" or version not in (b"HTTP/1.1", b"HTTP/1.0"):
            raise WrongAnswer(f"expected a status of 200, got {status!r}")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        connection = fields.get(b"connection", b"").lower()
        closes = connection == b"close" or (version == b"HTTP/1.0" and connection != b"keep-alive")
        if fields.get(b"transfer-encoding", b"").lower() == b"chunked":
            length = -1
        elif (value := fields.get(b"content-length", b"")).isdigit():
            length = int(value)
        else:
            raise WrongAnswer(f"an answer without a length: {head!r}")
        if len(self._heads) >= _MOST_HEADS:
            self._heads.clear()
        self._heads[head] = found = Head(length, closes)
        return found


def _unchunked(data: bytes, start: int) -> tuple[bytes, int] | None:
    # RFC 9112 section 7.1; without trailers, which no server here sends.
    pieces: list[bytes] = []
    while (end := data.find(b"\r\n", start)) >= 0:
        try:
            size = int(data[start:end].partition(b";")[0], 16)
        except ValueError:
            raise WrongAnswer(f"not the size of a chunk: {data[start:end][:40]!r}") from None
        start = end + 2 + size + 2
        if start > len(data):
            return None
        if not size:
            return b"".join(pieces), start
        pieces.append(data[end + 2 : end + 2 + size])
    return None
