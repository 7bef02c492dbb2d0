"""One selector, many file descriptors: wait, call whoever has news, then whoever's time has come.

Knows nothing of HTTP, of connections or of what its callbacks do.
"""

from __future__ import annotations

import math
import selectors
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from threading import get_ident

from .. import forked
from ..failures import log_failure, reraise_if_fatal
from .timers import Timers
from .wakeup import Mailbox, Wakeup

__all__ = ["Loop", "Watch", "Watched"]

Callback = Callable[[], object]
Ready = Callable[[bool, bool], object]

News = tuple[selectors.SelectorKey, int]

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
# The longest wait in seconds: epoll counts milliseconds in 32 bits.
_LONGEST_WAIT = 86_400.0
# Seconds of a turn for those who asked for a part of it (``call_next_turn``), and after which news waits for the next
# turn: timers, heartbeats and newcomers are not to wait for everybody. The clock is looked at behind so many of them.
_SHARED_SECONDS = 0.008
_NEWS_SECONDS = 0.02
_NEWS_AT_ONCE = 16


class Watched:
    """One file descriptor under a loop's eye, which starts with no interest in any news. To be derived from."""

    __slots__ = ("_fd", "_selector", "events")

    def __init__(self, loop: Loop, fd: int) -> None:
        self._selector = loop.selector
        self._fd = fd
        self.events = 0

    def ready(self, readable: bool, writable: bool) -> object:
        """There is news, of what was wanted."""
        raise NotImplementedError

    def want(self, read: bool, write: bool) -> None:
        """Say which news to be called for. Costs a system call only where that changes."""
        events = READ * read | WRITE * write
        if events == self.events:
            return
        if not self.events:
            self._selector.register(self._fd, events, self)
        elif events:
            self._selector.modify(self._fd, events, self)
        else:
            self._selector.unregister(self._fd)
        self.events = events

    def unwatch(self) -> None:
        """Stop watching for good; called before the descriptor is closed."""
        self.want(False, False)
        self._fd = -1


class Watch(Watched):
    """One whose news a function is called for."""

    __slots__ = ("_ready",)

    def __init__(self, loop: Loop, fd: int, ready: Ready) -> None:
        super().__init__(loop, fd)
        self._ready = ready

    def ready(self, readable: bool, writable: bool) -> object:
        """There is news, of what was wanted."""
        return self._ready(readable, writable)

    def close(self) -> None:
        """Stop watching for good; called before the descriptor is closed."""
        self.unwatch()
        self._ready = _nobody  # or it and who has it would keep each other


def _nobody(readable: bool, writable: bool) -> None:
    """In the place of who was to be told."""


