"""The worker processes of one parent and the channels to them: forked, spoken to, buried when they have ended.

Decides nothing: who is to begin and what an end means is the supervisor's business.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable
from functools import partial

from ..adapters.channel import Channel
from ..adapters.init import is_init, reap_all
from ..server.loop import Loop
from .forking import Seat, fork_worker, how_it_ended, send_signal
from .household import Household
from .roster import Member, Roster

__all__ = ["Brood"]

# For a worker that is killed to end what it has started itself.
_LAST_SECONDS, _LOOK_SECONDS = 0.2, 0.01


class Brood:
    """All that live, as the roster names them.

    Args:
        work: what each worker does; it ends the process with the status it gives.
        roster: of the workers.
        loop: the parent's.
        household: told before one begins, and what to release in it.
        heard: called with what a worker says.
        silent: called when a worker has closed its channel.
        ended: called with a worker whose process is gone, and how it ended, in words.
    """

    def __init__(
        self,
        work: Callable[[Seat], int],
        roster: Roster,
        loop: Loop,
        household: Household,
        *,
        heard: Callable[[Member, bytes], object],
        silent: Callable[[Member], object],
        ended: Callable[[Member, str], object],
    ) -> None:
        self._work = work
        self._roster = roster
        self._loop = loop
        self._household = household
        self._heard = heard
        self._silent = silent
        self._ended = ended
        self._channels: dict[int, Channel] = {}

    def begin(self, now: float) -> None:
        """Fork a worker into the lowest seat that is free. Raises ``OSError`` where that cannot be had."""
        number = self._roster.next_number()
        pid, ours = self._fork(number)
        member = self._roster.born(pid, now)
        heard, silent = partial(self._heard, member), partial(self._silent, member)
        peer = f"worker {number} (pid {pid})"
        self._channels[number] = Channel(ours, self._loop, received=heard, closed=silent, peer=peer)

    def send(self, number: int, message: bytes) -> bool:
        """Queue a message for a worker; False if there is no room. One that has just ended misses nothing."""
        channel = self._channels.get(number)
        return channel is None or not channel.open or channel.send(message)

    def tell(self, word: bytes) -> None:
        """Send a word to all."""
        for number in self._roster.members:
            self.send(number, word)

    def reap(self) -> None:
        """Bury those whose processes have ended."""
        for member in list(self._roster.members.values()):
            try:
                pid, status = os.waitpid(member.pid, os.WNOHANG)
            except ChildProcessError:
                # Somebody else in this program has waited for it, and was told how it ended.
                self._bury(member, "has ended")
                continue
            if pid:
                self._bury(member, how_it_ended(status))
        if is_init():
            self._reap_adopted()

    def kill(self, member: Member) -> None:
        """Kill one that does not end, and what only it can end: it sees the end of its channel first."""
        channel = self._channels.get(member.number)
        if channel is not None:
            channel.shut()
        timers = self._loop.timers
        timers.call_at(timers.now() + _LAST_SECONDS, partial(self._kill_if_there, member))

    def _kill_if_there(self, member: Member) -> None:
        if self._roster.members.get(member.number) is member:
            send_signal(member.pid, signal.SIGKILL)

    def end(self) -> None:
        """Kill all that are left, and wait for them."""
        for channel in self._channels.values():
            channel.shut()
        until = time.monotonic() + _LAST_SECONDS
        while self._roster.members and time.monotonic() < until and any(map(_runs, self._roster.members.values())):
            time.sleep(_LOOK_SECONDS)
        for member in self._roster.members.values():
            send_signal(member.pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(member.pid, 0)
        for channel in self._channels.values():
            channel.close()

    def _fork(self, number: int) -> tuple[int, socket.socket]:
        ours, theirs = socket.socketpair()
        self._household.begins(number)
        try:
            return fork_worker(Seat(number, self._roster.wanted, theirs), partial(self._let_go, ours), self._work), ours
        except OSError:
            ours.close()
            self._household.ended(number, False)
            raise

    def _let_go(self, ours: socket.socket) -> None:
        # In the worker: nothing of the parent's may stay open here, or its end would not be seen.
        ours.close()
        self.let_go()

    def _reap_adopted(self) -> None:
        for pid, status in reap_all():
            for member in list(self._roster.members.values()):
                if member.pid == pid:
                    self._bury(member, how_it_ended(status))

    def let_go(self) -> None:
        """In a process that the app has forked: nothing of the parent's may stay open."""
        for channel in self._channels.values():
            channel.forget()
        self._loop.abandon()
        self._household.release()

    def _bury(self, member: Member, how: str) -> None:
        channel = self._channels.pop(member.number)
        channel.read_out()
        channel.close()
        self._ended(member, how)


def _runs(member: Member) -> bool:
    try:
        return os.waitid(os.P_PID, member.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    except ChildProcessError:
        return False
