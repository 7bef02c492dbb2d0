"""The client's end of an event stream in memory: what a browser's ``EventSource`` would see, event by event.

Parses as the HTML Standard says (section 9.2.6). Knows nothing of the server but its bytes.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import httpx

from .errors import EventStreamEnded, StillWaiting
from .http import HTTPConnection

__all__ = ["EventParser", "EventReader", "ReceivedEvent"]

_MAX_UNREAD = 4 << 20


class ReceivedEvent(NamedTuple):
    """One event. ``id`` is the last one that the stream named, what a browser would send as ``Last-Event-ID``."""

    data: str
    event: str = "message"
    id: str = ""
    retry: int | None = None


class EventParser:
    """Bytes in, events out.

    Attributes:
        comments: those that came, without the colon.
        last_event_id: what the stream named last, with an event or alone.
        retry: milliseconds, as the stream said last.
    """

    def __init__(self) -> None:
        self.comments: list[str] = []
        self.last_event_id = ""
        self.retry: int | None = None
        self._buffer = b""
        self._data: list[str] = []
        self._event = ""
        self._id = ""

    def feed(self, data: bytes) -> list[ReceivedEvent]:
        """The events that these bytes complete. Lines end in LF, CR or both; all but a CR that came last."""
        text = self._buffer + data
        held = b"\r" if text.endswith(b"\r") else b""
        *lines, rest = text[: len(text) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._buffer = rest + held
        events = [self._line(line.decode(errors="replace")) for line in lines]
        return [event for event in events if event is not None]

    def _line(self, line: str) -> ReceivedEvent | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not name:
            self.comments.append(value)
        elif name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry = int(value)
        return None

    def _dispatch(self) -> ReceivedEvent | None:
        data, event = self._data, self._event
        self._data, self._event = [], ""
        self.last_event_id = self._id
        if not data:
            return None
        return ReceivedEvent("\n".join(data), event or "message", self.last_event_id, self.retry)


class EventReader:
    """An open event stream. It reads ahead while the server runs, as a browser does.

    As a context manager it leaves at the end.

    Attributes:
        response: the answer's head.
        ended: whether the server has ended the stream.
        was_cut: whether it did so without the last chunk, as for a client that reads too slowly.
    """

    def __init__(self, connection: HTTPConnection, response: httpx.Response) -> None:
        self.response = response
        self.ended = False
        self.was_cut = False
        self._connection = connection
        self._parser = EventParser()
        self._events: deque[ReceivedEvent] = deque()
        self._unread = 0
        self._paused = False
        connection.wire.reader = self._read
        self._read()  # what came with the head
        self._settle()

    @property
    def comments(self) -> list[str]:
        """The comments that came so far: keep-alives among them."""
        return self._parser.comments

    @property
    def last_event_id(self) -> str:
        """What a browser would send as ``Last-Event-ID`` when it comes back."""
        return self._parser.last_event_id

    def receive(self) -> ReceivedEvent:
        """The next event.

        Raises ``EventStreamEnded`` when there is none any more, ``StillWaiting`` at once when none can arrive before
        the clock is moved or something is published.
        """
        self._connection.wire.world.complain()
        self._settle()
        if not self._events and self.ended:
            raise EventStreamEnded("the server cut the stream" if self.was_cut else "the stream has ended")
        if not self._events:
            raise StillWaiting("no event can arrive now; publish something, or client.advance(seconds)")
        event = self._events.popleft()
        self._unread -= len(event.data)
        return event

    def received(self) -> list[ReceivedEvent]:
        """All events that are here now."""
        self._connection.wire.world.complain()
        self._settle()
        events = list(self._events)
        self._events.clear()
        self._unread = 0
        return events

    def pause(self) -> None:
        """Read nothing from here on: a client that hangs."""
        self._paused = True

    def resume(self) -> None:
        """Read on."""
        self._paused = False
        self._settle()

    def close(self) -> None:
        """Leave, as a page that is closed."""
        self._connection.wire.reader = None
        self.ended = True
        self._connection.close()

    def __enter__(self) -> EventReader:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _settle(self) -> None:
        self._connection.wire.world.settle()

    def _read(self) -> bool:
        # Called while the server runs: takes what is there and never settles.
        if self._paused or self._unread > _MAX_UNREAD:
            return False
        try:
            while (piece := self._connection.read_piece()) is not None:
                if not piece:
                    self._end(cut=False)
                    break
                self._take(piece)
        except httpx.RemoteProtocolError:
            self._end(cut=True)
        return True

    def _take(self, piece: bytes) -> None:
        for event in self._parser.feed(piece):
            self._events.append(event)
            self._unread += len(event.data)

    def _end(self, cut: bool) -> None:
        self.ended, self.was_cut = True, cut
        self._connection.wire.reader = None
        self._connection.wire.transport.hang_up()
