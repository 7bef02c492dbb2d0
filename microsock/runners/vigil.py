"""How the parent of preforked workers sees that one hangs or is of no use any more, and ends it.

Knows workers only by the roster: their process ids, and when they were last heard of.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from functools import partial

from ..log import logger
from ..server.loop import Loop
from .forking import send_signal
from .roster import Member, Roster

__all__ = ["Vigil"]

# How often to look after the workers, at most.
_LOOK_SECONDS = 1.0
# For the stack of a worker that hangs to be written, before it is killed.
_STACK_SECONDS = 0.3
_SLOW_START_SECONDS = 30.0


class Vigil:
    """Looks after the workers of a roster from ``begin`` on, for as long as the loop turns.

    Args:
        roster: the workers.
        loop: the parent's.
        timeout: seconds after which a worker that does not turn its loop is killed.
        reap: called each time, for those whose end no signal has told.
        kill: ends a worker that hangs.
    """

    def __init__(
        self,
        roster: Roster,
        loop: Loop,
        timeout: float,
        reap: Callable[[], object],
        kill: Callable[[Member], object],
    ) -> None:
        self._roster = roster
        self._timers = loop.timers
        self._timeout = timeout
        self._interval = min(_LOOK_SECONDS, timeout / 4)
        self._reap = reap
        self._kill = kill
        self._looked_at = self._timers.now()

    def begin(self) -> None:
        """Look, now and again and again."""
        now = self._timers.now()
        # First of all: whatever fails below, somebody looks again.
        self._timers.call_at(now + self._interval, self.begin)
        if now - self._looked_at > self._interval + _LOOK_SECONDS:
            # We have not run ourselves (a suspended terminal job, a machine asleep): nobody is to blame.
            for member in self._roster.members.values():
                member.heard_at = now
        self._looked_at = now
        self._reap()
        for member in list(self._roster.members.values()):
            self._check(member, now)

    def silent(self, member: Member) -> None:
        """Its channel is closed: it ends, or is of no use."""
        self._kill_after(_LOOK_SECONDS, member)

    def _check(self, member: Member, now: float) -> None:
        silent = now - member.heard_at
        if member.ready_at is None:
            # Nobody knows how long an import may take.
            if silent >= _SLOW_START_SECONDS:
                member.heard_at = now
                logger.warning("worker %d (pid %d) is not ready after %.0f s", member.number, member.pid, silent)
        elif silent >= self._timeout:
            member.heard_at = now
            text = "worker %d (pid %d) has not turned its loop for %.1f s; its stack follows, and it is killed"
            logger.error(text, member.number, member.pid, silent)
            send_signal(member.pid, signal.SIGUSR1)
            self._kill_after(_STACK_SECONDS, member)

    def _kill_after(self, seconds: float, member: Member) -> None:
        self._timers.call_at(self._timers.now() + seconds, partial(self._kill_if_there, member))

    def _kill_if_there(self, member: Member) -> None:
        if self._roster.members.get(member.number) is member:
            self._kill(member)
