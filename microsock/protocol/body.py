"""A request's body while it comes: what of the buffer belongs to it, and the payload so far."""

from __future__ import annotations

import sys

from .framing import Framing
from .scanner import ChunkedBody

__all__ = ["IncomingBody"]

# Shorter pieces are put together as they come: else many tiny ones would take more memory than the body.
_PIECE_BYTES = 4096


class IncomingBody:
    """One body, of a known length or chunked.

    Args:
        framing: what the head says.
        limit: the most bytes that a chunked one may have.
    """

    __slots__ = ("_chunks", "_pieces", "left", "size")

    def __init__(self, framing: Framing, limit: int) -> None:
        self._pieces: list[bytes | bytearray] = []
        self.size = 0
        """Bytes of payload so far."""
        self.left = framing.length
        """Bytes that are still to come, where that is known; else 0."""
        self._chunks = ChunkedBody(limit) if framing.chunked else None

    @property
    def chunked(self) -> bool:
        """Whether its length is not known yet."""
        return self._chunks is not None

    @property
    def cost(self) -> int:
        """What the last ``unframe`` took, in units of about a microsecond."""
        return 0 if self._chunks is None else self._chunks.cost

    def take(self, buffer: bytes | bytearray) -> bytes:
        """What is here of a body of a known length; it is left in the buffer."""
        part = bytes(buffer if len(buffer) <= self.left else memoryview(buffer)[: self.left])
        self.left -= len(part)
        return part

    def unframe(self, buffer: bytearray, budget: int = sys.maxsize) -> bytes:
        """What is here of a chunked body, framed as h11 is to see it; it leaves the buffer.

        It stops early when ``cost`` has got larger than ``budget``.

        Raises ``RemoteProtocolError``: 400 for malformed chunks, 413 past the limit.
        """
        assert self._chunks is not None
        payload = self._chunks.feed(buffer, budget)
        # One chunk for h11, however many it was on the wire.
        part = b"%x\r\n%b\r\n" % (len(payload), payload) if payload else b""
        return part if self._chunks.trailers is None else part + b"0\r\n" + self._chunks.trailers

    def keep(self, payload: bytes) -> None:
        """Some of the payload, with more to come."""
        self.size += len(payload)
        last = self._pieces[-1] if self._pieces else None
        if isinstance(last, bytearray) and len(last) < _PIECE_BYTES:
            last += payload
        elif payload:
            self._pieces.append(payload if len(payload) >= _PIECE_BYTES else bytearray(payload))

    def whole(self, last: bytes) -> bytes:
        """All of the payload; ``last`` is what came last, which is often all."""
        return b"".join((*self._pieces, last)) if self._pieces else last
