"""A connection for tests that write the bytes themselves."""

from __future__ import annotations

from types import TracebackType

from .world import Wire

__all__ = ["RawConnection"]


class RawConnection:
    """The client's end of a connection, byte by byte. The server goes on with each call as far as it can.

    Attributes:
        ended: whether the server has ended its stream and everything before that was received.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.ended = False
        wire.world.settle()

    @property
    def closed(self) -> bool:
        """Whether the server has closed its end, not only ended its stream."""
        return self._wire.transport.closed

    @property
    def was_reset(self) -> bool:
        """Whether it closed with input unread: a real client may lose what it has not received by then."""
        return self._wire.transport.was_reset

    def send(self, data: bytes) -> None:
        """Send bytes; what comes after the server has closed goes nowhere, as with a socket."""
        self._wire.world.complain()
        self._wire.transport.deliver(data)
        self._wire.world.settle()

    def receive(self, size: int | None = None) -> bytes:
        """All that the server has sent and goes on to send now, or at most ``size`` bytes of it."""
        self._wire.world.complain()
        received = bytearray()
        while (size is None or len(received) < size) and (piece := self._take(size, len(received))):
            received += piece
        return bytes(received)

    def half_close(self) -> None:
        """End our stream and read on."""
        self._wire.transport.half_close()
        self._wire.world.settle()

    def close(self, *, reset: bool = False) -> None:
        """Hang up; with ``reset`` by RST."""
        self._wire.transport.hang_up(reset=reset)
        self._wire.world.settle()

    def __enter__(self) -> RawConnection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _take(self, size: int | None, received: int) -> bytes | None:
        self._wire.world.settle()
        transport = self._wire.transport
        piece = transport.take() if size is None else transport.take(size - received)
        self.ended = self.ended or piece == b""
        return piece
