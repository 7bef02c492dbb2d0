"""One connection of the load: the opening handshake, the answers held against what is due, the goodbye.

A socket blocks; it is read only when a selector says that there is something. Sending cannot lock up either, for a
connection has one message under way at most, which every server reads to its end before it answers.
"""

from __future__ import annotations

import base64
import hashlib
import os
import socket
from collections.abc import Iterable

from ..processes import HOST
from ..turn import PATIENCE, WrongAnswer
from .frames import CLOSE, PING, PONG, Exchange, Frame, FrameReader, frame

__all__ = ["PATIENCE", "Connection", "WrongAnswer", "close_all"]

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_MASK = b"\x9a\x3c\x51\xe7"
_READ_SIZE = 256 << 10


class Connection:
    """An open WebSocket without extensions.

    Args:
        sock: connected, the handshake done, nothing behind it.
        size: the bytes of an ordinary answer; all that are due are of this size.
    """

    __slots__ = ("_buffer", "_filled", "_reader", "_size", "_view", "sock")

    def __init__(self, sock: socket.socket, size: int) -> None:
        self.sock = sock
        self._size = size
        self._buffer = bytearray(size)
        self._view = memoryview(self._buffer)
        self._filled = 0
        self._reader: FrameReader | None = None

    @classmethod
    def open(cls, port: int, path: str, size: int) -> Connection:
        """Connect and shake hands. Raises ``WrongAnswer`` if that fails."""
        sock = socket.create_connection((HOST, port), PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _shake_hands(sock, port, path)
        sock.settimeout(None)
        return cls(sock, size)

    def send(self, data: bytes) -> None:
        """Send a frame to its end."""
        self.sock.sendall(data)

    def take(self, due: Exchange) -> bool:
        """Read what is there; tells whether the answer that is due is now here as a whole.

        Raises ``WrongAnswer`` for another one, and for the end of the stream.
        """
        if self._reader is not None:
            return self._take_frames(self._reader, self.sock.recv(_READ_SIZE), due)
        filled = self._filled
        got = self.sock.recv_into(self._view[filled:] if filled else self._view)
        if not got:
            raise WrongAnswer("the server closed the connection")
        self._filled = filled = filled + got
        if filled < self._size:
            return False
        self._filled = 0
        return self._buffer == due.answer or self._take_unusual(due)

    def ask(self, exchange: Exchange) -> None:
        """Send a message and wait for its answer."""
        self.send(exchange.sent)
        while not self.take(exchange):
            pass

    def _take_unusual(self, due: Exchange) -> bool:
        # Not the bytes that nearly everybody sends; they may still say the same. From here on by the frame.
        self._reader = FrameReader()
        return self._take_frames(self._reader, self._buffer, due)

    def _take_frames(self, reader: FrameReader, data: bytes | bytearray, due: Exchange) -> bool:
        if not data:
            raise WrongAnswer("the server closed the connection")
        messages = [found for found in reader.feed(data) if not self._is_control(found)]
        if messages not in ([], [due.message]):
            raise WrongAnswer(f"expected {_shown(due.message)}, got {', '.join(map(_shown, messages))}")
        return bool(messages)

    def _is_control(self, found: Frame) -> bool:
        if found.opcode == PING:
            self.send(frame(PONG, found.payload, _MASK))
        if found.opcode == CLOSE:
            raise WrongAnswer(f"the server closed the WebSocket: {found.payload!r}")
        return found.opcode in (PING, PONG)


def close_all(connections: Iterable[Connection]) -> None:
    """Say goodbye on all of them, and come back when the server has let go of each."""
    connections = list(connections)
    for connection in connections:
        connection.send(frame(CLOSE, (1000).to_bytes(2, "big"), _MASK))
    for connection in connections:
        connection.sock.settimeout(PATIENCE)
        while connection.sock.recv(_READ_SIZE):
            pass
        connection.sock.close()


def _shake_hands(sock: socket.socket, port: int, path: str) -> None:
    key = base64.b64encode(os.urandom(16))
    lines = [
        b"GET %s HTTP/1.1" % path.encode(),
        b"Host: %s:%d" % (HOST.encode(), port),
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Key: %s" % key,
        b"Sec-WebSocket-Version: 13",
    ]
    sock.sendall(b"\r\n".join([*lines, b"", b""]))
    head = b""
    while b"\r\n\r\n" not in head:
        head += (data := sock.recv(4096))
        if not data:
            raise WrongAnswer(f"the server closed the connection in the handshake: {head!r}")
    accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())
    if not head.startswith(b"HTTP/1.1 101 ") or accept not in head or not head.endswith(b"\r\n\r\n"):
        raise WrongAnswer(f"no WebSocket: {head!r}")


def _shown(found: Frame) -> str:
    return f"{found.payload[:40]!r} ({len(found.payload)} bytes, opcode {found.opcode})"
