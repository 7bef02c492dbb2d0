"""The server's world without a kernel: a clock that stands still, timers, a queue of calls and connections in memory.

Runs the real ``Site`` and ``Connection``. Knows nothing of HTTP clients. Nothing happens by itself: ``settle`` runs
what can run now, ``advance`` moves the clock.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from ..request import Address
from ..server.connection import Connection
from ..server.dates import HttpDate
from ..server.timers import Timers
from ..site import Site
from .crew import Crew, Worker
from .errors import NeverWaitedFor, RestlessApp
from .memory import CAPACITY, MemoryTransport
from .transcript import Transcript

if TYPE_CHECKING:
    from ..app import App

__all__ = ["World", "Wire"]

# What the date is when a virtual clock starts at 0: 1 January 2026, 00:00 UTC.
_BIRTHDAY = 1_767_225_600
# Sums of seconds are not exact: 0.1 ten times over is to reach what is due after 1.0.
_SLACK = 1e-6
_MOST_TURNS = 100_000


class World:
    """One app served on a virtual clock.

    Args:
        app: what is served; its ``on_start`` functions run at once, its ``on_stop`` functions at ``close``.
        settings: by name, stronger than the app's own; the environment is not read.
        workers: how many.
    """

    def __init__(self, app: App, settings: Mapping[str, object], workers: int = 1) -> None:
        self._clock = 0.0
        self._wires: list[Wire] = []
        self._numbers = itertools.count(1)
        self._turn_of = 0
        ids = itertools.chain(("bus",), map("ws{}".format, itertools.count(1)))
        self._running = self._closed = False
        self.transcript = Transcript(self.now)
        self.crew = Crew(
            app,
            settings,
            workers,
            now=self.now,
            new_id=ids.__next__,
            http_date=HttpDate(lambda: _BIRTHDAY + self._clock).__call__,
        )
        self.crew.start()
        self._first = self.crew.worker(1)

    @property
    def site(self) -> Site:
        """The first worker's."""
        return self._first.site

    @property
    def timers(self) -> Timers:
        """The first worker's."""
        return self._first.timers

    def now(self) -> float:
        """The virtual time: seconds since this world began."""
        return self._clock

    def connect(
        self, client: Address, *, scheme: str = "http", capacity: int = CAPACITY, worker: int | None = None
    ) -> Wire:
        """A new connection.

        Args:
            client: where from.
            scheme: as the requests are to have it.
            capacity: what the server may send ahead of it, in bytes.
            worker: which one accepts it; each in its turn if left out.
        """
        if self._closed:
            raise RuntimeError("the test client is closed")
        accepts = self.crew.next_to(self._turn_of) if worker is None else self.crew.worker(worker)
        self._turn_of = accepts.number if worker is None else self._turn_of
        wire = Wire(self, accepts, next(self._numbers), client, scheme, capacity)
        self._wires.append(wire)
        return wire

    def complain(self) -> None:
        """Raise ``NeverWaitedFor`` for what the app has not waited for so far. To be called where a test calls."""
        if self.crew.complaints:
            texts = [str(complaint) for complaint in self.crew.complaints]
            self.crew.complaints.clear()
            raise NeverWaitedFor("\n".join(texts))

    def settle(self) -> None:
        """Run until nothing more can happen at this instant.

        Raises ``RestlessApp`` where that never comes, and ``RuntimeError`` when a handler calls the client that
        waits for it.
        """
        self._check_rest()
        self._running = True
        try:
            if not any(not self._turn() for _ in range(_MOST_TURNS)):
                raise RestlessApp(
                    f"the app was still busy after {_MOST_TURNS} turns of the loop with the clock at rest"
                )
        finally:
            self._running = False

    def advance(self, seconds: float) -> None:
        """Move the clock, stopping at each timer that comes due on the way, in order."""
        if seconds < 0:
            raise ValueError(f"time runs forwards only, not by {seconds!r} seconds")
        end = self._clock + seconds
        self.settle()
        while (due := self.crew.next_due()) is not None and due <= end + _SLACK:
            self._clock = max(self._clock, due)
            self.settle()
        self._clock = max(self._clock, end)

    def drain(self) -> None:
        """Ask all workers to stop, as TERM does: what runs has the grace time, what is open after it is cut."""
        for worker in self.crew.workers.values():
            worker.site.ending = worker.site.draining = True
            worker.timers.call_at(self._clock + worker.site.settings.grace, self._cut)
        for wire in self._wires:
            wire.tell(wire.connection.drain)
        self.settle()

    def kill(self, number: int) -> None:
        """End a worker as ``kill -9`` does; the kernel closes its connections."""
        self._check_rest()
        worker = self.crew.kill(number)
        for wire in self._wires:
            if wire.worker is worker:
                wire.transport.close()
        self.settle()

    def start_worker(self, number: int) -> None:
        """Start a worker anew in place of one that was killed."""
        self._check_rest()
        self.crew.start_worker(number)
        self.settle()

    def close(self) -> None:
        """Hang up every connection and stop the site. Idempotent. Raises as ``complain``."""
        if self._closed:
            return
        self._closed = True
        for wire in self._wires:
            wire.transport.hang_up()
        self.settle()
        self._clean_up()
        self._cut()
        self.crew.stop()
        self.settle()
        self.complain()

    def _clean_up(self) -> None:
        # Handlers that still wait after their clients have gone have the time that a server gives them.
        while any(worker.site.cleanups for worker in self.crew.workers.values()):
            due = self.crew.next_due()
            assert due is not None
            self.advance(max(0.0, due - self._clock))

    def _check_rest(self) -> None:
        if self._running:
            raise RuntimeError("a handler uses the test client that waits for this handler; a server would stand still")

    def _cut(self) -> None:
        for wire in self._wires:
            wire.tell(wire.connection.abort)

    def _turn(self) -> bool:
        # One turn of the loop; whether anything happened.
        called = self.crew.turn()
        moved = [wire for wire in tuple(self._wires) if wire.turn()]
        self._wires = [wire for wire in self._wires if wire.reader is not None or not wire.transport.closed]
        return bool(called or moved)


class Wire:
    """The client's end of one connection. Nothing runs by what is done here; ``world.settle`` runs it.

    Attributes:
        worker: the one that has accepted it.
        reader: called when there is something to take; it says whether it took anything. A client that reads
            only when it is asked to has none.
    """

    def __init__(self, world: World, worker: Worker, number: int, client: Address, scheme: str, capacity: int) -> None:
        self.world = world
        self.worker = worker
        self.transport = MemoryTransport(capacity, partial(world.transcript.note, number))
        self.reader: Callable[[], bool] | None = None
        self.connection = Connection(
            worker.site, self.transport, worker.timers, client=client, scheme=scheme, on_closed=lambda connection: None
        )

    def tell(self, what: Callable[[], object]) -> None:
        """Do something to the server's end, if its worker lives."""
        if self.world.crew.workers.get(self.worker.number) is self.worker:
            with self.world.crew.working(self.worker):
                what()

    def turn(self) -> bool:
        """Let the server, then the client's reader, go on; whether either had anything to do."""
        readable, writable = self.transport.ready()
        if readable or writable:
            with self.world.crew.working(self.worker):
                self.connection.handle(readable, writable)
        read = self.reader is not None and self.transport.has_output and self.reader()
        return readable or writable or read
