"""One client that follows topics as an event stream: what is published becomes pieces of its answer.

Bounded as every follower is: past ``max_queued_bytes`` the ``slow_reader`` policy decides. Knows no session.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from .eventstream import EventStream
from .history import Record
from .site import Outlet, Site, Timer
from .slow_reader import SlowReader
from .streaming import Cut

__all__ = ["Following"]

# The first tells the browser that the stream is open before anything has happened.
_OPENED, _KEEP_ALIVE = b": open\n\n", b": keep-alive\n\n"


class Following:
    """The body of an answer that is an ``EventStream``; a ``Follower`` of its topics from the first pull on.

    Args:
        stream: what to follow.
        site: where it is published.
        last_event_id: what the client saw last, as it says itself; None for a new one.
        outlet: the connection's queue, into which the pieces are pulled.
        wake: called when there is something to pull.
    """

    socket = None
    parked = True

    def __init__(
        self,
        stream: EventStream,
        site: Site,
        last_event_id: str | None,
        outlet: Outlet,
        wake: Callable[[], None],
    ) -> None:
        self.content_type = stream.content_type
        self.headers = stream.headers
        self._stream = stream
        self._site = site
        self._last_event_id = last_event_id
        self._outlet = outlet
        self._wake = wake
        self._missed: deque[Record] | None = None  # None until the first pull
        self._opening = b""
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._reader: SlowReader | None = SlowReader(site, self, self._cut_off)  # None once it is closed
        self._ended = self._cut = False
        self._pulled_at = 0.0
        self._timer: Timer | None = None

    # For the answer.

    def pull(self) -> bytes | None:
        """See ``Body``. The first piece is a comment."""
        if self._cut:
            raise Cut
        piece = self._next()
        if piece:
            self._pulled_at = self._site.now()
        return piece

    @property
    def held(self) -> int:
        """See ``Body``."""
        return self._size

    def shown(self, piece: bytes | None) -> Iterable[Any]:
        """See ``Body``."""
        return self._stream

    def close(self) -> None:
        """Follow no more."""
        self._ended = True
        self._site.topics.discard(self)
        if self._reader is not None:
            self._reader.close()
            self._reader = None  # it refers to this
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _next(self) -> bytes | None:
        if self._missed is None:
            self._missed = self._follow()
            return _OPENED
        while self._missed:
            if event := self._event_of(self._missed.popleft()):
                return event
        if self._opening:
            # Now the client can come back and miss nothing, though it may have seen no event yet.
            opening, self._opening = self._opening, b""
            return opening
        if self._pieces:
            piece = self._pieces.popleft()
            self._size -= len(piece)
            return piece
        return None if self._ended else b""

    def _event_of(self, record: Record) -> bytes:
        # A new client gets retained values, older than what the opening id says: cut in between, it is new again.
        birth = self._site.history.birth
        return record.event(birth) if self._last_event_id else record.event_without_id(birth)

    def _follow(self) -> deque[Record]:
        site, topics = self._site, self._stream.topics
        for topic in topics:
            site.bus.keep(topic, self._stream.history)
            site.follow(topic, self)
        self._rest(self._stream.keep_alive)
        self._opening = site.history.opening()
        return deque(site.history.missed(self._last_event_id, topics))

    # For the topics.

    def deliver(self, record: Record) -> None:
        """Send on what was published."""
        piece = record.event(self._site.history.birth)
        if piece and self._reader is not None and self._reader.admits(len(piece)):
            self._add(piece)

    def end(self, code: int, reason: str) -> None:
        """Send what is here and end the answer; HTTP has no words for code and reason."""
        self.close()
        self._wake()

    # As an ``Outlet``. What was missed does not count: it is pulled as there is room.

    def queued(self) -> int:
        """See ``Outlet``."""
        return self._size + self._outlet.queued()

    def acknowledged(self) -> int:
        """See ``Outlet``."""
        return self._outlet.acknowledged()

    def _cut_off(self) -> None:
        self._pieces.clear()
        self._size = 0
        self._cut = True
        self.close()
        self._wake()

    def _add(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size += len(piece)
        self._wake()

    # Comments, so that proxies do not give the connection up and a dead one shows.

    def _rest(self, seconds: float) -> None:
        self._timer = self._site.call_at(self._site.now() + seconds, self._rested)

    def _rested(self) -> None:
        left = self._pulled_at + self._stream.keep_alive - self._site.now()
        if left <= 0 and not self._pieces and not self._outlet.queued():
            self._add(_KEEP_ALIVE)
        self._rest(left if left > 0 else self._stream.keep_alive)
