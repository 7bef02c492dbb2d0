"""Calls that would hold the loop, made in a bounded pool of threads. Threads are made when they are first needed.

They are daemons: a call that does not end keeps no process alive.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from .. import forked
from ..errors import Overloaded
from ..failures import raised_elsewhere
from ..site import Done

__all__ = ["ThreadPool"]


class ThreadPool:
    """Makes calls in threads; what they give comes back by ``deliver``, on the loop.

    Args:
        threads: how many at most.
        max_queued: how many calls may wait for one of them.
        deliver: has something called on the loop; never refuses, since as many calls as may run or wait are the most
            that ever come back.
    """

    def __init__(self, threads: int, max_queued: int, deliver: Callable[[Callable[[], None]], None]) -> None:
        self._most = threads
        self._max_queued = max_queued
        self._deliver = deliver
        self._changed = threading.Condition()
        # All below is guarded by it.
        self._waiting: deque[_Call] = deque()
        self._busy = 0
        self._threads = 0
        self._stopped = False

    def submit(self, function: Callable[[], Any], done: Done) -> _Call:
        """Have a function called in a thread, and ``done`` with what it gave on the loop; to be called on the loop.

        Raises ``Overloaded`` where as many calls as may wait do, and once the pool has stopped.
        """
        call = _Call(self, function, done)
        with self._changed:
            if self._stopped:
                raise Overloaded("the server has stopped; it makes no more blocking calls")
            due = len(self._waiting) + self._busy
            if due >= self._most + self._max_queued:
                raise Overloaded(f"{self._max_queued} blocking calls wait for one of {self._most} threads already")
            self._waiting.append(call)
            if due >= self._threads and self._threads < self._most:
                self._start_thread()
            self._changed.notify()
        return call

    @property
    def queued(self) -> int:
        """How many calls wait for a thread; from any thread."""
        return len(self._waiting)

    def stop(self) -> None:
        """Make no more calls; threads end with the call that they are in, and what that gives is dropped."""
        with self._changed:
            self._stopped = True
            self._waiting.clear()
            self._changed.notify_all()

    def _start_thread(self) -> None:
        self._threads += 1
        threading.Thread(target=self._work, name=f"microsock-{self._threads}", daemon=True).start()

    def _work(self) -> None:
        while (call := self._next()) is not None:
            value, error = _outcome(call.function)
            with self._changed:
                self._busy -= 1
            self._deliver(partial(call.finish, value, error))
            del call, value, error  # or an idle thread would hold what it worked on last

    def _next(self) -> _Call | None:
        with self._changed:
            while not self._waiting and not self._stopped:
                self._changed.wait()
            if self._stopped:
                return None
            self._busy += 1
            return self._waiting.popleft()

    def forget(self, call: _Call) -> None:
        """Do not make a call that waits; without effect on one that runs."""
        with self._changed:
            if call in self._waiting:
                self._waiting.remove(call)


class _Call:
    """One call. ``finish`` and ``cancel`` are for the loop's thread."""

    __slots__ = ("_done", "_pool", "function")

    def __init__(self, pool: ThreadPool, function: Callable[[], Any], done: Done) -> None:
        self.function = function
        self._pool = pool
        self._done: Done | None = done

    def finish(self, value: Any, error: Exception | None) -> None:
        done, self._done = self._done, None
        try:
            if done is not None:
                done(value, error)
        finally:
            del error  # its traceback may hold this frame

    def cancel(self) -> None:
        if self._done is not None:
            self._done = None
            self._pool.forget(self)


def _outcome(function: Callable[[], Any]) -> tuple[Any, Exception | None]:
    # A child that was forked in there has nothing but this thread, and ends here.
    try:
        value = function()
        forked.came_back()
        return value, None
    except BaseException as error:  # sys.exit() in a thread ends nothing but this call
        forked.came_back(error)
        return None, raised_elsewhere(error)
