"""Listening sockets: accepting in small batches, and looking away while that cannot go well.

Knows nothing of addresses, and nothing of what is done with the connections it accepts.
"""

from __future__ import annotations

import functools
import logging
import resource
import socket
from collections.abc import Callable
from sys import intern

from ..request import Address
from .loop import Loop

__all__ = ["Listener", "connection_limit"]

logger = logging.getLogger("microsock")

# The connections that are open wait while a batch is accepted.
_BATCH = 16
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 1.0
_LOG_SECONDS = 1.0
# Descriptors kept back for the app's own files, the log and ourselves.
_RESERVED_DESCRIPTORS = 32


def connection_limit(max_connections: int | None) -> int:
    """How many connections may be open: what the setting says, else what the file-descriptor limit leaves."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max_connections or max(1, soft - _RESERVED_DESCRIPTORS)


class Listener:
    """The listening sockets of one server, under its loop's eye.

    Args:
        sockets: bound and listening; it owns them from here on.
        max_connections: past it, clients wait in the kernel's backlog until one of ours has closed.
        accepted: called with the socket and address of each new client.
    """

    def __init__(
        self,
        sockets: list[socket.socket],
        loop: Loop,
        *,
        max_connections: int,
        accepted: Callable[[socket.socket, Address], object],
    ) -> None:
        self.sockets = sockets
        self.connections = 0
        self._timers = loop.timers
        self._max_connections = max_connections
        self._accepted = accepted
        self._open = True
        self._pausing = False
        self._pause_seconds = _FIRST_PAUSE
        self._last_log = -_LOG_SECONDS
        self._watches = [loop.watch(sock.fileno(), functools.partial(self._accept_batch, sock)) for sock in sockets]
        self._watch()

    def released(self) -> None:
        """One of the accepted connections has closed: there is room for another."""
        self.connections -= 1
        self._watch()

    def accept_waiting(self, most: int) -> None:
        """Accept what waits in the backlogs, up to ``most`` of each: the last deed before ``close``."""
        for sock in self.sockets:
            for _ in range(most):
                if not self._accept_one(sock):
                    break

    def close(self) -> None:
        """Stop listening. What still waits in a backlog is reset by the kernel."""
        self._open = False
        for watch, sock in zip(self._watches, self.sockets, strict=True):
            watch.close()
            sock.close()

    def _watch(self) -> None:
        # The one place that decides whether we listen at the moment.
        wanted = self._open and not self._pausing and self.connections < self._max_connections
        for watch in self._watches:
            watch.want(wanted, False)

    def _accept_batch(self, sock: socket.socket, readable: bool, writable: bool) -> None:
        for _ in range(_BATCH):
            if not self._accept_one(sock):
                break

    def _accept_one(self, listening: socket.socket) -> bool:
        # Says whether there may be another.
        if self.connections >= self._max_connections:
            return False
        try:
            sock, peer = listening.accept()
        except BlockingIOError:
            return False
        except ConnectionAbortedError:
            return True  # That client gave up while it waited.
        except OSError as error:
            self._pause(error)
            return False
        self._pause_seconds = _FIRST_PAUSE
        self._hand_over(sock, Address(intern(peer[0]), peer[1]))
        return True

    def _hand_over(self, sock: socket.socket, client: Address) -> None:
        self.connections += 1
        if self.connections == self._max_connections:
            self._watch()
            self._log(f"max_connections is reached ({self.connections}); new clients wait")
        try:
            self._accepted(sock, client)
        except Exception:
            sock.close()
            self.released()
            raise

    def _pause(self, error: OSError) -> None:
        # EMFILE and ENFILE above all: the client stays in the backlog, so that the selector would report it
        # again and again. Look away for a while.
        self._log(f"cannot accept a connection: {error.strerror} ({self.connections} are open); new clients wait")
        self._pausing = True
        self._watch()
        self._timers.call_at(self._timers.now() + self._pause_seconds, self._resume)
        self._pause_seconds = min(_LONGEST_PAUSE, self._pause_seconds * 2)

    def _resume(self) -> None:
        self._pausing = False
        self._watch()

    def _log(self, message: str) -> None:
        now = self._timers.now()
        if now - self._last_log >= _LOG_SECONDS:
            self._last_log = now
            logger.warning("%s", message)
