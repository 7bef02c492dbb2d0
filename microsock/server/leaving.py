"""How a worker leaves while another serves in its place already: nobody is hurried who need not be.

What is idle stays for its next request or its own deadline; WebSockets are sent away one after the other; what is
running has the grace time. Knows no listener and no app.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from ..log import logger
from .connection import Connection
from .timers import Timers

__all__ = ["Leaving"]

# All clients of a WebSocket come back at once when it closes: not all of them in the same instant.
_SPREAD_SECONDS, _APART_SECONDS = 3.0, 0.05


class Leaving:
    """Sends the connections of one worker away.

    Args:
        connections: those that are open; the collection itself, which changes.
        timers: the loop's.
        within: seconds that what is running has.
    """

    def __init__(self, connections: Collection[Connection], timers: Timers, within: float) -> None:
        self._connections = connections
        self._timers = timers
        self._within = within
        self._spared: set[Connection] = set()
        self._over = False

    def begin(self) -> None:
        """Tell every connection, now or in its turn."""
        now = self._timers.now()
        sockets = [connection for connection in self._connections if connection.is_websocket]
        spread = min(_SPREAD_SECONDS, self._within / 2)
        apart = min(_APART_SECONDS, spread / max(1, len(sockets)))
        for place, connection in enumerate(sockets):
            self._timers.call_at(now + place * apart, partial(_tell, connection))
        for connection in list(self._connections):
            if not connection.is_websocket:
                _tell(connection)
        self._timers.call_at(now + self._within, self._cut)

    def give_up(self) -> None:
        """The server stops: others say from here on who is cut."""
        self._over = True

    def _cut(self) -> None:
        if self._over:
            return
        idle = {connection for connection in self._connections if connection.is_idle}
        # What was idle last time may have begun something just now: it has as long for that as the others had.
        busy = [each for each in self._connections if each not in idle and each not in self._spared]
        self._spared = idle
        if busy:
            logger.warning("the time to leave is over; connections cut: %d", len(busy))
        for connection in busy:
            connection.guarded(connection.abort)
        if self._connections:
            self._timers.call_at(self._timers.now() + self._within, self._cut)


def _tell(connection: Connection) -> None:
    connection.guarded(connection.drain)
