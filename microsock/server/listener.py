"""Listening sockets: accepting in small batches, and looking away while that cannot go well.

Knows nothing of how addresses are written, and nothing of what is done with the connections it accepts.
"""

from __future__ import annotations

import contextlib
import functools
import resource
import socket
import struct
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..log import logger
from ..request import Address
from .binding import Bound
from .loop import Loop

if TYPE_CHECKING:
    from .certificates import Certificates
    from .per_address import AddressLimit

__all__ = ["UNIX_CLIENT", "Listener", "client_address", "connection_limit"]

# The connections that are open wait while a batch is accepted.
_BATCH = 16
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 1.0
_LOG_SECONDS = 1.0
_MAPPED = "::ffff:"
UNIX_CLIENT = Address("unix", 0)
"""Who comes over a Unix socket: it has no address, and all who do are one for whatever counts by address."""

# Descriptors kept back for the app's own files, the log and ourselves.
_RESERVED_DESCRIPTORS = 32
# Up to tcpi_unacked, behind eight bytes and four numbers of 32 bits.
_TCP_INFO = struct.Struct("=24xI")


def connection_limit(max_connections: int | None) -> int:
    """How many connections may be open: what the setting says, else what the file-descriptor limit leaves."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max_connections or max(1, soft - _RESERVED_DESCRIPTORS)


class Listener:
    """The listening sockets of one server, under its loop's eye.

    Args:
        bound: what listens; it owns them from here on.
        max_connections: past it, clients wait in the kernel's backlog until one of ours has closed.
        accepted: called with the socket and address of each new client, and with the certificates if it is to
            speak TLS.
        batch: how many to accept in one turn; few where other workers wait at the same sockets, or one gets them all.
        shut: accept nobody before ``begin``.
        max_per_address: how many connections one address may have; past it a client is told so and closed at once.
        refused: called for each that is.
    """

    def __init__(
        self,
        bound: Sequence[Bound],
        loop: Loop,
        *,
        max_connections: int,
        accepted: Callable[[socket.socket, Address, Certificates | None], object],
        batch: int = _BATCH,
        shut: bool = False,
        max_per_address: int | None = None,
        refused: Callable[[], object] = lambda: None,
    ) -> None:
        self.bound = list(bound)
        self.connections = 0
        self._loop = loop
        self._timers = loop.timers
        self._max_connections = max_connections
        self._accepted = accepted
        self._batch = batch
        self._open = True
        self._drained: Callable[[], object] | None = None  # while the backlogs are emptied
        self._drain_due = False
        self._may_come: dict[Bound, int] = {}  # how many more from each backlog
        self._shut = shut
        self._addresses = None if max_per_address is None else _address_limit(max_per_address)
        self._refused = refused
        self._pausing = False
        self._pause_seconds = _FIRST_PAUSE
        self._last_log = -_LOG_SECONDS
        for each in bound:
            each.serve()
        self._watches = {
            each: loop.watch(each.sock.fileno(), functools.partial(self._accept_batch, each)) for each in bound
        }
        self._watch()

    def begin(self) -> None:
        """Accept from now on, if that was to wait. May be called again."""
        self._shut = False
        self._watch()

    def released(self, client: Address) -> None:
        """One of the accepted connections has closed: there is room for another."""
        self.connections -= 1
        if self._addresses is not None:
            self._addresses.released(client)
        self._watch()

    def drain(self, most: int, drained: Callable[[], object]) -> None:
        """Accept who waits in the backlogs, no more in one turn than before, and close each when it is empty.

        Args:
            most: so many of each at most: who connects all the time cannot keep it open.
            drained: called when all are closed; perhaps from within this call.
        """
        self._drained, self._drain_due = drained, True
        self._watch()
        for each in self._watches:
            self._may_come[each] = most
        self._drain_on()

    @property
    def closed(self) -> bool:
        """Whether nobody can come any more."""
        return not self._watches

    def hand_over(self) -> list[Bound]:
        """Leave the sockets to somebody else, still listening."""
        self._open = False
        self._watch()
        return self.bound

    def queued(self) -> int:
        """How many clients wait in the backlogs, as far as the kernel tells; from any thread."""
        return sum(_backlog(each.sock) for each in self.bound)

    def forget(self) -> None:
        """In a forked process: close its copies of the sockets."""
        for each in self.bound:
            each.sock.close()

    def close(self) -> None:
        """Stop listening. What still waits in a backlog is reset by the kernel."""
        self._open = False
        for each in list(self._watches):
            self._close(each)

    def _close(self, bound: Bound) -> None:
        self._watches.pop(bound).close()
        bound.close()

    def _drain_on(self) -> None:
        # By turns and not by news: there is none of a backlog that another worker has emptied.
        self._drain_due = False
        if self._drained is None:
            return
        for each in list(self._watches):
            self._accept_batch(each, True, False)
        if self.closed:
            drained, self._drained = self._drained, None
            drained()
        else:
            self._watch()

    def dispose(self) -> None:
        """Refer no more to whom it accepts for; after ``close``."""
        self._accepted = self._refused = _nobody

    def _watch(self) -> None:
        # The one place that decides whether we listen at the moment.
        able = self._open and not self._pausing and self.connections < self._max_connections
        wanted = able and not self._shut and self._drained is None
        for watch in self._watches.values():
            watch.want(wanted, False)
        if able and self._drained is not None and not self._drain_due:
            self._drain_due = True
            self._loop.call_soon(self._drain_on)

    def _accept_batch(self, bound: Bound, readable: bool, writable: bool) -> None:
        # The more clients are busy, the longer a turn: who is new must not wait for one turn each.
        for _ in range(max(self._batch, self._loop.news // 2)):
            if not self._accept_one(bound):
                break

    def _accept_one(self, bound: Bound) -> bool:
        # Says whether there may be another.
        if self.connections >= self._max_connections:
            return False
        try:
            sock, peer = bound.sock.accept()
        except BlockingIOError:
            if self._drained is not None:
                self._close(bound)
            return False
        except ConnectionAbortedError:
            return True  # That client gave up while it waited.
        except OSError as error:
            self._pause(error)
            return False
        self._pause_seconds = _FIRST_PAUSE
        client = client_address(peer)
        if self._addresses is None or self._addresses.admit(client):
            self._hand_over(sock, client, bound.certificates)
        else:
            self._refuse(sock, client, is_plain=bound.certificates is None)
        return self._drained is None or self._counted(bound)

    def _counted(self, bound: Bound) -> bool:
        self._may_come[bound] -= 1
        if not self._may_come[bound]:
            self._close(bound)
        return bound in self._watches

    def _refuse(self, sock: socket.socket, client: Address, *, is_plain: bool) -> None:
        # Closed at once, since it is to cost nothing; the few bytes of an answer always fit into a new socket. What
        # has come is read, or the client would see a reset in place of the answer.
        from .per_address import REFUSAL  # loaded with the limit

        self._log(f"max_connections_per_address is reached by {client.host}; its further clients are refused")
        self._refused()
        with sock, contextlib.suppress(OSError):
            if is_plain:
                sock.setblocking(False)
                sock.send(REFUSAL)
                sock.shutdown(socket.SHUT_WR)
                sock.recv(1 << 16)

    def _hand_over(self, sock: socket.socket, client: Address, certificates: Certificates | None) -> None:
        self.connections += 1
        if self.connections == self._max_connections:
            self._watch()
            self._log(f"max_connections is reached ({self.connections}); new clients wait")
        try:
            self._accepted(sock, client, certificates)
        except Exception:
            sock.close()
            self.released(client)
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


def _nobody(*arguments: object) -> None:
    """In the place of who was to be called."""


def _address_limit(most: int) -> AddressLimit:
    from .per_address import AddressLimit  # only where there is one

    return AddressLimit(most)


@functools.lru_cache(maxsize=1024)
def _shared(host: str) -> str:
    # One text for all connections of a client. Not interned: Python 3.12 would keep it for ever.
    return host


def client_address(peer: tuple[Any, ...] | str | bytes) -> Address:
    """A client's address, from what ``accept`` says of it."""
    if not isinstance(peer, tuple):
        return UNIX_CLIENT
    host: str = peer[0]
    # A client of IPv4 on an IPv6 socket is the same client as on a socket of its own (RFC 4291 section 2.5.5.2).
    if host.startswith(_MAPPED) and "." in host:
        host = host.removeprefix(_MAPPED)
    return Address(_shared(host), peer[1])


def _backlog(sock: socket.socket) -> int:
    # Linux tells of a listening TCP socket in tcpi_unacked of tcp_info how long its queue is.
    if sock.family == socket.AF_UNIX or not hasattr(socket, "TCP_INFO"):
        return 0
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
        return int(_TCP_INFO.unpack(info)[0])
    except (OSError, struct.error):
        return 0
