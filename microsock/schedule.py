"""An app's jobs on the loop's timers: those that come again, and those that come once.

Knows a clock and timers as they are handed in; no thread and no loop.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Protocol

from .failures import reraise_if_fatal
from .jobs import Job

__all__ = ["Schedule", "Timer"]


class Timer(Protocol):
    """A call that is due later."""

    def cancel(self) -> None:
        """Do not make the call."""


class Schedule:
    """Jobs from their registration to ``stop``.

    Args:
        now: seconds on the timers' clock.
        call_at: promises a call.
        failed: told of a job that raised, and what.
        epoch: since when the turns of a job for one worker of all are counted, so that they fall on the same times in
            all of them; None: since each was registered.
        leads: whether this worker is the one, for what is due then.
    """

    def __init__(
        self,
        now: Callable[[], float],
        call_at: Callable[[float, Callable[[], None]], Timer],
        failed: Callable[[Job, BaseException], None],
        *,
        epoch: float | None = None,
        leads: Callable[[float], bool] = lambda due: True,
    ) -> None:
        self._now = now
        self._call_at = call_at
        self._failed = failed
        self._epoch = epoch
        self._leads = leads
        self._timers: dict[object, Timer] = {}
        self._stopped = False

    def every(self, job: Job) -> None:
        """Call it every ``job.seconds`` from now, or in step with the other workers."""
        since = self._now()
        if self._epoch is not None and not job.each_worker:
            since -= (since - self._epoch) % job.seconds
        self._repeat(object(), job, since + job.seconds)

    def once(self, job: Job, when: float) -> None:
        """Call it at ``when``."""
        if not self._stopped:
            key = object()
            self._timers[key] = self._call_at(when, partial(self._come, key, job))

    def stop(self) -> None:
        """Call nothing any more."""
        self._stopped = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _come(self, key: object, job: Job) -> None:
        del self._timers[key]
        self._run(job)

    def _repeat(self, key: object, job: Job, when: float) -> None:
        if not self._stopped:
            self._timers[key] = self._call_at(when, partial(self._come_again, key, job, when))

    def _come_again(self, key: object, job: Job, when: float) -> None:
        # Promised before it runs, so that a job that stops the server comes again where that goes on. Counted from
        # when it was due, not from when it ran, so that it does not drift; turns that were missed are passed over.
        late = max(0.0, self._now() - when)
        self._repeat(key, job, when + job.seconds * (1 + math.floor(late / job.seconds)))
        if job.each_worker or self._leads(when):
            self._run(job)

    def _run(self, job: Job) -> None:
        try:
            job.function()
        except BaseException as error:
            reraise_if_fatal(error)
            self._failed(job, error)
