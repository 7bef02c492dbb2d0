"""How long a connection waits, and for what: every wait of its session as a named deadline.

The session says what it waits for, the settings how long; this arms, moves and enforces. Knows no transport.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

from ..exchange import Exchange
from ..protocol.events import Waiting
from ..site import Site
from .progress import Progress
from .timers import Deadlines, Timers

if TYPE_CHECKING:
    from .connection import Connection

__all__ = ["Patience"]

# How long the peer may take to close after we have, and while draining, when an idle connection has half a second to
# send one more request: all is to be over within a second of the last answer.
_LINGER, _LINGER_DRAINING, _DRAIN = 1.0, 0.25, 0.5
# How many times within the write timeout to see whether the peer takes anything.
_LOOKS = 8
# A body that has taken so many body timeouts (ten minutes) must average so many times the least rate (50 kB/s) from
# then on: at the least rate itself, one that is as large as it may be would take nine hours.
_LONG, _DECENT = 60, 100
_TRY_LATER = 1013
# Looked up behind every answer and message; see `http1`.
_IDLE, _BODY, _MESSAGE = Waiting.IDLE, Waiting.BODY, Waiting.MESSAGE


class Patience(Deadlines):
    """The deadlines of one connection. Call ``look`` at the end of each of its turns."""

    __slots__ = (
        "_connection", "_deaf_at", "_exchange", "_inbound", "_number", "_outbound", "_ping_end", "_pinged_at",
        "_settings", "_site", "_waiting",
    )  # fmt: skip

    def __init__(self, connection: Connection, exchange: Exchange, site: Site, timers: Timers) -> None:
        super().__init__(timers)
        self._connection = connection
        self._exchange = exchange
        self._site = site
        self._settings = site.settings
        self._waiting: Waiting | None = None
        self._number = 0  # of the request that this wait belongs to
        self._inbound: Progress | None = None
        self._outbound: Progress | None = None
        self._deaf_at = -math.inf  # when we last did not read
        self._pinged_at = 0  # bytes received when the last ping was sent
        self._ping_end = 0  # bytes sent up to its end, while it waits behind others

    @property
    def resting(self) -> bool:
        """Whether an open WebSocket is all that it waits on, and was so at the last look."""
        return self._waiting is _MESSAGE and self._outbound is None

    def look(self) -> None:
        """See what the connection waits for by now."""
        connection, exchange = self._connection, self._exchange
        waiting = exchange.session.phase.waiting
        if exchange.answered != self._number or waiting is not self._waiting:
            self._waiting, self._number = waiting, exchange.answered
            self._start_wait(waiting)
        elif waiting is _BODY:
            self._check_body()
        if not connection.reading:
            self._deaf_at = self._timers.now()
        if not connection.queued_bytes:
            if self._outbound is not None:
                self._outbound = None
                self.clear("write")
        elif self._outbound is None:
            self._outbound = self._from_here(connection.acknowledged)
            self.set("write", self._timers.now() + self._settings.write_timeout / _LOOKS)

    def answered(self) -> None:
        """A request was answered straight; what is waited for is the next, as before.

        Called for the first on a connection. Of all others the exchange knows when they were, and is asked when the
        deadline of the first has come.
        """
        if self._site.draining:
            self.look()  # its own handler has stopped the server: the deadline is set, and not to be put off
        else:
            self.set("wait", self._rested())

    def _rested(self) -> float:
        self._number = self._exchange.answered
        return self._exchange.rested + self._settings.keep_alive_timeout

    def get(self, name: str) -> float | None:
        """When the deadline of this name passes; None if it is not set."""
        if name == "wait" and self._number != self._exchange.answered and self._waiting is _IDLE:
            self._wait = self._rested()
        return super().get(name)

    def drain(self) -> None:
        """The server stops: half a second for a request that is on its way, nothing for a half-read head.

        Where another worker serves already there is no hurry: the client's own deadline holds for both.
        """
        if self._site.leaving:
            return
        waiting, self._number = self._exchange.session.waiting, self._exchange.answered
        if waiting is Waiting.IDLE:
            self.set("wait", self._timers.now() + _DRAIN)
        elif waiting is Waiting.HEAD:
            self._exchange.session.http.abandon()

    def linger(self) -> None:
        """We have closed our side: wait for the peer to close its own."""
        for name in ("wait", "write", "ping", "pong", "room"):
            self.clear(name)
        self._waiting = None  # the session has nothing more to wait for
        self._outbound = self._from_here(self._connection.acknowledged)
        self.set("linger", self._timers.now() + self._linger_seconds)

    def linger_less(self) -> None:
        """The server stops while we wait for the peer to close."""
        until = self.get("linger")
        if until is not None:
            self.set("linger", min(until, self._timers.now() + self._linger_seconds))

    @property
    def _linger_seconds(self) -> float:
        return _LINGER_DRAINING if self._site.draining and not self._site.leaving else _LINGER

    def _from_here(self, count: int) -> Progress:
        return Progress(self._timers.now(), count)

    def passed(self, name: str) -> None:
        """A deadline has passed: what follows from it, and a turn of the connection."""
        connection = self._connection
        connection.guarded(partial(_ENFORCE[name], self))
        connection.handle(False, False)

    def wait_for_room(self, waits: bool) -> None:
        """Whether it waits since all connections hold too much: that has an end too."""
        if not waits:
            self.clear("room")
        elif self.get("room") is None:
            self.set("room", self._timers.now() + self._settings.body_timeout)

    def drop(self) -> None:
        """The connection has closed: refer to it no more. Nothing is to be called after this."""
        del self._connection

    # What the session waits for.

    def _start_wait(self, waiting: Waiting) -> None:
        seconds = self._seconds(waiting)
        if seconds is None:
            self.clear("wait")
        else:
            self.set("wait", self._timers.now() + seconds)
        self._inbound = self._from_here(self._connection.received) if waiting is _BODY else None
        if waiting is _MESSAGE and self._settings.ping_interval is not None:
            self.set("ping", self._timers.now() + self._settings.ping_interval)

    def _seconds(self, waiting: Waiting) -> float | None:
        settings = self._settings
        if waiting is _IDLE:
            if self._site.draining and not self._site.leaving:
                return _DRAIN
            return settings.keep_alive_timeout if self._number else settings.head_timeout
        if waiting is Waiting.HEAD:
            return _DRAIN if self._site.draining and not self._site.leaving else settings.head_timeout
        if waiting is _BODY:
            return settings.body_timeout
        return settings.close_timeout if waiting is Waiting.CLOSE else None

    def _end_wait(self) -> None:
        if self._exchange.session.waiting is not Waiting.CLOSE:
            self._exchange.time_out()
        elif self._connection.queued_bytes:
            # The peer cannot answer a Close that has not left yet; the write deadline watches over that.
            self.set("wait", self._timers.now() + self._settings.close_timeout)
        else:
            self._connection.abort()

    def _check_body(self) -> None:
        # A body that makes progress has more time, unless it is a trickle that keeps us waiting on purpose.
        progress = self._inbound
        if progress is None or not progress.moved(self._timers.now(), self._connection.received):
            return
        timeout, rate = self._settings.body_timeout, self._settings.min_rate
        if progress.too_slow(timeout, rate) or progress.too_slow(_LONG * timeout, _DECENT * rate):
            self._end_wait()
        else:
            self.set("wait", self._timers.now() + timeout)

    def _no_room(self) -> None:
        conversation = self._exchange.conversation
        if conversation is not None:
            conversation.end(_TRY_LATER, "the server has no room for this message now")

    # What the peer takes.

    def _check_writing(self) -> None:
        timeout, progress = self._settings.write_timeout, self._outbound
        if progress is None:
            return
        progress.moved(self._timers.now(), self._connection.acknowledged)
        if progress.stuck(timeout) or progress.too_slow(timeout, self._settings.min_rate):
            self._connection.abort()
        else:
            self.set("write", self._timers.now() + timeout / _LOOKS)

    def _check_lingering(self) -> None:
        # The last answer may still be on its way to a slow peer.
        progress = self._outbound
        assert progress is not None
        progress.moved(self._timers.now(), self._connection.acknowledged)
        taken = self._connection.acknowledged == self._connection.sent
        timeout = self._settings.write_timeout
        if taken or progress.stuck(timeout) or progress.too_slow(timeout, self._settings.min_rate):
            self._connection.abort()
        else:
            self.set("linger", self._timers.now() + self._linger_seconds)

    # Whether a WebSocket's peer is still there (RFC 6455 section 5.5.2).

    def _ping(self) -> None:
        conversation, interval = self._exchange.conversation, self._settings.ping_interval
        if conversation is None or conversation.close_code is not None or interval is None:
            return
        connection, now = self._connection, self._timers.now()
        self.set("ping", now + interval)
        if self.get("pong") is None or connection.received > self._pinged_at:
            acknowledged = connection.acknowledged
            alone = not connection.queued_bytes and acknowledged == connection.sent
            conversation.ping(b"")
            self._pinged_at = connection.received
            self._ping_end = 0 if alone else connection.sent + connection.queued_bytes
            self._inbound = self._from_here(acknowledged)
            self.set("pong", now + self._settings.ping_timeout / (1 if alone else _LOOKS))

    def _check_pong(self) -> None:
        connection, timeout, now = self._connection, self._settings.ping_timeout, self._timers.now()
        if connection.received > self._pinged_at:
            return  # whatever came since shows that the peer lives; a long message may stand before its pong
        if self._ping_end:
            self._check_ping(now, timeout)
            return
        # While we do not read, its pong cannot come.
        until = (self._deaf_at if connection.reading else now) + timeout
        if until > now:
            self.set("pong", until)
        else:
            connection.abort()

    def _check_ping(self, now: float, timeout: float) -> None:
        # The time for a pong begins once its peer has the ping, which waited behind other bytes.
        connection, progress = self._connection, self._inbound
        assert progress is not None
        acknowledged = connection.acknowledged
        progress.moved(now, acknowledged)
        if acknowledged >= self._ping_end:
            self._ping_end = 0
            self.set("pong", now + timeout)
        elif progress.stuck(timeout) and connection.reading:
            connection.abort()
        else:
            self.set("pong", now + timeout / _LOOKS)


_ENFORCE = {
    "wait": Patience._end_wait,
    "write": Patience._check_writing,
    "linger": Patience._check_lingering,
    "ping": Patience._ping,
    "pong": Patience._check_pong,
    "room": Patience._no_room,
}
