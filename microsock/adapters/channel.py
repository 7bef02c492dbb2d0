"""Messages between two processes over a connected stream socket: four bytes of length, big-endian, and the body.

Knows nothing of what a body means, but that nobody reads or writes an unbounded one.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from .limited_log import LimitedLog
from .untrusted import printable

if TYPE_CHECKING:
    from ..server.loop import Loop

__all__ = ["Channel", "framed"]

_LENGTH_BYTES = 4
_READ_BYTES = 256 << 10


def framed(message: bytes) -> bytes:
    """A message as it goes over the wire."""
    return len(message).to_bytes(_LENGTH_BYTES, "big") + message


class Channel:
    """One end. It owns the socket from here on; all calls are for the loop's thread.

    Args:
        sock: connected; is made non-blocking.
        loop: whose turns read and write it.
        received: called with each body, in order.
        closed: called once when the other end is gone or has sent nonsense; not after ``close``.
        limit: most bytes that wait to be sent, and the longest message that is taken.
        peer: who the other end is, for the log.

    A message at which ``received`` raises is logged and passed over: ``ValueError`` is the other end's fault, and
    anything else is ours.
    """

    def __init__(
        self,
        sock: socket.socket,
        loop: Loop,
        *,
        received: Callable[[bytes], object],
        closed: Callable[[], object],
        limit: int = 16 << 20,
        peer: str = "another process",
    ) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._loop = loop
        self._received = received
        self._closed = closed
        self._limit = limit
        self._peer = peer
        self._errors = LimitedLog(loop, f"messages from {peer} that were passed over")
        self._incoming = bytearray()
        self._outgoing = bytearray()
        self._flush_due = False
        self.open = True
        self._watch = loop.watch(sock.fileno(), self._ready)
        self._watch.want(True, False)

    @property
    def queued_bytes(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return len(self._outgoing)

    def send(self, message: bytes) -> bool:
        """Queue a message; it leaves with all others of this turn. False, and it is not sent, if there is no room."""
        if not self.open or len(self._outgoing) + _LENGTH_BYTES + len(message) > self._limit:
            return False
        self._outgoing += len(message).to_bytes(_LENGTH_BYTES, "big")
        self._outgoing += message
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush)
        return True

    def close(self, within: float = 0.0) -> None:
        """Send what fits at once, or what the other end takes ``within`` so many seconds, and close.

        May be called again. It waits for the other end where that is slow: for a process that has nothing else to do.
        """
        end = time.monotonic() + within
        while self.open and self._hand_over() and self._outgoing and (left := end - time.monotonic()) > 0:
            writable = select.poll()
            writable.register(self._sock, select.POLLOUT)
            writable.poll(left * 1000)
        if self.open:
            self._give_up()

    def shut(self) -> None:
        """Let the other end see the end of it at once; what it says last is still taken."""
        if self.open:
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_WR)

    def forget(self) -> None:
        """Close this process's copy of the socket, right after a fork: the loop belongs to the other process."""
        self.open = False
        self._sock.close()

    def read_out(self) -> None:
        """Take what is here still of an end that is gone."""
        while self.open and self._read():
            pass

    def _ready(self, readable: bool, writable: bool) -> None:
        if writable:
            self._flush()
        if readable and self.open:
            self._read()

    def _read(self) -> bool:
        # Whether there may be more.
        try:
            data = self._sock.recv(_READ_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._lost()
            return False
        self._incoming += data
        self._take_messages()
        return True

    def _take_messages(self) -> None:
        start, buffer = 0, self._incoming
        while self.open and len(buffer) - start >= _LENGTH_BYTES:
            length = int.from_bytes(buffer[start : start + _LENGTH_BYTES], "big")
            if length > self._limit:
                self._lost()
                return
            end = start + _LENGTH_BYTES + length
            if len(buffer) < end:
                break
            message = bytes(memoryview(buffer)[start + _LENGTH_BYTES : end])
            start = end
            try:
                self._received(message)
            except ValueError as error:
                self._errors.log("a message from %s is not understood: %s", self._peer, printable(str(error)))
            except Exception:
                self._errors.log("unexpected error in a message from %s", self._peer, traceback=True)
        del buffer[:start]

    def _flush(self) -> None:
        self._flush_due = False
        if self.open and not self._hand_over():
            # What the other end said last is here still.
            self.read_out()
            if self.open:
                self._lost()
        elif self.open:
            self._watch.want(True, bool(self._outgoing))

    def _hand_over(self) -> bool:
        # Whether the other end may still be there.
        while self._outgoing:
            try:
                with memoryview(self._outgoing) as view:
                    taken = self._sock.send(view)
            except BlockingIOError:
                return True
            except OSError:
                return False
            del self._outgoing[:taken]
        return True

    def _lost(self) -> None:
        self._give_up()
        self._closed()

    def _give_up(self) -> None:
        self.open = False
        self._errors.close()
        self._outgoing.clear()
        self._watch.close()
        self._sock.close()
