"""What a connection needs of the network: nine calls, which a socket and the test client's memory both offer.

Knows no socket.
"""

from __future__ import annotations

from typing import Protocol

__all__ = ["Transport"]


class Transport(Protocol):
    """One client's bytes, both ways. Nothing here blocks.

    A peer that is gone shows as ``ConnectionError`` from ``recv`` and ``send``, whatever the system calls it.
    """

    def recv(self, size: int) -> bytes | None:
        """Up to ``size`` bytes; None if there are none now, ``b""`` once the peer has ended its side."""
        ...

    def send(self, data: bytes | memoryview) -> int:
        """Hand over as much of ``data`` as fits now and give its length; 0 if nothing fits."""
        ...

    def send_two(self, first: bytes | memoryview, second: bytes | memoryview) -> int:
        """The same for two pieces, the second behind the first; what fits of both, or at least of the first."""
        ...

    def unacknowledged(self) -> int:
        """How many of the bytes handed over the peer has not acknowledged; 0 where that cannot be known."""
        ...

    def shutdown_write(self) -> None:
        """End our side; the peer reads an end of stream and may still send. No error if the peer is gone."""
        ...

    def close(self) -> None:
        """Give up both sides and stop watching. May be called again."""
        ...

    def watch(self, read: bool, write: bool) -> None:
        """Say which news to be called for: bytes to read, room to write, both or neither."""
        ...
