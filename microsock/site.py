"""One worker's share of an app: its settings, its clock, its open WebSockets and who follows which topic.

A server makes one for each app that it serves; the test client makes one on a virtual clock. Everything that
touches the world (time, the loop, random ids) is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from . import forked
from .allowed_hosts import allowed_hosts
from .app import App, Attached
from .board import Board, private_board
from .buffered import Buffered
from .bus import Bus, LocalBus
from .clients import Client, ClientTable
from .errors import Overloaded
from .failures import log_failure
from .history import Record
from .jobs import Job
from .log import logger
from .proxies import Proxies
from .rates import Rate
from .request import Request
from .schedule import Schedule, Timer
from .settings import Settings
from .startup import NamedTuple
from .tally import Cell, Tally
from .topics import Topics
from .websocket import WebSocket

if TYPE_CHECKING:
    from .cleanup import Cleanup
    from .conversation import Conversation
    from .gate import Gate
    from .limits import Store
    from .status import Standing

__all__ = [
    "AccessEntry",
    "Answered",
    "Call",
    "Done",
    "Executor",
    "Follower",
    "Outlet",
    "Site",
    "SocketClosed",
    "Timer",
]


class Answered(NamedTuple):
    """An access entry: one answer. ``path`` is the raw target, ``size`` in bytes of body, ``seconds`` until its end.

    ``status`` is 0 if the client left before the answer began.
    """

    client: str
    method: str
    path: str
    status: int
    size: int
    seconds: float
    request: Request | None = None


class SocketClosed(NamedTuple):
    """An access entry: a WebSocket's end, how long it was open and how many messages went each way."""

    client: str
    path: str
    code: int
    seconds: float
    received: int
    sent: int
    request: Request | None = None


AccessEntry = Answered | SocketClosed

# Between two lines of the log that say the same.
_HOUR = 3600.0


# What a call in another thread gave: its value, or what it raised.
Done = Callable[[Any, Exception | None], None]


class Outlet(Protocol):
    """Where pushed bytes wait until the peer takes them."""

    def queued(self) -> int:
        """How many bytes wait."""
        ...

    def acknowledged(self) -> int:
        """How many bytes the peer has taken so far, as far as the kernel can tell."""
        ...


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


