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

    __slots__ = ("_chunked", "_left", "payload")

    def __init__(self, framing: Framing, limit: int) -> None:
        self.payload = bytearray()
        self._left = framing.length
        self._chunked = ChunkedBody(limit) if framing.chunked else None

    def take(self, buffer: bytearray) -> bytes:
        """What is here of the body, framed as h11 is to see it; it leaves the buffer.

        Raises ``RemoteProtocolError``: 400 for malformed chunks, 413 past the limit.
        """
        if self._chunked is None:
            part = bytes(buffer[: self._left])
            del buffer[: self._left]
            self._left -= len(part)
            return part
        payload = self._chunked.feed(buffer)
        # One chunk for h11, however many it was on the wire.
        part = b"%x\r\n%b\r\n" % (len(payload), payload) if payload else b""
        return part if self._chunked.trailers is None else part + b"0\r\n" + self._chunked.trailers
