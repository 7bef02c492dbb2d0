"""A client's TLS socket as a transport, and the handshake before it. Neither ever blocks.

Knows nothing of files and names (``certificates`` does) and nothing of what the bytes mean.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import ssl
from collections.abc import Callable

from ..log import logger
from .loop import Loop
from .sockets import Handler, SocketTransport, lost

__all__ = ["Handshake", "TlsTransport"]

# The most that a record carries (RFC 8446 section 5.1).
_RECORD_BYTES = 1 << 14
_PLAIN_HTTP = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 46\r\n"
    b"Connection: close\r\n\r\n400 this port speaks TLS; use https:// or wss\n"
)


class Handshake:
    """From an accepted socket to a ``TlsTransport``, or to nothing. It owns the socket until then.

    Args:
        sock: connected, not a byte read.
        context: with the certificates.
        seconds: how long the peer may take in all.
        done: called once, and never from within this call: with the transport, or with None if it failed.
    """

    __slots__ = ("_done", "_loop", "_sock", "_timer", "_watch")

    def __init__(
        self,
        sock: socket.socket,
        context: ssl.SSLContext,
        loop: Loop,
        *,
        seconds: float,
        done: Callable[[Handshake, TlsTransport | None], object],
    ) -> None:
        # From here on the SSLSocket has the descriptor. OSError if the peer is gone already.
        sock.setblocking(False)
        self._sock = context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        self._loop = loop
        self._done = done
        self._watch = loop.watch(self._sock.fileno(), self._ready)
        self._timer = loop.timers.call_at(loop.timers.now() + seconds, self.abort)
        self._watch.want(True, False)

    def hurry(self, seconds: float) -> None:
        """Give it no more than these seconds from now."""
        when = self._loop.timers.now() + seconds
        if when < self._timer.when:
            self._timer.cancel()
            self._timer = self._loop.timers.call_at(when, self.abort)

    def abort(self) -> None:
        """Give it up."""
        self._end()
        self._sock.close()
        self._done(self, None)

    def forget(self) -> None:
        """In a forked process: close its copy of the socket."""
        self._sock.close()

    def _ready(self, readable: bool, writable: bool) -> None:
        try:
            self._sock.do_handshake()
        except ssl.SSLWantReadError:
            self._watch.want(True, False)
        except ssl.SSLWantWriteError:
            self._watch.want(False, True)
        except (OSError, ValueError) as error:
            self._failed(error)
        else:
            self._end()
            self._done(self, TlsTransport(self._sock, self._loop))

    def _end(self) -> None:
        self._timer.cancel()
        self._watch.close()

    def _failed(self, error: Exception) -> None:
        logger.debug("a TLS handshake failed: %s", error)
        if isinstance(error, ssl.SSLError) and error.reason == "HTTP_REQUEST":
            self._tell_in_plain_http()
        self.abort()

    def _tell_in_plain_http(self) -> None:
        # With unread input, close() would send a reset, and the answer be lost.
        plain = socket.socket
        with contextlib.suppress(OSError):
            plain.recv(self._sock, 1 << 16)
            plain.send(self._sock, _PLAIN_HTTP)


class TlsTransport(SocketTransport):
    """A TLS connection under the loop's eye, after its handshake; see ``Transport`` for its calls.

    To read, TLS may first have to write, and the other way round. The handler is asked for neither: what it wants
    to be told of stands apart from what the socket is watched for.
    """

    __slots__ = ("_due", "_ended", "_loop", "_read_wants_write", "_reading", "_tls", "_write_wants_read", "_writing")

    def __init__(self, sock: ssl.SSLSocket, loop: Loop, handler: Handler | None = None) -> None:
        super().__init__(sock, loop, handler)
        self._tls = sock
        self._loop = loop
        self._reading = self._writing = False
        self._read_wants_write = self._write_wants_read = False
        self._due = False
        self._ended = False

    def recv(self, size: int) -> bytes | None:
        """Up to ``size`` bytes; None if there are none now, ``b""`` once the peer has ended its side."""
        data = self._receive(size)
        # A full record is seldom the last; a short one is not worth the look whether there is another.
        if data is not None and len(data) >= _RECORD_BYTES:
            data = self._receive_more(data, size)
        if self._tls.pending() or self._ended:
            self._due_soon()
        return data

    def send(self, data: bytes | memoryview) -> int:
        """Hand over as much of ``data`` as fits now and give its length; 0 if nothing fits."""
        # What the kernel did not take must be offered again, in front and with nothing cut off (SSL_write(3)):
        # OpenSSL has made a record of it already.
        taken = self._send_record(data)
        if 0 < taken < len(data):
            rest = memoryview(data)
            while taken < len(data) and (more := self._send_record(rest[taken:])):
                taken += more
        return taken

    def send_two(self, first: bytes | memoryview, second: bytes | memoryview) -> int:
        """As much as fits of the first: TLS makes records of its own."""
        return self.send(first)

    def shutdown_write(self) -> None:
        """Say that no more comes, and end our side; what the peer still sends is read without being deciphered."""
        # Sends our close_notify. The peer's, for which it would wait, need not come (RFC 8446 section 6.1); if there
        # is no room for ours, or nobody any more, the end of the stream must do.
        with contextlib.suppress(OSError, ValueError):
            self._tls.unwrap()
        try:
            self._tls.shutdown(socket.SHUT_WR)
        except OSError as error:
            if error.errno != errno.ENOTCONN:
                raise
        self._read_wants_write = self._write_wants_read = False

    def watch(self, read: bool, write: bool) -> None:
        """Say which news to be called for: bytes to read, room to write, both or neither."""
        self._reading, self._writing = read, write
        self._update()
        # The selector sees the socket only, and not what OpenSSL has deciphered already.
        if read and (self._ended or self._tls.pending()):
            self._due_soon()

    def _update(self) -> None:
        reads_by, writes_by = self._read_wants_write, self._write_wants_read
        self.want(
            (self._reading and not reads_by) or (self._writing and writes_by),
            (self._writing and not writes_by) or (self._reading and reads_by),
        )

    def ready(self, readable: bool, writable: bool) -> None:
        """There is news of the socket, which TLS may have wanted for something else."""
        may_read = readable or (writable and self._read_wants_write)
        may_write = writable or (readable and self._write_wants_read)
        super().ready(may_read and self._reading, may_write and self._writing)

    def _due_soon(self) -> None:
        if not self._due:
            self._due = True
            self._loop.call_soon(self._due_now)

    def _due_now(self) -> None:
        self._due = False
        if self._reading and self.handler is not None:
            super().ready(True, False)

    def _receive_more(self, data: bytes, size: int) -> bytes:
        pieces, total = [data], len(data)
        while total < size:
            piece = self._receive(size - total)
            if not piece:
                # An end behind these bytes is told at the next call; nothing else would bring it up again.
                self._ended = piece is not None
                break
            pieces.append(piece)
            total += len(piece)
        return b"".join(pieces)

    def _receive(self, size: int) -> bytes | None:
        data: bytes | None = None
        wants_write = False
        try:
            data = self._tls.recv(size)
        except ssl.SSLWantWriteError:
            wants_write = True
        except (ssl.SSLWantReadError, BlockingIOError):
            pass
        except OSError as error:
            raise lost(error) from None
        if wants_write is not self._read_wants_write:
            self._read_wants_write = wants_write
            self._update()
        return data

    def _send_record(self, data: bytes | memoryview) -> int:
        taken = 0
        wants_read = False
        try:
            taken = self._tls.send(data)
        except ssl.SSLWantReadError:
            wants_read = True
        except (ssl.SSLWantWriteError, BlockingIOError):
            pass
        except OSError as error:
            raise lost(error) from None
        if wants_read is not self._write_wants_read:
            self._write_wants_read = wants_read
            self._update()
        return taken