class Loop:
    """The turns of one thread. ``post`` and ``deliver`` are for every thread, all else for the one that calls ``step``.

    Args:
        clock: seconds, never going back; the timers run on it.

    A callback that raises is logged and the loop goes on.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.timers = Timers(clock)
        self._now = clock
        self.selector = selectors.DefaultSelector()
        """For who is ``Watched``."""
        self._wakeup = Wakeup()
        self._mailbox = Mailbox()
        self._soon: deque[Callback] = deque()
        self._next: deque[Callback] = deque()  # for a part of each turn
        self._unhandled: list[News] = []  # for which the last turn had no time
        self._at_end: list[Callback] = []
        self._thread: int | None = None  # the one that takes a turn now
        # For whoever watches from another thread.
        self.turn_began = math.inf
        """When the turn that runs now began; infinity between turns."""
        self.longest_turn = 0.0
        """In seconds, since whoever watches has set it to 0."""
        self.busy = 0.0
        """How many seconds all turns took, the waits for news left out."""
        self.news = 0
        """How many descriptors have news in the turn that runs."""
        self.may_defer = False
        """Whether what is made now may wait for ``at_end``, together with what the rest of this turn's news brings."""
        self.closed = False
        self._abandoned = False
        self._wakeup_watch = self.watch(self._wakeup.fileno(), self._woken)
        self._wakeup_watch.want(True, False)

    def watch(self, fd: int, ready: Ready) -> Watch:
        """Have ``ready(readable, writable)`` called for a file descriptor, once ``want`` says for which news."""
        return Watch(self, fd, ready)

    def call_soon(self, callback: Callback) -> None:
        """Have this called after what is running now; before the loop waits again."""
        self._soon.append(callback)

    def call_next_turn(self, callback: Callback) -> None:
        """Have this called when others have had their turn: those who ask share some milliseconds of each.

        For who has more to do than others should wait for; it does some of it and asks again.
        """
        self._next.append(callback)

    def at_end(self, callback: Callback) -> None:
        """Have this called when this turn's news is handled, before any timer."""
        self._at_end.append(callback)

    def post(self, callback: Callback) -> None:
        """Have this called on the loop's thread; from any thread. Never called if the loop closes before.

        Within a turn it is ``call_soon``. Raises ``Overloaded`` when too many calls wait.
        """
        if self.in_turn():
            self._soon.append(callback)
        elif self._abandoned:
            raise RuntimeError("this process was forked from the one that serves; only that one can do this")
        else:
            self._mailbox.put(callback)
            self._wakeup.wake()

    def deliver(self, callback: Callback) -> None:
        """``post`` for what is never refused, since something else bounds it: the results of calls in other threads."""
        self._mailbox.put_always(callback)
        self._wakeup.wake()

    @property
    def thread(self) -> int | None:
        """The thread that takes a turn right now; None between turns."""
        return self._thread

    def waiting(self) -> int:
        """How many file descriptors have news that nobody has handled; from any thread, while a turn is held up."""
        return sum(key.data is not self._wakeup_watch for key, _ in self.selector.select(0))

    def in_turn(self) -> bool:
        """Whether the caller runs within ``step``, and may touch what belongs to the loop."""
        return self._thread == get_ident()

    def wake(self) -> None:
        """End the wait of ``step``; from any thread or signal handler."""
        self._wakeup.wake()

    def step(self, timeout: float | None = 0.0) -> int:
        """Wait for news, handle all that is there and give the number of calls that took.

        Args:
            timeout: how long to wait at most, in seconds; None as long as it takes.
        """
        if self._abandoned:
            forked.came_back()
        news = self.selector.select(self._wait(timeout))
        self._thread = get_ident()
        began = self.turn_began = self._now()
        self.news = count = len(news)
        self.may_defer = count > 1
        try:
            few = count <= _NEWS_AT_ONCE and not self._unhandled
            for (_, _, _, watched), events in news if few else self._in_time(news, began):
                # A callback before this one may have closed the descriptor and opened another of the same number:
                # this entry then still speaks of the old one, which wants nothing any more.
                if wanted := events & watched.events:
                    try:
                        watched.ready(wanted & READ != 0, wanted & WRITE != 0)
                    except BaseException as error:
                        _log_unless_fatal(error, watched)
            # Behind the news nothing may be deferred: the next turn may be hours away.
            self.may_defer = False
            if self._at_end:
                self._end_news()
            due = self.timers.soonest()
            if due is not None and due <= self._now():
                count += self._run_timers()
            return count + self._run_calls() if self._soon or self._next else count
        finally:
            if self._abandoned:
                forked.came_back(sys.exception())
            self._thread = None
            self.may_defer = False
            self.turn_began = math.inf
            took = self._now() - began
            self.busy += took
            if took > self.longest_turn:
                self.longest_turn = took

    def next_timeout(self) -> float | None:
        """How long ``step`` may wait without being late, in seconds; None if only news can end its wait."""
        if self._soon or self._next or self._unhandled:
            return 0.0
        due = self.timers.next_due()
        return None if due is None else max(0.0, due - self.timers.now())

    def fileno(self) -> int:
        """A file descriptor that is readable when ``step`` has news to handle; for another loop to watch."""
        return self.selector.fileno()

    def signal_fileno(self) -> int:
        """What to give to ``signal.set_wakeup_fd``, so that a signal ends the wait of ``step``."""
        return self._wakeup.signal_fileno()

    def close(self) -> None:
        """Give up the selector and the wake-up, and forget what is registered or promised. May be called again."""
        self.closed = True
        self._soon.clear()
        self._next.clear()
        self._unhandled.clear()
        self._at_end.clear()
        self.timers.clear()
        self._wakeup_watch.close()
        self.selector.close()
        self._wakeup.close()

    def abandon(self) -> None:
        """In a forked process: close its copies of what belongs to the other one, which goes on watching.

        A turn that this process was forked in calls nobody any more, and ends it, see ``forked``.
        """
        self.closed = self._abandoned = True
        self._thread = None
        for key in list((self.selector.get_map() or {}).values()):
            key.data.events = 0
        self._soon.clear()
        self._next.clear()
        self._unhandled.clear()
        self._at_end.clear()
        self.timers.clear()
        self.selector.close()
        self._wakeup.close()

    def _wait(self, timeout: float | None) -> float:
        if self._soon or self._next or self._unhandled:
            return 0.0
        wait = _LONGEST_WAIT if timeout is None or timeout > _LONGEST_WAIT else timeout
        due = self.timers.soonest()
        if due is None:
            return wait
        left = due - self._now()
        return wait if left >= wait else left if left > 0.0 else 0.0

    def _in_time(self, news: list[News], began: float) -> Iterator[News]:
        # Some of it for sure, and the rest while there is time. What the last turn had no time for comes first; most of
        # that is reported again, since nobody has handled it.
        unhandled, self._unhandled = self._unhandled, []
        known = {id(key.data) for key, _ in unhandled}
        news = unhandled + [item for item in news if id(item[0].data) not in known]
        for place, item in enumerate(news):
            if place and place % _NEWS_AT_ONCE == 0 and self._now() - began >= _NEWS_SECONDS:
                self._unhandled = news[place:]
                return
            yield item

    def _end_news(self) -> None:
        callbacks, self._at_end = self._at_end, []
        for callback in callbacks:
            try:
                callback()
            except BaseException as error:
                _log_unless_fatal(error, callback)

    def _run_timers(self) -> int:
        try:
            return self.timers.run_due()
        except BaseException as error:
            _log_unless_fatal(error, "a timer")
            return 1

    def _run_calls(self) -> int:
        return self._run_soon() + self._run_next()

    def _run_soon(self) -> int:
        # Only those that are here now: one that asks for another turn lets the sockets have theirs first.
        count = len(self._soon)
        for _ in range(count):
            callback = self._soon.popleft()
            try:
                callback()
            except BaseException as error:
                _log_unless_fatal(error, callback)
        return count

    def _run_next(self) -> int:
        # Each once at most, and at least one.
        until = self._now() + _SHARED_SECONDS
        count = 0
        for count in range(1, len(self._next) + 1):  # noqa: B007 - it is given back
            callback = self._next.popleft()
            try:
                callback()
            except BaseException as error:
                _log_unless_fatal(error, callback)
            if self._now() >= until:
                break
        return count

    def _woken(self, readable: bool, writable: bool) -> None:
        self._wakeup.drain()
        self._soon.extend(self._mailbox.drain())


def _log_unless_fatal(error: BaseException, source: object) -> None:
    reraise_if_fatal(error)
    log_failure(error, "unexpected error in %s", source)
