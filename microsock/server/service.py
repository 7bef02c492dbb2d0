"""What a started server is made of: listener, loop, site and connections; how they begin, drain and end.

One thread at a time turns it; ``ask_to_stop`` alone may be called by others, and by signal handlers.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from .. import forked
from ..adapters.threads import ThreadPool
from ..app import App
from ..board import Board, private_board
from ..errors import BadSetting, SetupError
from ..failures import error_text, log_failure, reraise_if_fatal
from ..log import logger
from ..request import Address
from ..settings import Settings
from ..site import AccessEntry, Site
from ..startup import uncollected
from ..tally import Cell
from . import spare
from .binding import Bound, loopback_names
from .connection import Connection
from .dates import HttpDate
from .departures import Departures
from .elsewhere import Shared
from .heap import Heap
from .listener import Listener, connection_limit
from .loop import Loop
from .parts import Parts
from .reception import Reception
from .sockets import SocketTransport
from .systemd import Notifier
from .watchdog import Watchdog

if TYPE_CHECKING:
    from socket import socket

    from .certificates import Certificates
    from .leaving import Leaving

__all__ = ["Service"]

# How long clients wait at most for the bus to have all that was published before.
_WELCOME_SECONDS = 5.0


class Service:
    """Serves an app on sockets that listen already, from ``step`` to ``step``, until ``finished``.

    The loop is left for the caller to close, since a signal may write to its wake-up until then.
    """

    def __init__(self, app: App, settings: Settings, bound: Sequence[Bound], parts: Parts | None = None) -> None:
        _keep_heap()
        self.parts = parts or Parts()
        self.loop = Loop()
        board, slot = _board_and_slot(self.parts, self.loop.timers.now)
        self._shared = Shared(settings, self.parts, self.loop)
        self.site = Site(
            app,
            settings,
            now=self.loop.timers.now,
            call_at=self.loop.timers.call_at,
            call_soon=self.loop.call_soon,
            call_next_turn=self.loop.call_next_turn,
            post=self.loop.post,
            on_loop=self.loop.in_turn,
            executor=(pool := ThreadPool(settings.threads, settings.max_queued_calls, self.loop.deliver)),
            new_id=_new_id,
            http_date=HttpDate().__call__,
            access=_access_log(settings),
            bus=self._shared.bus,
            board=board,
            tally=board.tally(slot, os.getpid()),
            limits=self._shared.limits,
            clients=self.parts.clients,
            own_names=loopback_names(bound),
        )
        self.site.departures = Departures(self.loop)
        self.site.on_cleaned_up = self._finish_if_empty
        self.reception = Reception(self.loop, settings.tls_timeout, welcome=self._welcome, left=self._client_left)
        self.listener = Listener(
            bound,
            self.loop,
            max_connections=connection_limit(settings.max_connections),
            accepted=self._accepted,
            # The other workers serve meanwhile; this one does once it has what was published before.
            shut=self.parts.bus is not None,
            max_per_address=settings.max_connections_per_address,
            refused=partial(self.site.tally.add, Cell.CONNECTIONS_REFUSED),
            **({"batch": 1} if self.parts.workers > 1 else {}),
        )
        self.watchdog = Watchdog(
            self.loop,
            self.site.tally,
            queued_calls=lambda: pool.queued,
            queued_clients=self.listener.queued,
            now=board.now,
            look_also=Heap(self.site.buffered).look,
        )
        self.finished = False
        self.cut_at: float | None = None
        """When what is not done is cut, on the clock of the timers; None while nobody has asked to stop."""
        self.leaves_backlog = False
        """Whether another process takes our place, on the same sockets, and accepts who waits in the backlog."""
        self._opened = False
        self._spare_is_due = False
        self._leaving: Leaving | None = None
        self._notifier: Notifier | None = None
        self._connections: dict[Connection, SocketTransport] = {}
        self._on_closed: Callable[[Connection], None] = self._connection_closed  # one for all of them
        self._asked: deque[float] = deque()

    @property
    def connections(self) -> list[Connection]:
        """Those that are open."""
        return list(self._connections)

    def step(self, timeout: float | None) -> int:
        """One turn, waiting ``timeout`` seconds at most; gives the number of events handled.

        The first one runs the app's start hooks. Raises ``SetupError`` if one of them fails; that ends the service.
        """
        while self._asked and not self.finished:
            self._drain(self._asked.popleft())
        if not self._opened and not self.finished:
            self._open()
        return 0 if self.finished else self.loop.step(timeout)

    def next_timeout(self) -> float | None:
        """How long ``step`` may wait without being late, in seconds; None if only news can end its wait."""
        if self.finished:
            return None
        return self.loop.next_timeout() if self._opened else 0.0

    def run_until(self, when: float) -> None:
        """Take turns until the service has finished, or its clock says ``when``."""
        timers = self.loop.timers
        while not self.finished:
            self.step(max(0.0, when - timers.now()))
            if timers.now() >= when:
                break

    def ask_to_stop(self, within: float) -> None:
        """Have the next turn begin to drain; what is open after ``within`` seconds is cut. From any thread."""
        self.site.ending = True
        self._asked.append(within)
        self.loop.wake()

    def leave(self, within: float) -> None:
        """Drain without hurry, since another worker serves in our place. For the loop's thread.

        What runs is cut after ``within`` seconds; idle connections stay until their next request or own deadline.
        """
        if self.site.draining:
            return
        from .leaving import Leaving  # only workers leave, and their parent has loaded it

        # What waits in the backlog is the others' to accept.
        self.listener.close()
        self.site.ending = self.site.draining = self.site.leaving = self.site.succeeded = True
        self._leaving = Leaving(self._connections, self.loop.timers, within)
        self._leaving.begin()
        if self._is_empty():
            self._finish()

    def tell(self, notifier: Notifier) -> None:
        """Have systemd told that all is ready now, as long as the loop turns, and when it stops."""
        self._notifier = notifier
        notifier.ready()
        self._feed_watchdog(notifier)

    def _feed_watchdog(self, notifier: Notifier) -> None:
        if notifier.watchdog_seconds is not None and not self.finished:
            notifier.watchdog()
            now = self.loop.timers.now()
            self.loop.timers.call_at(now + notifier.watchdog_seconds, partial(self._feed_watchdog, notifier))

    def reload_certificates(self) -> None:
        """Read the certificates again, for handshakes from now on. If something is wrong it is logged; the old stay."""
        for certificates in {id(each.certificates): each.certificates for each in self.listener.bound}.values():
            if certificates is not None:
                try:
                    certificates.reload()
                except BadSetting as error:
                    logger.error("the certificates are not read again: %s", error)

    def hand_over(self) -> list[Bound]:
        """The listening sockets, for others to serve on; this service is finished before it has begun.

        Raises ``RuntimeError`` once it has.
        """
        if self._opened:
            raise RuntimeError("this server serves in this process already; it cannot fork workers any more")
        self.finished = True
        return self.listener.hand_over()

    def leave_to_parent(self) -> None:
        """In a process that the app has forked: close its copies of all descriptors, and serve nobody here."""
        self.finished = True
        self.loop.abandon()
        self.listener.forget()
        self.reception.forget()
        for transport in self._connections.values():
            transport.forget()
        with contextlib.suppress(ValueError):  # not attached yet
            self.site.app.detach(self.site)

    def stop_at_once(self) -> None:
        """Cut every connection and finish."""
        self.cut_at = self.loop.timers.now()
        self.listener.close()
        _guarded(self.reception.abort)
        for connection in list(self._connections):
            _guarded(connection.abort)
        self._finish()

    def dispose(self) -> None:
        """Refer no more to what refers to this: then all of it goes with its last user. The last call of all."""
        self.listener.dispose()
        self.reception.dispose()
        self.site.dispose()
        self._on_closed = _nobody

    def _open(self) -> None:
        self._opened = True
        # A child that the app has forked may serve too: as a server of its own, from here to its end.
        self._end_child, forked.end_child = forked.end_child, None
        try:
            self.site.start()
        except BaseException as error:
            reraise_if_fatal(error)
            self.listener.close()
            self.finished = True
            _guarded(self._shared.close)
            self.site.app.detach(self.site)
            raise SetupError(f"on_start raised {error_text(error)}") from error
        self.watchdog.start()
        self.loop.timers.call_at(self.loop.timers.now() + spare.SECONDS, self._load_spare)
        self._spare_is_due = True
        if self.parts.bus is not None:
            # Late is better than never: without a welcome in time, history and retained values come when they come.
            self.loop.timers.call_at(self.loop.timers.now() + _WELCOME_SECONDS, self.listener.begin)
            self.site.bus.when_ready(self.listener.begin)

    def _load_spare(self) -> None:
        self._spare_is_due = False
        try:
            with uncollected():
                spare.load(bool(self.site.app.router.websockets) and self.site.settings.websocket)
        except OSError as error:
            # The app itself may have used up all descriptors.
            self.loop.timers.call_at(self.loop.timers.now() + 1.0, self._load_spare)
            logger.warning("cannot load what some requests need: %s; trying again", error.strerror)

    def _accepted(self, sock: socket, client: Address, certificates: Certificates | None) -> None:
        # Also those count that are in the middle of a handshake.
        if self._spare_is_due and self.listener.connections >= spare.CONNECTIONS:
            self._load_spare()
        self.reception.receive(sock, client, certificates)

    def _welcome(self, transport: SocketTransport, client: Address, scheme: str) -> None:
        connection = Connection(
            self.site,
            transport,
            self.loop.timers,
            client=client,
            scheme=scheme,
            on_closed=self._on_closed,
        )
        transport.handler = connection
        self._connections[connection] = transport
        if self.site.draining:
            connection.drain()

    def _connection_closed(self, connection: Connection) -> None:
        self._connections.pop(connection, None)
        self._client_left(connection.client)

    def _client_left(self, client: Address) -> None:
        self.listener.released(client)
        self._finish_if_empty()

    def _is_empty(self) -> bool:
        gone = not self._connections and not self.reception.waiting and not self.site.cleanups
        return gone and self.listener.closed

    def _drain(self, within: float) -> None:
        # Asked again, it may have less time than before; the earliest cut is the last.
        cut_at = self.loop.timers.now() + within
        self.cut_at = cut_at if self.cut_at is None else min(cut_at, self.cut_at)
        self.loop.timers.call_at(cut_at, self._cut)
        if self._leaving is not None:
            self._hurry(self._leaving)
        if self.site.draining:
            return
        self.site.ending = self.site.draining = True
        if self._notifier is not None:
            self._notifier.stopping()
        self.reception.drain()
        for connection in list(self._connections):
            if not _guarded(connection.drain):
                _guarded(connection.abort)
        self._drain_backlog()
        if self._is_empty():
            self._finish()

    def _drain_backlog(self) -> None:
        if self.leaves_backlog or not self._opened:
            self.listener.close()
            return
        if not self.parts.worker:
            # Of workers, one may stop while others go on: it is the parent that knows.
            for each in self.listener.bound:
                each.queue_nobody()
        # Clients in the backlog have been told that we are there. The kernel takes one more than it is told.
        self.listener.drain(self.site.settings.backlog + 1, self._finish_if_empty)

    def _finish_if_empty(self) -> None:
        if self.site.draining and self._is_empty():
            # Not from here: a connection may be still in the middle of what closed it.
            self.loop.call_soon(self._finish)

    def _hurry(self, leaving: Leaving) -> None:
        # It was to leave, and now the whole server stops.
        leaving.give_up()
        self._leaving = None
        self.site.leaving = False
        for connection in list(self._connections):
            _guarded(connection.drain)

    def _cut(self) -> None:
        logger.warning("the time to stop is over; connections cut: %d", len(self._connections))
        self.stop_at_once()

    def _finish(self) -> None:
        if self.finished:
            return
        self.finished = True
        if self._opened:
            forked.end_child = self._end_child
        self.watchdog.stop()
        if self._opened:
            _guarded(self.site.stop)
        _guarded(self._shared.close)


def _nobody(connection: Connection) -> None:
    """In the place of a service that has ended."""


def _guarded(call: Callable[[], object]) -> bool:
    # One that fails must not keep the others from ending.
    try:
        call()
    except BaseException as error:
        reraise_if_fatal(error)
        log_failure(error, "unexpected error while stopping")
        return False
    return True


def _board_and_slot(parts: Parts, now: Callable[[], float]) -> tuple[Board, int]:
    if parts.board is not None:
        return parts.board, parts.slot
    board = private_board(now)
    return board, board.claim(parts.worker)


def _access_log(settings: Settings) -> Callable[[AccessEntry], None] | None:
    if not settings.access_log:
        return None
    from .access import AccessLog  # only where there is one

    return AccessLog(settings.access_log_format)


def _new_id() -> str:
    # As `secrets.token_hex(8)`, which loads OpenSSL for it.
    return os.urandom(8).hex()


def _keep_heap() -> None:
    # glibc gives the top of the heap back whenever 128 kB of it are free, and each buffer of 64 kB faults it in again.
    # Freeing one large block teaches it a higher mark, M_TRIM_THRESHOLD of mallopt(3); the block is never touched.
    bytes(4 << 20)
