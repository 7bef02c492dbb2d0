"""One worker's share of an app: its settings, its clock, its open WebSockets and who follows which topic.

A server makes one for each app that it serves; the test client makes one on a virtual clock. Everything that
touches the world (time, the loop, random ids) is handed in.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from .app import App
from .history import History, Record
from .jobs import Job
from .schedule import Schedule, Timer
from .settings import Settings
from .topics import Topics
from .websocket import WebSocket

if TYPE_CHECKING:
    from .conversation import Conversation

__all__ = [
    "AccessEntry",
    "Answered",
    "Call",
    "Done",
    "Executor",
    "Follower",
    "Site",
    "SocketClosed",
    "Timer",
    "logger",
]

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


# What a call in another thread gave: its value, or what it raised.
Done = Callable[[Any, Exception | None], None]


class Call(Protocol):
    """A call that another thread makes."""

    def cancel(self) -> None:
        """Nobody wants to know any more: do not make it, or drop what it gives."""


class Executor(Protocol):
    """Makes calls off the loop."""

    def submit(self, function: Callable[[], Any], done: Done) -> Call:
        """Have a function called in a thread, and ``done`` on the loop. Raises ``Overloaded`` where too many wait."""
        ...

    def stop(self) -> None:
        """Make none any more."""


class Follower(Protocol):
    """A member of topics: a WebSocket or an event stream."""

    @property
    def socket(self) -> WebSocket | None:
        """What ``exclude`` of ``publish`` is compared with."""
        ...

    def deliver(self, record: Record) -> None:
        """Send on what was published."""

    def end(self, code: int, reason: str) -> None:
        """End it; a stream has no use for code and reason."""

    def __hash__(self) -> int: ...


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
        on_loop: Callable[[], bool],
        executor: Executor,
        new_id: Callable[[], str],
        http_date: Callable[[], bytes],
        access: Callable[[AccessEntry], None] | None = None,
    ) -> None:
        self.app = app
        self.settings = settings
        self.now = now
        self.call_at = call_at
        self.call_soon = call_soon
        self.post = post
        """Like ``call_soon``, from any thread. Raises ``Overloaded`` in another one where too many calls wait."""
        self.on_loop = on_loop
        """Whether the caller is on the loop, and may touch what belongs to it."""
        self.executor = executor
        self.new_id = new_id
        self.http_date = http_date
        self.access = access
        self.draining = False
        self.dropped = 0
        """Pushed messages that slow readers did not get (``slow_reader="drop"``)."""
        self.topics: Topics[Follower] = Topics()
        self.history = History(new_id())
        self._schedule = Schedule(now, call_at, self._job_failed)
        self._conversations: dict[Conversation, None] = {}

    def start(self) -> None:
        """Attach to the app, run its start hooks and start its jobs; what a hook raises passes through."""
        self.app.attach(self)
        for job in self.app.jobs:
            self._schedule.every(job)
        self.app.start_hooks()

    def stop(self) -> None:
        """Stop jobs and blocking calls, run the app's stop hooks and let go of it."""
        self._schedule.stop()
        self.executor.stop()
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
        # Copied in one go, since another thread may ask.
        return [conversation.socket for conversation in list(self._conversations)]

    def follow(self, topic: str, follower: Follower) -> Record | None:
        """Put a follower on a topic; gives what a new one is to be sent at once."""
        return self.history.retained(topic) if self.topics.subscribe(topic, follower) else None

    # From any thread: what is called here happens on the loop, after the current step.

    def publish(self, topic: str, data: str | bytes, exclude: WebSocket | None, retain: bool) -> None:
        """Send to all who follow a topic, in the order of the calls. Raises ``Overloaded`` where the queue is full."""
        self.post(partial(self._deliver, topic, data, exclude, retain))

    def count(self, topic: str) -> int:
        """How many follow a topic now."""
        return self.topics.count(topic)

    def close_topic(self, topic: str, code: int, reason: str) -> None:
        """Close all WebSockets and end all event streams that follow a topic."""
        self.post(partial(self._close_members, topic, code, reason))

    def every(self, job: Job) -> None:
        """Call a function again and again."""
        self.post(partial(self._schedule.every, job))

    def after(self, job: Job) -> None:
        """Call a function once, ``job.seconds`` from now. Raises ``Overloaded`` where the queue is full."""
        self.post(partial(self._schedule.once, job, self.now() + job.seconds))

    def _deliver(self, topic: str, data: str | bytes, exclude: WebSocket | None, retain: bool) -> None:
        record = self.history.record(topic, data, retain)
        for member in self.topics.members(topic):
            if exclude is None or member.socket is not exclude:
                member.deliver(record)

    def _close_members(self, topic: str, code: int, reason: str) -> None:
        for member in self.topics.members(topic):
            member.end(code, reason)

    def _job_failed(self, job: Job) -> None:
        logger.exception("error in job %r", job.name)
