"""The parent of preforked workers: it forks them, hears of them, replaces them and ends them. It serves nobody itself.

One thread and one loop. What to do is the roster's decision. Knows no app, and nothing of what else the parent does.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, Protocol

from ..adapters.channel import Channel
from ..server.loop import Loop
from ..server.signals import caught_signals
from . import words
from .forking import Seat, fork_worker, how_it_ended
from .roster import Fate, Member, Roster

__all__ = ["NO_WORKER", "Failure", "Household", "Ready", "Supervisor"]

logger = logging.getLogger("microsock")

_STOPPED_AT_ONCE = 130
NO_WORKER = 3
# How often to look after the workers, at most; and how much longer than its time to drain one may take.
_LOOK_SECONDS = 1.0
_MARGIN_SECONDS = 0.5
_RETRY_SECONDS = 0.2
# For the stack of a worker that hangs to be written, before it is killed.
_STACK_SECONDS = 0.3
_SLOW_START_SECONDS = 30.0


class Household:
    """What else there is to do in the parent when something happens to a worker, named by its number. Here: nothing."""

    def begins(self, number: int) -> None:
        """It is about to be forked."""

    def started(self, ready: Ready) -> None:
        """The first of all serves."""

    def received(self, number: int, message: bytes) -> None:
        """It sent a message for the bus."""

    def dismissed(self, number: int) -> None:
        """It was told to leave."""

    def ended(self, number: int, restarts: bool) -> None:
        """Its process is gone; whether another takes its place."""

    def reloading(self) -> None:
        """All workers are about to be replaced."""

    def reloaded(self) -> None:
        """They are."""

    def stopping(self) -> None:
        """The server is about to end."""

    def reopen(self) -> None:
        """Reopen the parent's own log files."""

    def release(self) -> None:
        """In a new worker: close what belongs to the parent."""


class Closable(Protocol):
    """A listening socket, for the parent."""

    def close(self) -> object:
        """Listen no more."""


class Ready(NamedTuple):
    """What a worker tells once it serves: what its app has, the time it may take to drain, settings it cannot have."""

    summary: str
    grace: float
    warnings: list[str]


class Failure(NamedTuple):
    """Why a worker could not begin, and the lines that show where."""

    message: str
    details: str


