"""A client's TCP socket as a transport: never blocking, sending at once, with a send buffer that can be judged.

Knows nothing of what the bytes mean.
"""

from __future__ import annotations

import errno
import fcntl
import socket
import struct
import termios
from typing import Protocol

from .. import forked
from ..failures import log_failure, reraise_if_fatal
from .loop import Loop, Watched

__all__ = ["Handler", "SocketTransport", "lost"]

# By default the kernel takes about 4 MB on loopback before a send blocks; a slow peer would look like a fast one.
_SEND_BUFFER_BYTES = 256 << 10


class Handler(Protocol):
    """Who is told what the socket has to say."""

    def handle(self, readable: bool, writable: bool) -> object:
        """There are bytes (or the end) to read, or room to write."""
        ...

    def abort(self) -> object:
        """``handle`` raised what it should not; give the connection up."""
        ...


def lost(error: OSError) -> ConnectionError:
    """What ends a connection: ETIMEDOUT and its like, and what OpenSSL complains of, as much as ECONNRESET."""
    forked.came_back()  # there the socket is closed
    return error if isinstance(error, ConnectionError) else ConnectionError(*error.args)


class SocketTransport(Watched):
    """A connected socket under the loop's eye; see ``Transport`` for its calls.

    Set ``handler`` before the loop's next turn. It owns the socket from here on.
    """

    __slots__ = ("_sock", "handler")

    def __init__(self, sock: socket.socket, loop: Loop, handler: Handler | None = None) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().__init__(loop, sock.fileno())
        self._sock = sock
        self.handler = handler

    def recv(self, size: int) -> bytes | None:
        """Up to ``size`` bytes; None if there are none now, ``b""`` once the peer has ended its side."""
        try:
            return self._sock.recv(size)
        except BlockingIOError:
            return None
        except OSError as error:
            raise lost(error) from None

    def send(self, data: bytes | memoryview) -> int:
        """Hand over as much of ``data`` as fits now and give its length; 0 if nothing fits."""
        try:
            return self._sock.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise lost(error) from None

    def send_two(self, first: bytes | memoryview, second: bytes | memoryview) -> int:
        """As much as fits of two pieces, in one system call and without copying them into one."""
        try:
            return self._sock.sendmsg((first, second))
        except BlockingIOError:
            return 0
        except OSError as error:
            raise lost(error) from None

    def unacknowledged(self) -> int:
        """How many bytes are in the kernel's send queue: not sent yet, or sent and not acknowledged."""
        answer = fcntl.ioctl(self._sock.fileno(), termios.TIOCOUTQ, bytes(4))
        return int(struct.unpack("i", answer)[0])

    def shutdown_write(self) -> None:
        """End our side; the peer reads an end of stream and may still send. No error if the peer is gone."""
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            # A peer that has reset the connection left nothing to shut down; the next recv tells.
            if error.errno != errno.ENOTCONN:
                raise

    def close(self) -> None:
        """Give up both sides and stop watching. May be called again."""
        self.unwatch()
        self._sock.close()
        self.handler = None

    def forget(self) -> None:
        """In a forked process: close its copy of the socket. The other process goes on with it."""
        self.events = 0
        self._sock.close()

    def watch(self, read: bool, write: bool) -> None:
        """Say which news to be called for: bytes to read, room to write, both or neither."""
        self.want(read, write)

    def ready(self, readable: bool, writable: bool) -> None:
        """There is news, of what was wanted: the handler is told."""
        handler = self.handler
        if handler is None:
            return
        try:
            handler.handle(readable, writable)
        except BaseException as error:
            reraise_if_fatal(error)
            log_failure(error, "unexpected error on a connection; it is closed")
            try:
                handler.abort()
            finally:
                self.close()
