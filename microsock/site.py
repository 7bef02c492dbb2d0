"""One worker's share of an app: its settings, its clock, its open WebSockets and who follows which topic.

A server makes one for each app that it serves; the test client makes one on a virtual clock. Everything that
touches the world (time, the loop, random ids) is handed in.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

from .app import App
from .protocol.frames import message_frame
from .settings import Settings
from .topics import Topics
from .websocket import WebSocket

if TYPE_CHECKING:
    from .conversation import Conversation

__all__ = ["AccessEntry", "Answered", "Site", "SocketClosed", "Timer", "logger"]

logger = logging.getLogger("microsock")


class Answered(NamedTuple):
    """An access entry: one answer. ``path`` is the raw target, ``size`` in bytes of body, ``seconds`` until its end."""

    client: str
    method: str
    path: str
    status: int
    size: int
    seconds: float


class SocketClosed(NamedTuple):
    """An access entry: a WebSocket's end, how long it was open and how many messages went each way."""

    client: str
    path: str
    code: int
    seconds: float
    received: int
    sent: int


AccessEntry = Answered | SocketClosed


class Timer(Protocol):
    """A call that is due later."""

    def cancel(self) -> None:
        """Do not make the call."""


class Site:
    """What all connections of one app in one worker share."""

    def __init__(
        self,
        app: App,
        settings: Settings,
        *,
        now: Callable[[], float],
        call_at: Callable[[float, Callable[[], None]], Timer],
        call_soon: Callable[[Callable[[], None]], None],
        post: Callable[[Callable[[], None]], None],
        new_id: Callable[[], str],
        http_date: Callable[[], bytes],
        access: Callable[[AccessEntry], None] | None = None,
    ) -> None:
        self.app = app
        self.settings = settings
        self.now = now
        self.call_at = call_at
        self.call_soon = call_soon
        self.new_id = new_id
        self.http_date = http_date
        self.access = access
        self.draining = False
        self.dropped = 0
        """Pushed messages that slow readers did not get (``slow_reader="drop"``)."""
        self.topics: Topics[Conversation] = Topics()
        self._post = post
        self._conversations: dict[Conversation, None] = {}

    def start(self) -> None:
        """Attach to the app and run its start hooks; what they raise passes through."""
        self.app.attach(self)
        self.app.start_hooks()

    def stop(self) -> None:
        """Run the app's stop hooks and let go of it."""
        try:
            self.app.stop_hooks()
        finally:
            self.app.detach(self)

    def add(self, conversation: Conversation) -> None:
        """Know a WebSocket that has opened."""
        self._conversations[conversation] = None

    def discard(self, conversation: Conversation) -> None:
        """Forget a WebSocket that has closed, and what it followed."""
        self._conversations.pop(conversation, None)
        self.topics.discard(conversation)

    def websockets(self) -> list[WebSocket]:
        """The open WebSockets, oldest first."""
        return [conversation.socket for conversation in self._conversations]

    # From any thread: what is called here happens on the loop, after the current step.

    def publish(self, topic: str, data: str | bytes, exclude: WebSocket | None) -> None:
        """Send to all who follow a topic, in the order of the calls. Raises ``Overloaded`` where the queue is full."""
        self._post(partial(self._deliver, topic, data, exclude))

    def count(self, topic: str) -> int:
        """How many follow a topic now."""
        return self.topics.count(topic)

    def close_topic(self, topic: str, code: int, reason: str) -> None:
        """Close all WebSockets that follow a topic."""
        self._post(partial(self._close_members, topic, code, reason))

    def _deliver(self, topic: str, data: str | bytes, exclude: WebSocket | None) -> None:
        members = self.topics.members(topic)
        if not members:
            return
        frame = message_frame(data)
        for member in members:
            if member.socket is not exclude:
                member.push(frame)

    def _close_members(self, topic: str, code: int, reason: str) -> None:
        for member in self.topics.members(topic):
            member.close(code, reason)