class Departures(Protocol):
    """Has the answers of one turn leave together."""

    def admit(self, connection: Any) -> bool:
        """Have ``connection.depart`` called soon; False where it had better be called at once."""
        ...

    def leave(self) -> None:
        """Let all of them go now."""


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
        bus: Callable[[Site], Bus] | None = None,
        limits: Store | None = None,
        clients: ClientTable | None = None,
        spokesman: Attached | None = None,
        call_next_turn: Callable[[Callable[[], None]], None] | None = None,
        board: Board | None = None,
        tally: Tally | None = None,
        own_names: Sequence[str] | None = None,
    ) -> None:
        self.app = app
        self.settings = settings
        self.most_requests = settings.max_keep_alive_requests
        """On one connection."""
        self.now = now
        self.call_at = call_at
        self.call_soon = call_soon
        self.call_next_turn = call_next_turn or call_soon
        """For who has more to do than others should wait for: it is called when they have had their turn."""
        self.post = post
        """Like ``call_soon``, from any thread. Raises ``Overloaded`` in another one where too many calls wait."""
        self.on_loop = on_loop
        """Whether the caller is on the loop, and may touch what belongs to it."""
        self.executor = executor
        self.new_id = new_id
        self.http_date = http_date
        self.access = access
        self.proxies = Proxies(settings)
        self.hosts = allowed_hosts(settings, own_names)
        """What is asked of each request's host; None where any is answered for."""
        self.board = board or private_board(now)
        """The figures of all workers."""
        self.tally = tally or self.board.tally(self.board.claim(0), 1)
        """What this worker counts."""
        self.ending = False
        """Whether each answer is the last on its connection, since we stop or leave. Also set by signal handlers."""
        self.buffered = Buffered(settings.max_buffered_bytes, self.tally)
        """What its connections hold in memory."""
        self.draining = False
        self._limits = limits
        self.gate: Gate | None = None
        """What every request has to pass; None where nothing is asked of any."""
        self._client_table = clients
        self._next_dropped_line = 0.0
        self.departures: Departures | None = None
        """Where answers wait for each other that are made in one turn; None where each leaves at once."""
        self.leaving = False
        """While draining: another worker serves in our place, so idle connections may stay until their next request."""
        self.succeeded = False
        """Whether another serves in our place whatever comes, and keeps our clients connected."""
        self.reader_grace = 1.0
        """How many seconds a peer may take nothing of a queue past ``max_queued_bytes`` before it is a slow reader."""
        self.cleanups: dict[Cleanup, None] = {}
        """Generator handlers that still wait after their peers have gone."""
        self.on_cleaned_up: Callable[[], None] | None = None
        """Called when one of them has come to its end."""
        self.count_request: Callable[[], None] | None = None
        """Called for each request, where they are counted (``max_requests``)."""
        self.topics: Topics[Follower] = Topics()
        self.bus = LocalBus(self, new_id()) if bus is None else bus(self)
        self.history = self.bus.history
        self._schedule = Schedule(now, call_at, self._job_failed, epoch=self.bus.epoch, leads=self.bus.leads)
        self._conversations: dict[Conversation, None] = {}
        # Who stands for several sites of one app in one process, which the app must not each tell the same.
        self._spokesman = spokesman

    def start(self) -> None:
        """Attach to the app, run its start hooks and start its jobs; what a hook raises passes through."""
        if self._spokesman is None:
            self.app.attach(self)
        self.app.clients.keep_in(self._client_table, self.settings.client_key, self._client_dropped)
        self.app.gates.append(self.set_gate)
        self.set_gate()
        self.bus.start()
        for topic, value in self.app.initial_values.all():
            self.bus.offer(topic, value)
        for job in self.app.jobs:
            self._schedule.every(job)
        self.app.start_hooks()
        if self.settings.connection_required and not (self.app.lets_connect or self.app.clients):
            logger.warning("connection_required is on, and there is no @app.connect route: nobody will be served")

    def stop(self) -> None:
        """Stop jobs and blocking calls, run the app's stop hooks and let go of it."""
        self._schedule.stop()
        for cleanup in list(self.cleanups):
            cleanup.cut()
        self.executor.stop()
        self.app.gates.remove(self.set_gate)
        if not self.succeeded:
            self.app.say_goodbye()
        self.app.clients.tell_no_more(self._client_dropped)
        try:
            self.app.stop_hooks()
        finally:
            if self._spokesman is None:
                self.app.detach(self)

    def _client_dropped(self, client: Client) -> None:
        # Any thread may have connected another. What is lost where too many calls wait is a call of a handler.
        with suppress(Overloaded):
            self.post(partial(self._tell_dropped, client))

    def _tell_dropped(self, client: Client) -> None:
        self.tally.add(Cell.CLIENTS_DROPPED)
        self.app.client_dropped(client)
        now = self.now()
        if now >= self._next_dropped_line:
            self._next_dropped_line = now + _HOUR
            logger.warning(
                "too many clients are connected: the marks of the oldest are dropped, and they have to connect again; "
                "so far: %d. A rate limit on the connect route keeps one client from connecting as many",
                self.app.clients.dropped,
            )

    def dispose(self) -> None:
        """Refer no more to what refers to this; the last call, when all connections have closed."""
        self.gate = self.on_cleaned_up = None
        del self.bus, self._schedule

    def set_gate(self, rate: Rate | None = None) -> None:
        """Ask of requests what the settings and the app say now; ``rate`` is a new ``rate_limit``."""
        if rate is not None:
            self.settings = self.settings._replace(rate_limit=rate)
        asked = self.settings.rate_limit or self.settings.connection_required or self.app.has_limits
        if not asked:
            self.gate = None
            return
        from .gate import Gate  # only where there is one

        self.gate = Gate(self)

    @property
    def limits(self) -> Store:
        """Where requests are counted."""
        if self._limits is None:
            from .limits import MemoryStore  # the gate has loaded it

            self._limits = MemoryStore(self.now)
        return self._limits

    @limits.setter
    def limits(self, store: Store) -> None:
        self._limits = store

    def answered(self, request: Request, status: int, size: int, started: float, endless: bool = False) -> float:
        """A request was answered: count it and tell the access log; gives the time.

        Args:
            request: what was answered.
            status: 0 if its client left before.
            size: bytes of the answer's body.
            started: when the request came, on the clock ``now``.
            endless: whether the answer had no end of its own.
        """
        if forked.end_child is not None:
            forked.end_child(None)
        ended = self.now()
        seconds = ended - started
        if endless:
            self.tally.answered_endless(status)
        else:
            self.tally.answered(status, seconds)
        if self.access is not None:
            query, path = request.query_string, request.raw_path
            target = f"{path}?{query}" if query else path
            self.access(
                Answered(request.client.host, request.method or "-", target or "-", status, size, seconds, request)
            )
        return ended

    def add(self, conversation: Conversation) -> None:
        """Know a WebSocket that has opened."""
        self._conversations[conversation] = None
        self.tally.opened(Cell.WEBSOCKETS, Cell.WEBSOCKETS_TOTAL)

    def discard(self, conversation: Conversation) -> None:
        """Forget a WebSocket that has closed, and what it followed."""
        if self._conversations.pop(conversation, 0) is None:
            self.tally.closed(Cell.WEBSOCKETS)
        self.topics.discard(conversation)

    def cleaned_up(self, cleanup: Cleanup) -> None:
        """Forget a generator that has come to its end."""
        self.cleanups.pop(cleanup, None)
        if self.on_cleaned_up is not None:
            self.on_cleaned_up()

    @property
    def dropped(self) -> int:
        """Pushed messages that slow readers did not get (``slow_reader="drop"``)."""
        return self.tally.cells[Cell.DROPPED]

    def drop(self) -> None:
        """A slow reader does not get a pushed message."""
        self.tally.add(Cell.DROPPED)

    def websockets(self) -> list[WebSocket]:
        """The open WebSockets, oldest first; none that is closing."""
        # Copied in one go, since another thread may ask.
        sockets = [conversation.socket for conversation in list(self._conversations)]
        return [socket for socket in sockets if socket.close_code is None]

    def follow(self, topic: str, follower: Follower) -> Record | None:
        """Put a follower on a topic; gives what a new one is to be sent at once."""
        return self.history.retained(topic) if self.topics.subscribe(topic, follower) else None

    # From any thread: what is called here happens on the loop, after the current step.

    def publish(self, topic: str, data: str | bytes, exclude: WebSocket | None, retain: bool) -> None:
        """Send to all who follow a topic, in the order of the calls. Raises ``Overloaded`` where the queue is full."""
        self.bus.publish(topic, data, None if exclude is None else exclude.id, retain)

    def count(self, topic: str) -> int:
        """How many follow a topic now, in all workers."""
        return self.bus.count(topic)

    def standing(self) -> Standing:
        """What stands behind a report: the board, and how many follow each topic, in all workers."""
        from .status import Standing  # loaded in time, see `server.spare`

        counts = self.topics.counts()
        for topic, count in self.bus.others().items():
            counts[topic] = counts.get(topic, 0) + count
        return Standing(self.board, counts)

    def close_topic(self, topic: str, code: int, reason: str) -> None:
        """Close all WebSockets and end all event streams that follow a topic."""
        self.bus.close_topic(topic, code, reason)

    def every(self, job: Job) -> None:
        """Call a function again and again."""
        self.post(partial(self._schedule.every, job))

    def after(self, job: Job) -> None:
        """Call a function once, ``job.seconds`` from now. Raises ``Overloaded`` where the queue is full."""
        self.post(partial(self._schedule.once, job, self.now() + job.seconds))

    # What the bus asks for: those who follow a topic here.

    def deliver(self, record: Record, exclude: str | None) -> None:
        """Give a record to all who follow its topic, but to the WebSocket with the id ``exclude``."""
        for member in self.topics.members(record.topic):
            if exclude is None or member.socket is None or member.socket.id != exclude:
                member.deliver(record)

    def count_here(self, topic: str) -> int:
        """How many follow a topic in this worker."""
        return self.topics.count(topic)

    def watch_counts(self, changed: Callable[[str], None]) -> None:
        """Have each topic told whose number of followers here has changed."""
        self.topics.changed = changed

    def end_topic(self, topic: str, code: int, reason: str) -> None:
        """Close all WebSockets and end all event streams that follow a topic here."""
        for member in self.topics.members(topic):
            member.end(code, reason)

    def _job_failed(self, job: Job, error: BaseException) -> None:
        log_failure(error, "error in job %r", job.name)
