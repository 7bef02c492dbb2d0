"""Who wants to be called when: one heap for the loop, and the named deadlines of each connection.

Knows no clock of its own (one is handed in) and nothing of what is being timed.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable

__all__ = ["Deadlines", "Timer", "Timers"]

Callback = Callable[[], object]


class Timer:
    """One promised call. ``when`` is on the clock of the ``Timers`` that made it."""

    __slots__ = ("_callback", "_owner", "when")

    def __init__(self, owner: Timers, when: float, callback: Callback) -> None:
        self.when = when
        self._owner = owner
        self._callback: Callback | None = callback

    @property
    def pending(self) -> bool:
        """Whether the call is still to come: neither made nor cancelled."""
        return self._callback is not None

    def cancel(self) -> None:
        """Take the promise back; without effect once the call was made."""
        if self._take() is not None:
            self._owner._cancelled()

    def _take(self) -> Callback | None:
        callback, self._callback = self._callback, None
        return callback


class Timers:
    """Calls to be made at points in time, earliest first and, at one time, in the order they were asked for.

    Args:
        clock: gives the time in seconds and never goes back.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.now = clock
        self._heap: list[tuple[float, int, Timer]] = []
        self._due: deque[Timer] = deque()
        self._order = itertools.count()
        self._dead = 0

    def call_at(self, when: float, callback: Callback) -> Timer:
        """Promise a call at ``when``, or at the next ``run_due`` if that has passed."""
        timer = Timer(self, when, callback)
        heapq.heappush(self._heap, (when, next(self._order), timer))
        return timer

    def next_due(self) -> float | None:
        """The time of the earliest call; None if there is none."""
        if self._due:
            return self._due[0].when
        while self._heap and not self._heap[0][2].pending:
            heapq.heappop(self._heap)
            self._dead -= 1
        return self._heap[0][0] if self._heap else None

    def soonest(self) -> float | None:
        """``next_due`` without a look whether that call was cancelled; then it may come too early."""
        if self._due:
            return self._due[0].when
        return self._heap[0][0] if self._heap else None

    def run_due(self) -> int:
        """Make the calls that are due now and give their number.

        What they promise anew waits for the next turn, even if it is due at once: nobody can hold the loop by
        sleeping for 0 seconds. If a call raises, the others are still due.
        """
        now = self.now()
        while self._heap and self._heap[0][0] <= now:
            self._due.append(heapq.heappop(self._heap)[2])
        ran = 0
        while self._due:
            callback = self._due.popleft()._take()
            if callback is None:
                self._dead -= 1
                continue
            ran += 1
            callback()
        return ran

    def clear(self) -> None:
        """Forget all that was promised."""
        self._heap.clear()
        self._due.clear()
        self._dead = 0

    def __len__(self) -> int:
        return len(self._heap) + len(self._due) - self._dead

    def _cancelled(self) -> None:
        # A cancelled entry stays in the heap until it comes up. Past one half of them the heap is built anew,
        # so that long deadlines that are set and cancelled all the time cannot fill the memory.
        self._dead += 1
        if self._dead * 2 > len(self._heap):
            self._due = deque(timer for timer in self._due if timer.pending)
            self._heap = [entry for entry in self._heap if entry[2].pending]
            heapq.heapify(self._heap)
            self._dead = 0


class Deadlines:
    """The named deadlines of one connection, of which only the earliest stands in the heap. To be derived from.

    A deadline that is moved to a later time, or cleared, leaves the heap alone: when the old time comes, the
    entry is put in again for what is the earliest by then. A busy connection touches the heap once a few
    seconds, not with each request. ``wait``, which every connection has at almost all times, has a place of its own:
    an idle one needs no more.

    Args:
        timers: the loop's.
    """

    __slots__ = ("_timer", "_timers", "_wait", "_whens")

    def __init__(self, timers: Timers) -> None:
        self._timers = timers
        self._timer: Timer | None = None
        self._wait: float | None = None
        self._whens: dict[str, float] | None = None  # the others

    def passed(self, name: str) -> None:
        """Called with the name of a deadline that has passed and was cleared just before."""
        raise NotImplementedError

    def set(self, name: str, when: float) -> None:
        """Set or move the deadline of this name, to a time on the timers' clock."""
        if name == "wait":
            self._wait = when
        elif self._whens is None:
            self._whens = {name: when}
        else:
            self._whens[name] = when
        if self._timer is None or when < self._timer.when:
            self._arm(when)

    def clear(self, name: str) -> None:
        """Drop the deadline of this name, if there is one."""
        if name == "wait":
            self._wait = None
        elif self._whens is not None and self._whens.pop(name, None) is not None and not self._whens:
            self._whens = None

    def get(self, name: str) -> float | None:
        """When the deadline of this name passes; None if it is not set."""
        if name == "wait":
            return self._wait
        return None if self._whens is None else self._whens.get(name)

    def close(self) -> None:
        """Drop them all."""
        self._wait = self._whens = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _all(self) -> dict[str, float]:
        wait = self.get("wait")
        waits = {} if wait is None else {"wait": wait}
        return waits if self._whens is None else waits | self._whens

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        # Itself, since another object to be called would be one more for each connection.
        self._timer = self._timers.call_at(when, self)

    def __call__(self) -> None:
        """The time has come that stood in the heap: see what has passed."""
        self._timer = None
        now = self._timers.now()
        whens = self._all()
        try:
            for name in sorted((name for name, when in whens.items() if when <= now), key=whens.__getitem__):
                # An earlier one may have cleared or moved this one.
                when = self.get(name)
                if when is not None and when <= now:
                    self.clear(name)
                    self.passed(name)
        finally:
            earliest = min(self._all().values(), default=None)
            timer: Timer | None = self._timer  # one that was called may have armed it
            if earliest is not None and (timer is None or earliest < timer.when):
                self._arm(earliest)
