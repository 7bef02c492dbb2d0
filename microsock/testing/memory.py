"""One connection in memory: two pipes between a client and the server, bounded as a kernel's buffers are.

Knows no clock, no loop and no protocol. Nothing here waits: whoever finds nothing to do is told so.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["CAPACITY", "MemoryTransport"]

# As much as a server's socket takes at least (its send buffer), and more than an answer may queue before it pauses: so
# a queue may become empty in one go, as with a socket.
CAPACITY = 256 << 10

Note = Callable[[str, bytes | str], None]


class MemoryTransport:
    """The server's end of a connection, and under it the verbs by which the client's end is moved.

    Args:
        capacity: how many bytes the server may send ahead of a client that does not take them.
        note: told who did what, as ``("server", b"HTTP/1.1 …")`` or ``("client", "half-closes")``.

    Attributes:
        closed: whether the server has closed its end.
        was_reset: whether it did so with input unread, which a kernel tells the client by RST: what the
            client has not taken by then may never reach it.
    """

    def __init__(self, capacity: int = CAPACITY, note: Note = lambda who, what: None) -> None:
        self.closed = False
        self.was_reset = False
        self._capacity = capacity
        self._note = note
        self._inbound = bytearray()
        self._inbound_ended = False
        self._outbound = bytearray()
        self._outbound_ended = False
        self._client_gone = False
        self._broken = False
        self._reading = False
        self._writing = False

    # The server's verbs.

    def recv(self, size: int) -> bytes | None:
        """At most ``size`` bytes; None where nothing has come yet, ``b""`` at the end of the stream."""
        if self._broken:
            raise ConnectionResetError("the client has gone")
        if self._inbound:
            return _cut(self._inbound, size)
        return b"" if self._inbound_ended else None

    def send(self, data: bytes | memoryview) -> int:
        """Take what there is room for and say how many bytes that was."""
        if self._broken or self._outbound_ended:
            raise BrokenPipeError("the client has gone" if self._broken else "sent after the end of the stream")
        if self._client_gone:
            # A kernel takes this; only the answer to it says that nobody is there.
            self._broken = True
            return len(data)
        taken = bytes(data[: max(self._capacity - len(self._outbound), 0)])
        self._outbound += taken
        if taken:
            self._note("server", taken)
        return len(taken)

    def send_two(self, first: bytes | memoryview, second: bytes | memoryview) -> int:
        """Take what there is room for of two pieces."""
        taken = self.send(first)
        return taken + self.send(second) if taken == len(first) else taken

    def unacknowledged(self) -> int:
        """How many bytes the client has not taken yet."""
        return len(self._outbound)

    def shutdown_write(self) -> None:
        """End the stream towards the client and read on."""
        if not self._outbound_ended:
            self._outbound_ended = True
            self._note("server", "half-closes")

    def close(self) -> None:
        """End both directions."""
        if not self.closed:
            self.closed = self._outbound_ended = True
            self.was_reset = bool(self._inbound)
            self.watch(False, False)
            self._note("server", "closes with input unread: a reset" if self.was_reset else "closes")

    def watch(self, read: bool, write: bool) -> None:
        """Say which of the two the server wants to hear of."""
        self._reading, self._writing = read, write

    def ready(self) -> tuple[bool, bool]:
        """Which of what the server watches could go on at once: reading, writing."""
        arrived = bool(self._inbound) or self._inbound_ended or self._broken
        # A kernel tells of room once a third of the buffer is free, and not of each byte (sk_stream_is_writeable).
        room = len(self._outbound) <= self._capacity * 2 // 3 or self._broken
        return self._reading and arrived, self._writing and room

    # The client's verbs.

    def deliver(self, data: bytes) -> None:
        """Send bytes to the server. A server that has closed does not get them, and nobody is told."""
        if self._inbound_ended:
            raise BrokenPipeError("the client has ended its stream already")
        if data:
            self._note("client", data)
        if not self.closed:
            self._inbound += data

    def take(self, limit: int = CAPACITY) -> bytes | None:
        """At most ``limit`` bytes; None where nothing has come yet, ``b""`` at the end of the stream."""
        if self._outbound:
            return _cut(self._outbound, limit)
        return b"" if self._outbound_ended else None

    def half_close(self) -> None:
        """End the stream towards the server and read on."""
        if not self._inbound_ended:
            self._inbound_ended = True
            self._note("client", "half-closes")

    def hang_up(self, *, reset: bool = False) -> None:
        """End both directions. With ``reset`` (RST), or with output untaken, the server sees an error."""
        if not self._client_gone:
            self._client_gone = self._inbound_ended = True
            self._broken = reset or bool(self._outbound)
            self._outbound.clear()
            self._note("client", "resets" if reset else "closes")

    @property
    def has_output(self) -> bool:
        """Whether ``take`` would give something, the end of the stream included."""
        return bool(self._outbound) or self._outbound_ended


def _cut(buffer: bytearray, size: int) -> bytes:
    piece = bytes(buffer[:size])
    del buffer[:size]
    return piece
