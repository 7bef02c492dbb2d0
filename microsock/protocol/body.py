"""A request's body while it comes: what of the buffer belongs to it, and the payload so far."""

from __future__ import annotations

from .framing import Framing
from .scanner import ChunkedBody

__all__ = ["IncomingBody"]


class IncomingBody:
    """One body, of a known length or chunked.

    Args:
        framing: what the head says.
        limit: the most bytes that a chunked one may have.
    """

    __slots__ = ("_chunks", "_left", "_payload")

    def __init__(self, framing: Framing, limit: int) -> None:
        self._payload: bytearray | None = None
        self._left = framing.length
        self._chunks = ChunkedBody(limit) if framing.chunked else None

    @property
    def chunked(self) -> bool:
        """Whether its length is not known yet."""
        return self._chunks is not None

    def take(self, buffer: bytes | bytearray) -> bytes:
        """What is here of a body of a known length; it is left in the buffer."""
        part = bytes(buffer if len(buffer) <= self._left else buffer[: self._left])
        self._left -= len(part)
        return part

    def unframe(self, buffer: bytearray) -> bytes:
        """What is here of a chunked body, framed as h11 is to see it; it leaves the buffer.

        Raises ``RemoteProtocolError``: 400 for malformed chunks, 413 past the limit.
        """
        assert self._chunks is not None
        payload = self._chunks.feed(buffer)
        # One chunk for h11, however many it was on the wire.
        part = b"%x\r\n%b\r\n" % (len(payload), payload) if payload else b""
        return part if self._chunks.trailers is None else part + b"0\r\n" + self._chunks.trailers

    def keep(self, payload: bytes) -> None:
        """Some of the payload, with more to come."""
        if self._payload is None:
            self._payload = bytearray()
        self._payload += payload

    def whole(self, last: bytes) -> bytes:
        """All of the payload; ``last`` is what came last, which is often all."""
        if self._payload is None:
            return last
        self._payload += last
        return bytes(self._payload)
