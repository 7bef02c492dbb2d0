"""What a started server is made of: listener, loop, site and connections; how they begin, drain and end.

One thread at a time turns it; ``ask_to_stop`` alone may be called by others, and by signal handlers.
"""

from __future__ import annotations

import logging
import secrets
import socket
from collections import deque
from collections.abc import Callable
from functools import partial

from ..adapters.threads import ThreadPool
from ..app import App
from ..errors import SetupError
from ..request import Address
from ..settings import Settings
from ..site import Site
from .access import AccessLog
from .connection import Connection
from .dates import HttpDate
from .listener import Listener, connection_limit
from .loop import Loop
from .sockets import SocketTransport

__all__ = ["Service"]

logger = logging.getLogger("microsock")


class Service:
    """Serves an app on sockets that listen already, from ``step`` to ``step``, until ``finished``.

    The loop is left for the caller to close, since a signal may write to its wake-up until then.
    """

    def __init__(self, app: App, settings: Settings, sockets: list[socket.socket]) -> None:
        _keep_heap()
        self.loop = Loop()
        self.site = Site(
            app,
            settings,
            now=self.loop.timers.now,
            call_at=self.loop.timers.call_at,
            call_soon=self.loop.call_soon,
            post=self.loop.post,
            on_loop=self.loop.in_turn,
            executor=ThreadPool(settings.threads, settings.max_queued_calls, self.loop.deliver),
            new_id=partial(secrets.token_hex, 8),
            http_date=HttpDate(),
            access=AccessLog() if settings.access_log else None,
        )
        self.listener = Listener(
            sockets,
            self.loop,
            max_connections=connection_limit(settings.max_connections),
            accepted=self._accepted,
        )
        self.finished = False
        self._opened = False
        self._connections: set[Connection] = set()
        self._asked: deque[float] = deque()

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
        self._asked.append(within)
        self.loop.wake()

    def stop_at_once(self) -> None:
        """Cut every connection and finish."""
        self.listener.close()
        for connection in list(self._connections):
            _guarded(connection.abort)
        self._finish()

    def _open(self) -> None:
        self._opened = True
        try:
            self.site.start()
        except Exception as error:
            self.listener.close()
            self.finished = True
            self.site.app.detach(self.site)
            raise SetupError(f"on_start raised {type(error).__name__}: {error}") from error

    def _accepted(self, sock: socket.socket, client: Address) -> None:
        transport = SocketTransport(sock, self.loop)
        try:
            connection = Connection(
                self.site, transport, self.loop.timers, client=client, on_closed=self._connection_closed
            )
        except BaseException:
            transport.close()
            raise
        transport.handler = connection
        self._connections.add(connection)

    def _connection_closed(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self.listener.released()
        if self.site.draining and not self._connections:
            # Not from here: the connection is still in the middle of what closed it.
            self.loop.call_soon(self._finish)

    def _drain(self, within: float) -> None:
        # Asked again, it may have less time than before; the earliest cut is the last.
        self.loop.timers.call_at(self.loop.timers.now() + within, self._cut)
        if self.site.draining:
            return
        self.site.draining = True
        if self._opened:
            # Clients in the backlog have been told that we are there.
            self.listener.accept_waiting(self.site.settings.backlog)
        self.listener.close()
        for connection in list(self._connections):
            if not _guarded(connection.drain):
                _guarded(connection.abort)
        if not self._connections:
            self._finish()

    def _cut(self) -> None:
        logger.warning("the time to stop is over; connections cut: %d", len(self._connections))
        self.stop_at_once()

    def _finish(self) -> None:
        if self.finished:
            return
        self.finished = True
        if self._opened:
            _guarded(self.site.stop)


def _guarded(call: Callable[[], object]) -> bool:
    # One that fails must not keep the others from ending.
    try:
        call()
    except Exception:
        logger.exception("unexpected error while stopping")
        return False
    return True


def _keep_heap() -> None:
    # glibc gives the top of the heap back whenever 128 kB of it are free, and each buffer of 64 kB faults it in again.
    # Freeing one large block teaches it a higher mark, M_TRIM_THRESHOLD of mallopt(3); the block is never touched.
    bytes(4 << 20)
