"""The parent of preforked workers: it forks them, hears of them, replaces them and ends them. It serves nobody itself.

One thread and one loop. What to do is the roster's decision. Knows no app, and nothing of what else the parent does.
"""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from ..log import logger
from ..server.after_fork import let_go_in_children
from ..server.loop import Loop
from ..server.signals import caught_signals
from . import words
from .brood import Brood
from .forking import Seat, send_signal
from .household import Closable, Failure, Household, read_failure, read_ready
from .obituary import Obituary
from .roster import Fate, Member, Roster
from .vigil import Vigil

__all__ = ["NO_WORKER", "Supervisor"]

_STOPPED_AT_ONCE = 130
NO_WORKER = 3
# How much longer than its time to drain a worker may take.
_MARGIN_SECONDS = 0.5
_RETRY_SECONDS = 0.2


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
        self.stopping = False
        self._obituary = Obituary()
        self._brood = Brood(
            work, self.roster, loop, household, heard=self._heard, silent=self._silent, ended=self._ended
        )
        self._vigil = Vigil(self.roster, loop, timeout, self._brood.reap, self._brood.kill)
        self._grace = grace
        self._sockets = sockets
        self._household = household
        self._same_code = same_code
        self._notes: deque[Callable[[], object]] = deque()
        self._status: int | None = None
        self._reloading = False
        self._reload_at_first = False  # asked for before any worker was ready
        self._due = True

    def run(self) -> int:
        """Keep workers running until all have ended; gives the exit status: 0, 3 if none ever began, or 130."""
        with caught_signals(self._signals(), self.loop.signal_fileno()):
            let_go_in_children(self, Supervisor._let_go)
            try:
                self._vigil.begin()
                while self._status is None:
                    # Forked from here, and not from wherever it was found to be due.
                    self._arrange()
                    if self._status is None and not self._notes:
                        self.loop.step(None)
                    while self._notes:
                        _guarded(self._notes.popleft())
                return self._status
            finally:
                self._end_all()

    @property
    def failure(self) -> Failure | None:
        """Why no worker could begin, after status 3."""
        return self._obituary.failure

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
        # A signal to the whole group may have ended those first that were about to begin: there is still hope then.
        self._status = None
        self._household.stopping()
        # The workers' own copies go on to listen until each has accepted what waits.
        for sock in self._sockets:
            sock.close()
        for member in self.roster.members.values():
            self._tell(member, words.STOP)
            if member.ready_at is None:
                send_signal(member.pid, signal.SIGTERM)
        seconds = self._grace if within is None else within
        self.loop.timers.call_at(self.loop.timers.now() + seconds + _MARGIN_SECONDS, self._cut)
        self._see_to()

    def reload(self) -> str:
        """Replace all workers one by one; gives in a few words what that does."""
        if self.stopping:
            return "the server is stopping"
        if not self.roster.ever_ready:
            self._reload_at_first = True
            return "the workers are replaced as soon as the first one is ready"
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
        self._brood.tell(words.DUMP)

    def reopen(self) -> None:
        """Reopen the log files, here and in every worker."""
        self._household.reopen()
        self._brood.tell(words.REOPEN)

    def send(self, number: int, message: bytes) -> bool:
        """Queue a message for a worker; False if there is no room. One that has just ended misses nothing."""
        return self._brood.send(number, message)

    def overrun(self, number: int) -> None:
        """A worker does not take what is sent to it: replace it."""
        member = self.roster.members.get(number)
        if member is not None:
            logger.error("worker %d (pid %d) is too far behind the bus; it is replaced", number, member.pid)
            self._brood.kill(member)

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
            signal.SIGCHLD: self._brood.reap,
        }
        return {signum: partial(_noted, self._notes, call) for signum, call in does.items()}

    def _let_go(self) -> None:
        # In a process that some other thread of this program has forked.
        self._brood.let_go()
        for sock in self._sockets:
            sock.close()

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
            self._dismiss(member)
        for _ in range(plan.begin):
            if not self._begin(now):
                break
        if self._reloading and not plan.begin and self.roster.is_settled:
            self._reloaded(True)
        if plan.again_at is not None:
            self.loop.timers.call_at(plan.again_at, self._see_to)

    def _dismiss(self, member: Member) -> None:
        self._tell(member, words.LEAVE)
        if member.ready_at is None:
            # Its import may take for ever; there is nothing to drain. Behind the word, which leaves at the end of this
            # turn: a worker that is ready by now must not take the signal for the end of the whole server.
            self.loop.call_soon(partial(send_signal, member.pid, signal.SIGTERM))
        self._household.dismissed(member.number)

    def _reloaded(self, new: bool) -> None:
        self._reloading = False
        self._household.reloaded(new)

    def _begin(self, now: float) -> bool:
        try:
            self._brood.begin(now)
        except OSError as error:
            logger.error("cannot begin a worker: %s; trying again", error.strerror)
            self.roster.not_forked(now)
            self.loop.timers.call_at(now + _RETRY_SECONDS, self._see_to)
            return False
        return True

    def _ended(self, member: Member, how: str) -> None:
        was_ready = member.ready_at is not None
        fate = self.roster.died(member, self.loop.timers.now())
        self._household.ended(member.number, fate is Fate.LOST and not self.stopping)
        self._see_to()
        if not self.stopping:
            self._judge(member, fate, how, was_ready)

    def _judge(self, member: Member, fate: Fate, how: str, was_ready: bool) -> None:
        name = f"worker {member.number} (pid {member.pid})"
        self._obituary.ended(name, how, fate, was_ready=was_ready, ever_ready=self.roster.ever_ready)
        if fate is Fate.HOPELESS:
            self._status = NO_WORKER
        elif fate is Fate.ABANDONED:
            self._reloaded(False)

    def _cut(self) -> None:
        for member in self.roster.members.values():
            logger.warning("worker %d (pid %d) has not ended in its time; it is killed", member.number, member.pid)
            self._brood.kill(member)

    def _end_all(self) -> None:
        self._brood.end()
        for sock in self._sockets:
            sock.close()

    # Hearing of them.

    def _heard(self, member: Member, message: bytes) -> None:
        member.heard_at = self.loop.timers.now()
        if words.is_for_the_bus(message):
            self._household.received(member.number, message)
        elif (hear := _HEARD.get(message[:1])) is not None:
            hear(self, member, message[1:])
        else:
            raise ValueError(f"no word of a worker: {message!r:.60}")

    def _ready(self, member: Member, rest: bytes) -> None:
        if member.ready_at is not None:
            raise ValueError("it has said before that it is ready")
        try:
            ready = read_ready(rest)
        except ValueError:
            # It would never count as ready, and never be missed.
            send_signal(member.pid, signal.SIGKILL)
            raise
        first = not self.roster.ever_ready
        self._grace = max(self._grace, ready.grace)
        self.roster.ready(member, self.loop.timers.now())
        if first and not self.stopping:
            for warning in ready.warnings:
                logger.warning("%s", warning)
            self._household.started(ready)
        logger.debug("worker %d (pid %d) is ready", member.number, member.pid)
        if first and self._reload_at_first:
            self.reload()
        self._see_to()

    def _silent(self, member: Member) -> None:
        self._vigil.silent(member)

    def _failed(self, member: Member, rest: bytes) -> None:
        try:
            failure = read_failure(rest)
        except ValueError as error:
            failure = Failure(
                f"worker {member.number} cannot begin, and what it says of that is not understood", str(error)
            )
        self._obituary.cannot_begin(failure)

    def _beats(self, member: Member, rest: bytes) -> None:
        pass  # to be heard is all

    def _retires(self, member: Member, rest: bytes) -> None:
        self.roster.retire(member)
        self._see_to()

    # Small things.

    def _tell(self, member: Member, word: bytes) -> None:
        self.send(member.number, word)


_HEARD: dict[bytes, Callable[[Supervisor, Member, bytes], None]] = {
    words.READY: Supervisor._ready,
    words.FAILED: Supervisor._failed,
    words.HEARTBEAT: Supervisor._beats,
    words.REPLACE: Supervisor._retires,
}


def _noted(notes: deque[Callable[[], object]], call: Callable[[], object], signum: int) -> None:
    # Within a signal handler: what wakes the loop is the byte of set_wakeup_fd.
    notes.append(call)


def _guarded(call: Callable[[], object]) -> None:
    # What fails in the parent must not take all workers with it.
    try:
        call()
    except Exception:
        logger.exception("unexpected error in the parent of the workers")
