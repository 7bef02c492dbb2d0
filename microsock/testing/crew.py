"""The workers of a test client, and the relay between them, in one process: each is a ``Site`` with timers of its own.

Runs the real ``Bus`` and ``Relay``; a message between them is a call in a later turn. Knows no connection.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from ..board import private_board
from ..bus import Bus
from ..errors import SetupError
from ..failures import under_test
from ..jobs import Job
from ..limits import MemoryStore
from ..relay import Relay
from ..server.timers import Timers
from ..settings import resolve
from ..site import Site
from ..status import Standing
from ..websocket import WebSocket
from ..worker_bus import WorkerBus
from .inline import InlineExecutor

if TYPE_CHECKING:
    from ..app import App

__all__ = ["Crew", "Worker"]

Call = Callable[[], None]


class Worker:
    """One worker: what its loop would hold.

    Args:
        number: from 1.
        now: the virtual clock.
        make_site: given this worker.
    """

    def __init__(self, number: int, now: Callable[[], float], make_site: Callable[[Worker], Site]) -> None:
        self.number = number
        self.calls: deque[Call] = deque()
        self.timers = Timers(now)
        self.slot = -1
        self.site = make_site(self)

    def turn(self) -> bool:
        """Make the calls and timers that are due; whether there were any."""
        called = _make(self.calls)
        return bool(called + self.timers.run_due())


class Crew:
    """All workers of one app. To the app it is one site: the one whose code runs now, or the first.

    Args:
        app: what they serve; an app is one object for all of them, and so are the globals of its modules.
        settings: by name, stronger than the app's own.
        size: how many workers.
        now: the virtual clock.
        new_id: for everything that has an id.
        http_date: for the Date header.
    """

    def __init__(
        self,
        app: App,
        settings: Mapping[str, object],
        size: int,
        *,
        now: Callable[[], float],
        new_id: Callable[[], str],
        http_date: Callable[[], bytes],
    ) -> None:
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise SetupError(f"test_client(workers=…) takes a number of workers from 1 up, not {size!r}")
        self._app = app
        self._settings = resolve(settings, app.settings_given)
        self._now, self._new_id, self._http_date = now, new_id, http_date
        self._thread = threading.get_ident()
        self._alone = size == 1
        self._current: Worker | None = None
        self._calls: deque[Call] = deque()  # the relay's
        self.workers: dict[int, Worker] = {}
        """Those that live, by their numbers."""
        self.size = size
        self.complaints: list[Warning] = []
        """What the app did that a test is to fail for."""
        self.board = private_board(now, size)
        self.limits = MemoryStore(now)
        self.relay = None if self._alone else Relay(new_id(), self._send)

    def start(self) -> None:
        """Start them all; what an ``on_start`` function raises passes through."""
        if not self._alone:
            self._app.attach(self)
        try:
            for number in range(1, self.size + 1):
                self.start_worker(number)
        except BaseException:
            if not self._alone:
                self._app.detach(self)
            raise

    def stop(self) -> None:
        """Stop those that live, one after the other."""
        for worker in list(self.workers.values()):
            # Clients count as connected until the last one stops.
            worker.site.succeeded = len(self.workers) > 1
            with self.working(worker):
                worker.site.stop()
            if not self._alone:
                del self.workers[worker.number]
        if not self._alone:
            self._app.detach(self)

    def start_worker(self, number: int) -> Worker:
        """Start a worker that is not there, as the parent does with one that has died."""
        if not 1 <= number <= self.size or number in self.workers:
            raise ValueError(f"worker {number} is there, or is none of the {self.size} workers of this test client")
        worker = Worker(number, self._now, self._site)
        self.workers[number] = worker
        jobs = len(self._app.jobs)
        with self.working(worker):
            worker.site.start()
        if not self._alone:
            # In a process of its own, what an on_start function adds to the app is added for this worker alone.
            del self._app.jobs[jobs:]
        return worker

    def kill(self, number: int) -> Worker:
        """End a worker as ``kill -9`` does: nothing of it runs any more."""
        worker = self.worker(number)
        del self.workers[number]
        worker.calls.clear()
        self._app.gates.remove(worker.site.set_gate)
        self.board.release(worker.slot)
        self.board.restarted()
        if self.relay is not None:
            self.relay.leave(number)
        else:
            self._app.detach(worker.site)
        return worker

    def worker(self, number: int) -> Worker:
        """One that lives. Raises ``RuntimeError`` for another."""
        if number not in self.workers:
            raise RuntimeError(f"there is no worker {number} now; alive: {sorted(self.workers) or 'none'}")
        return self.workers[number]

    def next_to(self, number: int) -> Worker:
        """The one whose turn it is after that number."""
        alive = sorted(self.workers)
        return self.worker(next((each for each in alive if each > number), alive[0] if alive else 1))

    def turn(self) -> bool:
        """One turn of every loop; whether anything happened."""
        moved = bool(_make(self._calls))
        for worker in list(self.workers.values()):
            with self.working(worker):
                moved = worker.turn() or moved
        return moved

    def next_due(self) -> float | None:
        """When the earliest timer is due."""
        found = [due for worker in self.workers.values() if (due := worker.timers.next_due()) is not None]
        return min(found, default=None)

    @contextmanager
    def working(self, worker: Worker) -> Iterator[None]:
        """What runs now is code of this worker."""
        before, self._current = self._current, worker
        try:
            with under_test(self.complaints):
                yield
        finally:
            self._current = before

    # What the app asks of a site.

    def publish(self, topic: str, data: str | bytes, exclude: WebSocket | None, retain: bool) -> None:
        """See ``Attached``."""
        self._one.publish(topic, data, exclude, retain)

    def count(self, topic: str) -> int:
        """See ``Attached``."""
        return self._one.count(topic)

    def close_topic(self, topic: str, code: int, reason: str) -> None:
        """See ``Attached``."""
        self._one.close_topic(topic, code, reason)

    def websockets(self) -> list[WebSocket]:
        """See ``Attached``: of the worker whose code asks; a test is told all."""
        sites = [each.site for each in self.workers.values()] if self._current is None else [self._current.site]
        return [websocket for site in sites for websocket in site.websockets()]

    def standing(self) -> Standing:
        """See ``Attached``."""
        return self._one.standing()

    def every(self, job: Job) -> None:
        """See ``Attached``."""
        for worker in list(self.workers.values()) if self._current is None else [self._current]:
            worker.site.every(job)

    def after(self, job: Job) -> None:
        """See ``Attached``."""
        self._one.after(job)

    @property
    def _one(self) -> Site:
        return (self._current or self.next_to(0)).site

    def _site(self, worker: Worker) -> Site:
        worker.slot = self.board.claim(0 if self._alone else worker.number)
        site = Site(
            self._app,
            self._settings,
            now=self._now,
            call_at=worker.timers.call_at,
            call_soon=worker.calls.append,
            post=worker.calls.append,
            on_loop=lambda: threading.get_ident() == self._thread,
            executor=InlineExecutor(worker.calls.append),
            new_id=self._new_id,
            http_date=self._http_date,
            bus=None if self.relay is None else partial(self._bus, worker, self.relay),
            limits=self.limits,
            spokesman=None if self._alone else self,
            board=self.board,
            tally=self.board.tally(worker.slot, worker.number),
        )
        # A client of ours takes what it is going to take before any time passes.
        site.reader_grace = 0.0
        return site

    # The relay, in turns of its own.

    def _bus(self, worker: Worker, relay: Relay, site: Site) -> Bus:
        def send(message: bytes) -> bool:
            self._calls.append(partial(self._receive, worker, relay, message))
            return True

        return WorkerBus(site, send, birth=relay.birth)

    def _receive(self, worker: Worker, relay: Relay, message: bytes) -> None:
        if self.workers.get(worker.number) is worker:
            relay.receive(worker.number, message)

    def _send(self, number: int, message: bytes) -> bool:
        worker = self.workers[number]
        assert isinstance(worker.site.bus, WorkerBus)
        worker.calls.append(partial(worker.site.bus.receive, message))
        return True


def _make(calls: deque[Call]) -> int:
    # Only those that wait already: what they add has its turn later, as on the real loop.
    count = len(calls)
    for _ in range(count):
        calls.popleft()()
    return count
