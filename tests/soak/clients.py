"""Raw WebSocket clients, thousands of them in one process, and what the server's process costs."""

from __future__ import annotations

import selectors
import socket
import time
from pathlib import Path

from microsock.testing import build_frame

HANDSHAKE = (
    b"GET %b HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


def connected(port: int, path: str, *, receive_buffer: int | None = None) -> socket.socket:
    """A WebSocket whose handshake is done; not one byte more is read."""
    sock = socket.socket()
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.connect(("127.0.0.1", port))
    sock.sendall(HANDSHAKE % path.encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += sock.recv(1)
    assert head.startswith(b"HTTP/1.1 101"), head
    return sock


def send(sock: socket.socket, message: str | bytes) -> None:
    """One message in one masked frame."""
    sock.sendall(build_frame(1 if isinstance(message, str) else 2, message))


def seconds_until_all_have(socks: list[socket.socket], frame: bytes, patience: float) -> float:
    """Read from all of them at once until each has got exactly this frame."""
    started = time.monotonic()
    missing = {sock: len(frame) for sock in socks}
    with selectors.DefaultSelector() as selector:
        for sock in socks:
            selector.register(sock, selectors.EVENT_READ, sock)
        while missing and time.monotonic() - started < patience:
            for key, _ in selector.select(1):
                ready = key.data
                data = ready.recv(missing[ready])
                assert frame.endswith(data) or frame.startswith(data)
                missing[ready] -= len(data)
                if not missing[ready]:
                    del missing[ready]
                    selector.unregister(ready)
    assert not missing, f"{len(missing)} of {len(socks)} did not get it"
    return time.monotonic() - started


def descriptors(pid: int) -> int:
    """How many descriptors a process has."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def resident_bytes(pid: int) -> int:
    """The memory that a process holds."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) << 10
