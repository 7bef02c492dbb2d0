"""A bounded load of keep-alive connections, each a thread that asks again and again and counts what fails."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Load", "loading"]

_ASK = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
_PATIENCE = 10.0


class Load:
    """What came of it so far.

    Attributes:
        answered: complete answers with status 200.
        failed: what went wrong, each in a few words. A connection that its server ends behind an answer, or while it
            is idle before anything of the next answer, is opened again as every client does; no more than once in a
            row.
    """

    def __init__(self, port: int) -> None:
        self.answered = 0
        self.failed: list[str] = []
        self._port = port
        self._over = threading.Event()
        self._lock = threading.Lock()

    def ask(self) -> None:
        """Until it is over; the body of a thread."""
        sock: socket.socket | None = None
        while not self._over.is_set():
            try:
                if sock is None:
                    sock = socket.create_connection(("127.0.0.1", self._port), _PATIENCE)
                keep = self._exchange(sock)
            except (OSError, ValueError) as error:
                keep = False
                with self._lock:
                    self.failed.append(f"{type(error).__name__}: {error}")
            if not keep and sock is not None:
                sock.close()
                sock = None
        if sock is not None:
            sock.close()

    def _exchange(self, sock: socket.socket) -> bool:
        # Whether the connection may be used again.
        sock.sendall(_ASK)
        data = b""
        while b"\r\n\r\n" not in data or not _whole(data):
            part = sock.recv(65536)
            if not part:
                raise ValueError(f"cut after {len(data)} bytes of an answer")
            data += part
        if not data.startswith(b"HTTP/1.1 200 "):
            raise ValueError(repr(data[:40]))
        with self._lock:
            self.answered += 1
        return b"Connection: close" not in data

    def stop(self) -> None:
        """No more after those that are under way."""
        self._over.set()

    def wait_for(self, answers: int, seconds: float) -> None:
        """Until there are so many."""
        end = time.monotonic() + seconds
        while self.answered < answers:
            assert time.monotonic() < end, f"only {self.answered} answers in {seconds} s"
            time.sleep(0.02)


def _whole(data: bytes) -> bool:
    head, _, body = data.partition(b"\r\n\r\n")
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    return len(body) >= int(length)


@contextmanager
def loading(port: int, connections: int = 4) -> Iterator[Load]:
    """Ask over so many connections until the block ends; then ``answered`` and ``failed`` are final."""
    load = Load(port)
    threads = [threading.Thread(target=load.ask) for _ in range(connections)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        load.stop()
        for thread in threads:
            thread.join(_PATIENCE * 2)