class Supervisor:
    """Keeps so many workers running until it is told to stop.

    Args:
        work: what each worker does; it ends the process with the status it gives.
        workers: how many.
        capacity: how many processes at once, those that are leaving included.
        timeout: seconds after which a worker that does not turn its loop is killed.
        grace: seconds a worker has to drain, unless it tells that it has more.
        loop: the parent's.
        sockets: what the workers listen on; closed here when the server stops.
        household: told of what happens.
        same_code: a reload brings no new code, since the parent has the app.
    """

    def __init__(
        self,
        work: Callable[[Seat], int],
        *,
        workers: int,
        capacity: int,
        timeout: float,
        grace: float,
        loop: Loop,
        sockets: Sequence[Closable],
        household: Household,
        same_code: bool = False,
    ) -> None:
        self.roster = Roster(workers, capacity)
        self.loop = loop
        self.restarts = 0
        self.stopping = False
        self.failure: Failure | None = None
        """Why no worker could begin, after status 3."""
        self._work = work
        self._timeout = timeout
        self._grace = grace
        self._sockets = sockets
        self._household = household
        self._same_code = same_code
        self._channels: dict[int, Channel] = {}
        self._notes: deque[Callable[[], object]] = deque()
        self._status: int | None = None
        self._reloading = False
        self._due = True
        self._looked_at = loop.timers.now()

    def run(self) -> int:
        """Keep workers running until all have ended; gives the exit status: 0, 3 if none ever began, or 130."""
        with caught_signals(self._signals(), self.loop.signal_fileno()):
            try:
                self._look()
                while self._status is None:
                    # Forked from here, and not from wherever it was found to be due.
                    self._arrange()
                    if self._status is None and not self._notes:
                        self.loop.step(None)
                    while self._notes:
                        self._notes.popleft()()
                return self._status
            finally:
                self._end_all()

    def note(self, call: Callable[[], object]) -> None:
        """Have this done in the next turn; from any thread or signal handler."""
        self._notes.append(call)
        self.loop.wake()

    def pids(self) -> list[int]:
        """The workers' process ids, by their numbers."""
        return [member.pid for _, member in sorted(self.roster.members.items())]

    # What it can be told. All but ``note`` is for the loop's thread.

    def stop(self, at_once: bool = False, status: int = 0, within: float | None = None) -> None:
        """Have the workers drain, and end when they have; asked again, or ``at_once``, kill them.

        Args:
            at_once: do not drain.
            status: the exit status of a second time.
            within: seconds they have; by default the grace time.
        """
        if at_once or self.stopping:
            self._status = status if self.stopping else 0
            return
        self.stopping = True
        self._household.stopping()
        # The workers' own copies go on to listen until each has accepted what waits.
        for sock in self._sockets:
            sock.close()
        for member in self.roster.members.values():
            self._tell(member, words.STOP)
            if member.ready_at is None:
                self._kill(member, signal.SIGTERM)
        seconds = self._grace if within is None else within
        self.loop.timers.call_at(self.loop.timers.now() + seconds + _MARGIN_SECONDS, self._cut)
        self._see_to()

    def reload(self) -> str:
        """Replace all workers one by one; gives in a few words what that does."""
        if self.stopping:
            return "the server is stopping"
        said = "the workers are being replaced"
        if self._same_code:
            said += "; their code stays the same, since it was loaded before the workers were forked"
        logger.info("reload: %s", said)
        self._reloading = True
        self._household.reloading()
        self.roster.reload()
        self._see_to()
        return said

    def add(self, count: int) -> None:
        """Have so many workers more, or fewer; one at least, and no more than there are seats."""
        most = max(1, self.roster.capacity // 2)
        self.roster.wanted = min(max(1, self.roster.wanted + count), most)
        logger.info("workers wanted: %d", self.roster.wanted)
        self._see_to()

    def dump(self) -> None:
        """Have every worker log its connections, topics and stacks."""
        for member in self.roster.members.values():
            self._tell(member, words.DUMP)

    def reopen(self) -> None:
        """Reopen the log files, here and in every worker."""
        self._household.reopen()
        for member in self.roster.members.values():
            self._tell(member, words.REOPEN)

    def send(self, number: int, message: bytes) -> bool:
        """Queue a message for a worker; False if there is no room. One that has just ended misses nothing."""
        channel = self._channels.get(number)
        return channel is None or not channel.open or channel.send(message)

    def overrun(self, number: int) -> None:
        """A worker does not take what is sent to it: replace it."""
        member = self.roster.members.get(number)
        if member is not None:
            logger.error("worker %d (pid %d) is too far behind the bus; it is replaced", number, member.pid)
            self._kill(member, signal.SIGKILL)

    def _signals(self) -> dict[signal.Signals, Callable[[int], object]]:
        stop_int, stop_term = partial(self.stop, status=_STOPPED_AT_ONCE), self.stop
        does: dict[signal.Signals, Callable[[], object]] = {
            signal.SIGINT: stop_int,
            signal.SIGTERM: stop_term,
            signal.SIGHUP: self.reload,
            signal.SIGTTIN: partial(self.add, 1),
            signal.SIGTTOU: partial(self.add, -1),
            signal.SIGUSR1: self.dump,
            signal.SIGUSR2: self.reopen,
            signal.SIGCHLD: self._reap,
        }
        return {signum: partial(_noted, self._notes, call) for signum, call in does.items()}

    # Beginning and ending.

    def _see_to(self) -> None:
        self._due = True

    def _arrange(self) -> None:
        # Make what is into what is wanted, as far as it goes now.
        if not self._due:
            return
        self._due = False
        if self.stopping:
            if not self.roster.members and self._status is None:
                self._status = 0
            return
        now = self.loop.timers.now()
        plan = self.roster.plan(now)
        for member in plan.dismiss:
            self._tell(member, words.LEAVE)
            self._household.dismissed(member.number)
        for _ in range(plan.begin):
            if not self._begin(now):
                break
        if self._reloading and not plan.begin and self.roster.is_settled:
            self._reloading = False
            self._household.reloaded()
        if plan.again_at is not None:
            self.loop.timers.call_at(plan.again_at, self._see_to)

    def _begin(self, now: float) -> bool:
        ours, theirs = socket.socketpair()
        number = self.roster.next_number()
        seat = Seat(number, self.roster.wanted, theirs)
        self._household.begins(number)
        try:
            pid = fork_worker(seat, partial(self._let_go, ours), self._work)
        except OSError as error:
            ours.close()
            self._household.ended(number, True)
            logger.error("cannot begin a worker: %s; trying again", error.strerror)
            self.roster.not_forked(now)
            self.loop.timers.call_at(now + _RETRY_SECONDS, self._see_to)
            return False
        member = self.roster.born(pid, now)
        heard, gone = partial(self._heard, member), partial(self._silent, member)
        self._channels[number] = Channel(ours, self.loop, received=heard, closed=gone)
        return True

    def _let_go(self, ours: socket.socket) -> None:
        # In the worker: nothing of the parent's may stay open here, or its end would not be seen.
        ours.close()
        for channel in self._channels.values():
            channel.forget()
        self.loop.abandon()
        self._household.release()

    def _reap(self) -> None:
        for member in list(self.roster.members.values()):
            with contextlib.suppress(ChildProcessError):
                pid, status = os.waitpid(member.pid, os.WNOHANG)
                if pid:
                    self._buried(member, status)
        if os.getpid() == 1:
            _reap_adopted()

    def _buried(self, member: Member, status: int) -> None:
        channel = self._channels[member.number]
        channel.read_out()
        channel.close()
        del self._channels[member.number]
        was_ready = member.ready_at is not None
        fate = self.roster.died(member, self.loop.timers.now())
        self._household.ended(member.number, fate is Fate.LOST and not self.stopping)
        if not self.stopping:
            self._judge(member, fate, how_it_ended(status), was_ready)
        self._see_to()

    def _judge(self, member: Member, fate: Fate, how: str, was_ready: bool) -> None:
        name = f"worker {member.number} (pid {member.pid})"
        if not was_ready and self.failure is None:
            self.failure = Failure(f"{name} {how} before it was ready", "")
        if fate is Fate.LEFT:
            logger.info("%s has left", name)
        elif fate is Fate.HOPELESS:
            self._status = NO_WORKER
        elif fate is Fate.ABANDONED:
            logger.error("reload: the new app does not come up; the workers from before stay\n%s", self._why())
        elif was_ready or self.roster.ever_ready:
            self.restarts += 1
            logger.error("%s %s; another takes its place%s", name, how, "" if was_ready else f"\n{self._why()}")
        if self.roster.ever_ready:
            self.failure = None

    def _why(self) -> str:
        failure = self.failure
        return "" if failure is None else "\n".join(filter(None, failure))

    def _cut(self) -> None:
        for member in self.roster.members.values():
            logger.warning("worker %d (pid %d) has not ended in its time; it is killed", member.number, member.pid)
            self._kill(member, signal.SIGKILL)

    def _end_all(self) -> None:
        for member in self.roster.members.values():
            self._kill(member, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(member.pid, 0)
        for channel in self._channels.values():
            channel.close()
        for sock in self._sockets:
            sock.close()

    # Hearing of them.

    def _heard(self, member: Member, message: bytes) -> None:
        member.heard_at = self.loop.timers.now()
        if words.is_for_the_bus(message):
            self._household.received(member.number, message)
        elif (hear := _HEARD.get(message[:1])) is not None:
            hear(self, member, message[1:])

    def _ready(self, member: Member, rest: bytes) -> None:
        first = not self.roster.ever_ready
        ready = Ready(**json.loads(rest))
        self._grace = max(self._grace, ready.grace)
        self.roster.ready(member, self.loop.timers.now())
        if first:
            for warning in ready.warnings:
                logger.warning("%s", warning)
            self._household.started(ready)
        logger.debug("worker %d (pid %d) is ready", member.number, member.pid)
        self._see_to()

    def _failed(self, member: Member, rest: bytes) -> None:
        if self.failure is None:
            self.failure = Failure(**json.loads(rest))

    def _beats(self, member: Member, rest: bytes) -> None:
        pass  # to be heard is all

    def _retires(self, member: Member, rest: bytes) -> None:
        self.roster.retire(member)
        self._see_to()

    def _silent(self, member: Member) -> None:
        # It ends, or its channel is broken: then it is of no use.
        kill = partial(self._kill_if_there, member)
        self.loop.timers.call_at(self.loop.timers.now() + _LOOK_SECONDS, kill)

    def _look(self) -> None:
        now = self.loop.timers.now()
        interval = min(_LOOK_SECONDS, self._timeout / 4)
        if now - self._looked_at > interval + _LOOK_SECONDS:
            # We have not run ourselves (a suspended terminal job, a machine asleep): nobody is to blame.
            for member in self.roster.members.values():
                member.heard_at = now
        self._looked_at = now
        self._reap()
        for member in list(self.roster.members.values()):
            self._check(member, now)
        self.loop.timers.call_at(now + interval, self._look)

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
            self._kill(member, signal.SIGUSR1)
            self.loop.timers.call_at(now + _STACK_SECONDS, partial(self._kill_if_there, member))

    # Small things.

    def _tell(self, member: Member, word: bytes) -> None:
        self.send(member.number, word)

    def _kill(self, member: Member, signum: signal.Signals) -> None:
        # Not reaped yet, so the number is still its own.
        with contextlib.suppress(ProcessLookupError):
            os.kill(member.pid, signum)

    def _kill_if_there(self, member: Member) -> None:
        if self.roster.members.get(member.number) is member:
            self._kill(member, signal.SIGKILL)


_HEARD: dict[bytes, Callable[[Supervisor, Member, bytes], None]] = {
    words.READY: Supervisor._ready,
    words.FAILED: Supervisor._failed,
    words.HEARTBEAT: Supervisor._beats,
    words.REPLACE: Supervisor._retires,
}


def _noted(notes: deque[Callable[[], object]], call: Callable[[], object], signum: int) -> None:
    # Within a signal handler: what wakes the loop is the byte of set_wakeup_fd.
    notes.append(call)


def _reap_adopted() -> None:
    # As a container's first process we inherit other people's orphans.
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
