"""Server-sent events: one event as text, and the stream that follows topics (HTML Standard section 9.2).

Values only: who follows, and what the history holds, is the floor above's.
"""

from __future__ import annotations

import math
from typing import ClassVar

from .messages import Sendable, encode_message
from .response import Followed
from .websocket import checked_topic

__all__ = ["CONTENT_TYPE", "HEADERS", "Event", "EventStream"]

CONTENT_TYPE = "text/event-stream"
# No cache may keep a stream, and nginx must not collect it before it passes it on.
HEADERS = (("Cache-Control", "no-store"), ("X-Accel-Buffering", "no"))


class Event:
    """One event of a ``text/event-stream``; a generator handler yields it.

    Args:
        data: a str, or a dict or list as JSON. Lines stay lines.
        event: its type, for ``addEventListener``; ``message`` in the browser if left out.
        id: what a reconnecting browser sends back as ``Last-Event-ID``.
        retry: milliseconds after which the browser shall reconnect.

    Raises ``ValueError`` for an event type or id that would end its line, ``TypeError`` for data of another type.
    """

    __slots__ = ("_text",)

    def __init__(
        self,
        data: Sendable,
        event: str | None = None,
        id: str | None = None,  # noqa: A002 - the field's name in the stream
        retry: int | None = None,
    ) -> None:
        message = encode_message(data)
        if isinstance(message, bytes):
            raise TypeError("an event's data is a str, dict or list; an event stream is text, so encode bytes first")
        lines = [_field(name, value) for name, value in (("event", event), ("id", id)) if value is not None]
        if retry is not None:
            lines.append(f"retry: {_milliseconds(retry)}\n")
        lines += [f"data: {line}\n" for line in message.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
        self._text = "".join(lines) + "\n"

    def encode(self) -> bytes:
        """The event as it goes over the wire."""
        return self._text.encode()

    def __repr__(self) -> str:
        return f"<Event {self._text!r:.60}>"


class EventStream(Followed):
    """Return this from a handler: what is published on the topics goes to the client as events, until it leaves.

    Each event carries an id, and the stream opens with one. A client that comes back with ``Last-Event-ID`` gets what
    it missed, as far as the history reaches; a new one gets what was retained. Binary messages are for WebSockets
    alone: events are text.

    Args:
        topics: what to follow.
        history: how many events of each topic are kept for those who come back.
        keep_alive: seconds between comments that keep proxies and dead connections from going unnoticed.
    """

    __slots__ = ("history", "keep_alive", "topics")

    content_type: ClassVar[str] = CONTENT_TYPE
    headers: ClassVar[tuple[tuple[str, str], ...]] = HEADERS

    def __init__(self, *topics: str, history: int = 100, keep_alive: float = 15.0) -> None:
        if not topics:
            raise TypeError("an EventStream follows at least one topic: EventStream('news')")
        if not isinstance(history, int) or history < 0 or not 0 < keep_alive < math.inf:
            raise ValueError(
                f"history is a number of events from 0 up, keep_alive seconds over 0; not {history!r}, {keep_alive!r}"
            )
        self.topics = tuple(dict.fromkeys(checked_topic(topic) for topic in topics))
        self.history = history
        self.keep_alive = keep_alive

    def __repr__(self) -> str:
        return f"<EventStream {', '.join(self.topics)}>"


def _field(name: str, value: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"an event's {name} is a str, not {value!r:.60}")
    value.encode()  # a lone surrogate shows here, not where the event is sent
    if "\n" in value or "\r" in value or "\0" in value:
        raise ValueError(f"an event's {name} is one line without NUL, not {value!r}")
    return f"{name}: {value}\n"


def _milliseconds(retry: int) -> int:
    # A browser ignores a field that is not digits alone.
    if isinstance(retry, bool) or not isinstance(retry, int) or retry < 0:
        raise ValueError(f"an event's retry is a whole number of milliseconds, not {retry!r}")
    return retry
