"""The mark of a socket that a server listens at: an empty file in memory, which ends with its process.

Its name says which socket is meant, and which process serves it. So a process that has closed the socket, and a child
that has only inherited both, are no servers by it; see ``identity``.
"""

from __future__ import annotations

import contextlib
import os
import socket

__all__ = ["MARK", "Mark"]

MARK = "microsock-server"


class Mark:
    """Lets others of this user know that this process serves a socket, until ``close``. Costs one file descriptor.

    Where the system has no files in memory there is no mark, and nobody is known by it.
    """

    __slots__ = ("_descriptor", "_pid")

    def __init__(self, sock: socket.socket) -> None:
        self._descriptor: int | None = None
        self._pid = 0
        self.renew(sock)

    def renew(self, sock: socket.socket) -> None:
        """In a forked process that goes on to serve the socket: make it this process's own."""
        if self._pid == os.getpid():
            return
        self.close()
        self._pid = os.getpid()
        if hasattr(os, "memfd_create"):
            with contextlib.suppress(OSError):
                self._descriptor = os.memfd_create(f"{MARK}:{os.fstat(sock.fileno()).st_ino}:{self._pid}")

    def close(self) -> None:
        """Take it away. May be called again."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def __del__(self) -> None:
        self.close()
