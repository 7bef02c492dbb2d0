"""The far end of a log: a descriptor that is written to without ever waiting for whoever reads it.

A pipe or terminal is shared with other programs, a shell perhaps, and ``O_NONBLOCK`` on it would be theirs too. So it
is opened once more, for us alone.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
import socket
import stat
import sys
from typing import TextIO

__all__ = ["Outlet", "descriptor_of", "discard", "flush_printed", "has_room", "never_waiting"]

_ROOM = select.POLLOUT | select.POLLERR | select.POLLHUP | select.POLLNVAL


class Outlet:
    """Writes bytes to a descriptor.

    Attributes:
        waits: whether ``write`` may wait for a reader, since the descriptor could not be opened once more: it belongs
            to another user, say. Then only a thread may call it.
    """

    def __init__(self, fd: int) -> None:
        self.waits = False
        self._fd = fd
        self._own = -1
        self._socket: socket.socket | None = None
        self._room: select.poll | None = None  # a file takes what it is given at once, or never
        self._open(os.fstat(fd).st_mode)

    def _open(self, mode: int) -> None:
        # A file is not opened anew: its place in the file is shared with whoever else writes there.
        if stat.S_ISSOCK(mode):
            self._socket = socket.socket(fileno=os.dup(self._fd))
        elif _has_reader(self._fd, mode):
            self._own = _reopened(self._fd)
            self.waits = self._own < 0
        else:
            return
        self._room = select.poll()
        self._room.register(self._fd, _ROOM)

    def write(self, data: bytes | memoryview) -> int:
        """Hand over as much of ``data`` as fits now, and give its length. Raises ``OSError``."""
        try:
            if self._socket is not None:
                return self._socket.send(data, socket.MSG_DONTWAIT)
            return os.write(self._fd if self._own < 0 else self._own, data)
        except BlockingIOError:
            return 0

    def has_room(self) -> bool:
        """Whether a write of up to 4 KiB to the descriptor itself would not wait."""
        return self._room is None or bool(self._room.poll(0))

    def wait(self, seconds: float) -> bool:
        """Wait until there is room, or an error to be told; whether it came to that."""
        return has_room(self._fd, seconds)

    def close(self) -> None:
        """Give up what was opened here; the descriptor itself stays."""
        if self._own >= 0:
            os.close(self._own)
            self._own = -1
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def descriptor_of(stream: TextIO | None) -> int | None:
    """The descriptor that a stream of Python's own writes to; None for any other object, which may do more."""
    if type(stream) is not io.TextIOWrapper:
        return None
    try:
        raw = getattr(stream.buffer, "raw", stream.buffer)
        return raw.fileno() if isinstance(raw, io.FileIO) else None
    except (OSError, ValueError):  # closed, or detached
        return None


def has_room(fd: int, seconds: float = 0.0) -> bool:
    """Whether a write of up to 4 KiB would not wait, or does within so many seconds."""
    news = select.poll()
    news.register(fd, _ROOM)
    return bool(news.poll(seconds * 1000))


def flush_printed() -> None:
    """Write what the program has printed and Python still holds back, as far as that does not wait or fail."""
    for stream in (sys.stdout, sys.stderr):
        fd = descriptor_of(stream)
        if stream is not None and (fd is None or has_room(fd)):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()


def never_waiting(fd: int) -> int:
    """A descriptor for the same place, on which a write never waits; ``fd`` itself where there is nothing better."""
    own = _reopened(fd) if _has_reader(fd, os.fstat(fd).st_mode) else -1
    return fd if own < 0 else own


def discard(fd: int) -> None:
    """Let what is written to a descriptor from here on go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, fd, inheritable=os.get_inheritable(fd))
    os.close(nowhere)


def _has_reader(fd: int, mode: int) -> bool:
    return stat.S_ISFIFO(mode) or (stat.S_ISCHR(mode) and os.isatty(fd))


def _reopened(fd: int) -> int:
    # On Linux that makes an open file description of its own (proc(5)); elsewhere it would be the same one again.
    if sys.platform != "linux":
        return -1
    try:
        return os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:  # another user's, or without a reader by now
        return -1
